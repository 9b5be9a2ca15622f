"""The panel: what happened, on one time axis, with the reason for everything that is missing."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError, ShapeError
from .fields import FIELDS, field_named
from .findings import Finding
from .listings import Kind, Listing

DAYS_PER_YEAR = 365.0
"""Trading days in the year of a market that never closes; also calendar days."""

SESSIONS_PER_YEAR = 252.0
"""Trading days in the year of an exchange."""


class Missing(IntEnum):
    """Why a period of an instrument has no price."""

    PRESENT = 0
    """There is a price."""
    NOT_LISTED = 1
    """Before the first or after the last price."""
    HALTED = 2
    """The source has the period, but nothing traded in it."""
    NO_DATA = 3
    """The instrument trades then, but the source has nothing."""
    CLOSED = 4
    """Its market is closed then: a weekend, a night, or a holiday of a calendar that is named."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Prices and measures of several instruments, one row per period.

    Every array is read-only, float64 unless said otherwise, and NaN where `missing` is not zero.
    Nothing is forward-filled. The return of a period that follows a missing one spans the gap.

    Attributes
    ----------
    time : ndarray of datetime64[ns], shape (n_periods,)
        UTC instant at which the period has ended and its values are known; strictly increasing.
        The day 2020-03-12 has the time 2020-03-13 00:00.
    period : pandas.Timedelta
        Length of one period.
    instruments : tuple of str, length n_instruments
        Names, in column order.
    close : ndarray, shape (n_periods, n_instruments)
        Last price of the period, quote currency, positive.
    log_return : ndarray, shape (n_periods, n_instruments)
        Decimal log return since the instrument's previous present period; NaN at its first.
    missing : ndarray of int8, shape (n_periods, n_instruments)
        A :class:`Missing` code; zero where there is a price.
    periods_per_year : ndarray, shape (n_instruments,)
        365 per daily period for instruments that trade every day, 252 for exchange calendars,
        times the periods per day for shorter periods.
    fields : mapping of str to ndarray, shape (n_periods, n_instruments)
        Whichever of :data:`FIELDS` the source knows.
    context : mapping of str to ndarray, shape (n_periods,)
        Series of the market as a whole, such as an interest rate, as known at the end of each
        period; NaN where none was known or the last one is too old.
    listings : tuple of Listing, length n_instruments
        What each instrument is; by default nothing is known.
    findings : tuple of Finding
        Everything the quality checks found, and what was done about it.
    source : str
        Where the panel came from, for people.
    """

    time: NDArray[np.datetime64]
    period: pd.Timedelta
    instruments: tuple[str, ...]
    close: NDArray[np.float64]
    log_return: NDArray[np.float64]
    missing: NDArray[np.int8]
    periods_per_year: NDArray[np.float64]
    fields: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    context: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    listings: tuple[Listing, ...] = ()
    findings: tuple[Finding, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.time), len(self.instruments))
        unknown = sorted(name for name in self.fields if field_named(name) is None)
        if unknown:
            raise InputError(
                f"panel fields must be among {sorted(FIELDS)}, found {unknown}; "
                "add the name and its unit to foremargin.markets.FIELDS"
            )
        arrays: dict[str, NDArray[Any]] = {
            "close": self.close,
            "log_return": self.log_return,
            "missing": self.missing,
            **self.fields,
        }
        for name, array in arrays.items():
            if array.shape != shape:
                raise ShapeError(
                    f"{name} must have shape {shape} (periods, instruments), was {array.shape}"
                )
        for name, series in self.context.items():
            if series.shape != shape[:1]:
                raise ShapeError(
                    f"{name} must have shape {shape[:1]} (periods), was {series.shape}"
                )
        if not self.listings:
            object.__setattr__(self, "listings", tuple(map(Listing.unknown, self.instruments)))
        if tuple(one.instrument for one in self.listings) != self.instruments:
            raise ShapeError(
                f"listings must be one per instrument in the order {list(self.instruments)}, "
                f"were of {[one.instrument for one in self.listings]}"
            )
        if not (np.diff(self.time) > np.timedelta64(0)).all():
            raise InputError("panel time must be strictly increasing; sort it and drop duplicates")
        self._freeze()

    def _freeze(self) -> None:
        """Keep read-only views: no memory is copied, and the caller's arrays stay writable."""
        for name in ("time", "close", "log_return", "missing", "periods_per_year"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        for name in ("fields", "context"):
            views = {key: _read_only(array) for key, array in getattr(self, name).items()}
            object.__setattr__(self, name, views)

    @property
    def n_periods(self) -> int:
        """Number of periods (rows)."""
        return len(self.time)

    @property
    def n_instruments(self) -> int:
        """Number of instruments (columns)."""
        return len(self.instruments)

    @property
    def present(self) -> NDArray[np.bool_]:
        """True where there is a price, shape (n_periods, n_instruments)."""
        return np.equal(self.missing, Missing.PRESENT)

    @property
    def periods_per_day(self) -> float:
        """Periods in a calendar day: 1 for daily, 24 for hourly."""
        return float(pd.Timedelta(days=1) / self.period)

    @property
    def periods_per_session(self) -> NDArray[np.intp]:
        """Own periods of each instrument in one of its trading days, shape (n_instruments,)."""
        days_per_year = np.where(self.trades_every_day, DAYS_PER_YEAR, SESSIONS_PER_YEAR)
        return np.maximum(1, np.rint(self.periods_per_year / days_per_year)).astype(np.intp)

    @property
    def trades_every_day(self) -> NDArray[np.bool_]:
        """True for instruments without a weekend, shape (n_instruments,)."""
        between = 0.5 * (DAYS_PER_YEAR + SESSIONS_PER_YEAR)
        return np.asarray(self.periods_per_year > between * self.periods_per_day)

    def values(self, name: str) -> NDArray[np.float64]:
        """Return a field, shape (n_periods, n_instruments); all NaN if the source has none."""
        if field_named(name) is None:
            raise InputError(f"a panel field must be one of {sorted(FIELDS)}, was {name!r}")
        if name in self.fields:
            return self.fields[name]
        return np.full((self.n_periods, self.n_instruments), np.nan)

    def context_values(self, name: str) -> NDArray[np.float64]:
        """Return a series of the market as a whole, shape (n_periods,); NaN if there is none."""
        return self.context.get(name, np.full(self.n_periods, np.nan))

    def related(self, instrument: str, *, kind: Kind) -> str | None:
        """Return the instrument of a kind that is about the same underlying.

        The spot of a perpetual, for its basis; the perpetual of a spot, for its funding. Of
        several, one with the same quote currency comes first, then one of the same venue, then
        the first column.

        Parameters
        ----------
        instrument : str
            Name of a column.
        kind : Kind
            What is looked for.

        Returns
        -------
        str or None
            Another column; None if the underlying is not known or no other instrument shares it.
        """
        own = self.listings[self._column(instrument)]
        others = [
            other
            for other in self.listings
            if other.kind is kind and other is not own and other.underlying == own.underlying
        ]
        if not own.underlying or not others:
            return None
        best = max(others, key=lambda one: (one.quote == own.quote, one.venue == own.venue))
        return best.instrument

    def _column(self, instrument: str) -> int:
        if instrument not in self.instruments:
            raise InputError(
                f"instrument must be among {list(self.instruments)}, was {instrument!r}; "
                "check the spelling or the data path"
            )
        return self.instruments.index(instrument)

    def upto(self, stop: int) -> "Panel":
        """Return the first `stop` periods: the panel as it was known at ``time[stop - 1]``."""
        return self._take(slice(0, stop), slice(None))

    def rows(self, start: int, stop: int) -> "Panel":
        """Return the periods from `start` up to, not including, `stop`."""
        return self._take(slice(start, stop), slice(None))

    def select(self, instruments: Sequence[str]) -> "Panel":
        """Return the panel with these instruments only, in this order.

        Rows before the first and after the last price of any of them are left out.
        """
        unknown = sorted(set(instruments) - set(self.instruments))
        if unknown:
            raise InputError(
                f"instruments must be among {list(self.instruments)}, found {unknown}; "
                "check the spelling or the data path"
            )
        columns = [self.instruments.index(name) for name in instruments]
        known = np.flatnonzero(self.present[:, columns].any(axis=1))
        rows = slice(int(known[0]), int(known[-1]) + 1) if len(known) else slice(0, 0)
        return self._take(rows, columns)

    def _take(self, rows: slice, columns: slice | list[int]) -> "Panel":
        chosen = np.arange(self.n_instruments)[columns]
        return Panel(
            time=self.time[rows],
            period=self.period,
            instruments=tuple(self.instruments[i] for i in chosen),
            close=self.close[rows][:, chosen],
            log_return=self.log_return[rows][:, chosen],
            missing=self.missing[rows][:, chosen],
            periods_per_year=self.periods_per_year[chosen],
            fields={name: array[rows][:, chosen] for name, array in self.fields.items()},
            context={name: series[rows] for name, series in self.context.items()},
            listings=tuple(self.listings[i] for i in chosen),
            findings=self.findings,
            source=self.source,
        )

    def frame(self) -> pd.DataFrame:
        """Return a tidy table: one row per period and instrument, one column per field."""
        index = pd.MultiIndex.from_product(
            [pd.DatetimeIndex(self.time, tz="UTC"), list(self.instruments)],
            names=["time", "instrument"],
        )
        columns = {"close": self.close, "log_return": self.log_return, **self.fields}
        table = pd.DataFrame({name: array.ravel() for name, array in columns.items()}, index=index)
        reasons = np.array([reason.name.lower().replace("_", "-") for reason in Missing])
        return table.assign(missing=reasons[self.missing.ravel()])

    def fingerprint(self) -> str:
        """Return a SHA-256 of the values: equal exactly when the data are equal."""
        digest = hashlib.sha256()
        digest.update(repr((self.instruments, self.period)).encode())
        digest.update(self.time.astype("datetime64[ns]").tobytes())
        named = {"close": self.close, "log_return": self.log_return, **self.fields}
        for name in sorted(named):
            digest.update(name.encode())
            # Adding 0.0 turns -0.0 into 0.0, which is the same number and must hash the same.
            digest.update((np.ascontiguousarray(named[name]) + 0.0).tobytes())
        for name in sorted(self.context):
            digest.update(name.encode())
            digest.update((self.context[name] + 0.0).tobytes())
        digest.update(np.ascontiguousarray(self.missing).tobytes())
        return digest.hexdigest()


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.setflags(write=False)
    return view
