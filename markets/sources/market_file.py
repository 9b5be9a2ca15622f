"""The market file: which files make one market, what is in them, and when it was known."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ...errors import InputError
from ..fields import FIELDS, field_named
from ..listings import Kind, Listing
from ..parsing import DAY_NS
from ..sessions import ALWAYS_OPEN, usual_sessions

NO_TIME = pd.Timedelta(0)

SUFFIX = ".toml"
"""What the name of a market file ends in."""


@dataclass(frozen=True, kw_only=True)
class Delay:
    """How long after the moment it speaks of a value becomes known.

    Attributes
    ----------
    length : pandas.Timedelta
        Added to the moment.
    business_days : int
        Weekdays, Monday to Friday, by which it is moved on before; a Saturday counts as its Friday.
    """

    length: pd.Timedelta = NO_TIME
    business_days: int = 0

    def known_at(self, time: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when values become known, nanoseconds since 1970 UTC, shape of `time`."""
        moved = time + self.length.as_unit("ns").value
        if not self.business_days:
            return moved
        days = (time // DAY_NS).astype("datetime64[D]")
        later = np.busday_offset(days, self.business_days, roll="backward")
        return np.asarray(moved + (later - days).astype(np.int64) * DAY_NS, dtype=np.int64)


def _length(value: object) -> pd.Timedelta:
    try:
        length = pd.Timedelta(str(value))
    except ValueError:
        length = -pd.Timedelta.resolution
    if not length >= NO_TIME:  # NaT is neither
        raise ValueError("must be a length of time such as '30min', '8h' or '2D'")
    return length


def _delay(value: object) -> Delay:
    if isinstance(value, Delay):
        return value
    business = re.fullmatch(r"([1-9]\d*)BD", str(value).strip())
    if business:
        return Delay(business_days=int(business[1]))
    try:
        return Delay(length=_length(value))
    except ValueError as error:
        raise ValueError(
            "must be a length of time such as '1h' or '1D', or weekdays such as '2BD'"
        ) from error


class _Entry(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        str_min_length=1,
    )


class BarsEntry(_Entry):
    """Bars of one kind at one venue."""

    path: str | None = None
    """A file, a folder or a pattern (``perp/*.parquet``), relative to the market file."""
    source: str | None = None
    """Instead of a path: the word that selects an embedded source (``arch``)."""
    instrument: str | None = None
    """Name of the instrument; by default that of the file. Several files become one history."""
    venue: str = ""
    """Where it trades."""
    kind: Kind = Kind.UNKNOWN
    """What it is: spot, perpetual, future, option or index."""
    underlying: str = ""
    """What it is about; by default the name without the quote currency at its end."""
    quote: str = ""
    """Currency of its prices."""
    calendar: str = ""
    """``24/7``, or the name of an exchange calendar such as ``XNYS``; by default the bars tell."""
    expiry: AwareDatetime | None = None
    """When it expires."""

    @field_validator("calendar")
    @classmethod
    def _calendar_is_known(cls, name: str) -> str:
        if name != ALWAYS_OPEN:
            try:
                usual_sessions(name)
            except InputError as error:
                raise ValueError(str(error)) from error
        return name

    @model_validator(mode="after")
    def _one_place(self) -> "BarsEntry":
        if (self.path is None) == (self.source is None):
            raise ValueError("must have a path or a source, and not both")
        return self

    def listing(self, instrument: str, *, known: Listing | None = None) -> Listing:
        """Return what an instrument of this entry is; `known` is what its source says of it."""
        underlying = self.underlying
        if not underlying and self.quote and instrument.endswith(self.quote):
            underlying = instrument.removesuffix(self.quote).rstrip("-_/:")
        base = known or Listing.unknown(instrument)
        return Listing(
            instrument=instrument,
            kind=base.kind if self.kind is Kind.UNKNOWN else self.kind,
            underlying=underlying or base.underlying,
            quote=self.quote or base.quote,
            venue=self.venue or base.venue,
            calendar=self.calendar or base.calendar,
            expiry=pd.Timestamp(self.expiry).tz_convert("UTC") if self.expiry else base.expiry,
        )


class _TimedEntry(_Entry):
    path: str
    """A file or a pattern, relative to the market file."""
    time: str
    """Column of the moment that a value speaks of: zoned times, or plain dates, which are UTC."""
    known_at: str | None = None
    """Column of the moment from which a value could be known."""
    delay: Annotated[Delay, BeforeValidator(_delay)] = Delay()
    """Instead of such a column: how long after its time each value was known: ``1D``, ``2BD``."""
    max_age: Annotated[pd.Timedelta, BeforeValidator(_length)] | None = None
    """How long a value stands; by default three usual steps between values, at least a week."""

    @model_validator(mode="after")
    def _one_way_to_know(self) -> "_TimedEntry":
        if self.known_at is not None and self.delay != Delay():
            raise ValueError("must have known_at or a delay, and not both")
        return self


class ObservationsEntry(_TimedEntry):
    """Values of instruments at times of their own."""

    instrument: str | None = None
    """Whose values, as their bars name it."""
    instrument_column: str | None = None
    """Instead of one instrument: the column that names it in every row."""
    venue: str = ""
    """The venue of these instruments, where their names alone may mean several."""
    fields: Annotated[dict[str, str], Field(min_length=1)]
    """Panel field = column."""
    unit: Literal["decimal", "percent"] = "decimal"
    """Percent values are divided by a hundred."""

    @field_validator("fields")
    @classmethod
    def _fields_are_known(cls, fields: dict[str, str]) -> dict[str, str]:
        unknown = sorted(name for name in fields if field_named(name) is None)
        if unknown:
            raise ValueError(f"must name panel fields, found {unknown}; they are {sorted(FIELDS)}")
        return fields

    @model_validator(mode="after")
    def _one_name(self) -> "ObservationsEntry":
        if (self.instrument is None) == (self.instrument_column is None):
            raise ValueError("must have an instrument or an instrument_column, and not both")
        return self


class ContextEntry(_TimedEntry):
    """Series of the market as a whole."""

    names: Annotated[dict[str, str], Field(min_length=1)]
    """Name in the panel = column, or = name in `series_column`."""
    series_column: str | None = None
    """For a table with one row per series and time: the column that names the series."""
    value_column: str | None = None
    """And the column that holds its value."""

    @model_validator(mode="after")
    def _long_or_wide(self) -> "ContextEntry":
        if (self.series_column is None) != (self.value_column is None):
            raise ValueError("must have both series_column and value_column, or neither")
        return self


class MarketFile(_Entry):
    """One market."""

    bars: Annotated[tuple[BarsEntry, ...], Field(min_length=1)]
    """What traded."""
    observations: tuple[ObservationsEntry, ...] = ()
    """What else is known of instruments."""
    context: tuple[ContextEntry, ...] = ()
    """What is known of the market as a whole."""


def read_market_file(path: str | Path) -> MarketFile:
    """Read a market file and check it.

    Raises
    ------
    InputError
        If there is no such file, it is not TOML, or a value is not allowed; the message names
        the key, the rule and the value.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there must be a market file at {path}, but there is none")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} must be TOML, but could not be read: {error}") from error
    return parse_market(values, origin=str(path))


def parse_market(values: Mapping[str, Any], *, origin: str) -> MarketFile:
    """Check the values of a market file.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> market = parse_market({"bars": [{"path": "perp/*.parquet", "quote": "USDT"}]}, origin="x")
    >>> market.bars[0].listing("BTCUSDT").underlying
    'BTC'
    """
    try:
        return MarketFile.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{origin}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    """Put pydantic's findings into one sentence each: where, what must hold, what was found."""
    sentences = []
    for item in error.errors():
        where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in item["loc"])
        rule = item["msg"].removeprefix("Value error, ")
        found = "" if isinstance(item["input"], dict | tuple | list) else f", was {item['input']!r}"
        sentences.append(f"{where.lstrip('.')} {rule[0].lower()}{rule[1:]}{found}")
    return "; ".join(sentences)
