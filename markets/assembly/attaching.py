"""Observations on a panel: whose they are, which field they fill, and what stands in the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from ..fields import Rule, field_named
from ..findings import Finding, Severity
from ..listings import Listing
from ..observations import Observations
from ..panel import Missing
from ..rules import plural, some_of
from .joining import Joined, Series, as_of, within

_ORACLE_PRICE, _ORACLE_AGE = "oracle_price", "oracle_age_s"


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """Where observations are joined.

    Attributes
    ----------
    ends : ndarray of int64, shape (n_periods,)
        Ends of the periods, nanoseconds since 1970 UTC.
    period : int
        Length of a period, nanoseconds.
    missing : ndarray of int8, shape (n_periods, n_instruments)
        Codes of :class:`foremargin.markets.Missing`; no field has a value where it is not zero.
    listings : tuple of Listing
        The instruments, in column order.
    """

    ends: NDArray[np.int64]
    period: int
    missing: NDArray[np.int8]
    listings: tuple[Listing, ...]

    def columns_of(self, name: str) -> list[int]:
        """Return the columns that a name may mean: its own, or that of ``venue:name``."""
        own = [i for i, one in enumerate(self.listings) if name in (one.instrument, one.qualified)]
        return own or [i for i, one in enumerate(self.listings) if name == one.symbol]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """The values that one source has of one field or series."""

    name: str
    column: int | None
    origin: str
    series: Series
    max_age: pd.Timedelta | None


def attach(
    observations: Sequence[Observations],
    fields: dict[str, NDArray[np.float64]],
    *,
    axis: Axis,
) -> tuple[dict[str, NDArray[np.float64]], list[Finding]]:
    """Join observations: those of instruments into `fields`, those of the market into a context.

    A field that the bars of an instrument fill is left as it is. Sources of one field of one
    instrument follow each other in time; where they overlap, the first is used.

    Parameters
    ----------
    observations : sequence of Observations
        What is joined.
    fields : dict of str to ndarray, shape (n_periods, n_instruments)
        Fields of the panel; changed in place.
    axis : Axis
        Where they are joined.

    Returns
    -------
    context : dict of str to ndarray, shape (n_periods,)
        Market-wide series.
    findings : list of Finding
        What was not joined, and why.

    Raises
    ------
    InputError
        If a name may mean several instruments.
    """
    from_bars = frozenset(
        (column, name)
        for name, values in fields.items()
        for column in np.flatnonzero(np.isfinite(values).any(axis=0)).tolist()
    )
    findings: list[Finding] = []
    placed: dict[tuple[int | None, str], list[_Part]] = {}
    for one in observations:
        for part in _parts(one, axis, findings):
            key = (part.column, part.name)
            if key in from_bars:
                findings.append(_in_bars(part, axis))
            else:
                earlier = placed.setdefault(key, [])
                earlier += _outside(part, earlier, axis, findings)
    context = {}
    for (column, name), parts in placed.items():
        if column is None:
            context[name] = _last_of(parts, axis).values
        else:
            _fill(fields, parts, axis)
    return context, findings


def _parts(one: Observations, axis: Axis, findings: list[Finding]) -> Iterator[_Part]:
    columns: list[int | None] = [None]
    if one.instrument is not None:
        columns = list(axis.columns_of(one.instrument))
        if len(columns) > 1:
            raise InputError(
                f"{one.origin}: the name of an instrument must mean one, and {one.instrument!r} "
                f"may be {some_of([axis.listings[i or 0].instrument for i in columns])}; name the "
                "venue in a market file"
            )
        if not columns:
            findings.append(_without_bars(one))
    for column in columns:
        for name, values in one.values.items():
            if np.isfinite(values).any():
                series = Series(time=one.time, known_at=one.known_at, values=values)
                yield _Part(
                    name=name, column=column, origin=one.origin, series=series, max_age=one.max_age
                )


def _outside(
    part: _Part, earlier: Sequence[_Part], axis: Axis, findings: list[Finding]
) -> Iterator[_Part]:
    """Yield what a part has outside the time ranges of those before it."""
    time = part.series.time
    covered = np.zeros(len(time), dtype=np.bool_)
    for other in earlier:
        known = other.series.known().time
        covered |= (time >= known.min()) & (time <= known.max())
    if covered.any():
        findings.append(_overlapping(part, earlier, covered, axis))
    if not covered.all():
        yield replace(part, series=part.series.take(~covered))


def _last_of(parts: Sequence[_Part], axis: Axis) -> Joined:
    """Return the last known value of several parts, each as old as its own limit allows."""
    joined = [as_of(part.series, axis.ends, max_age=part.max_age) for part in parts]
    values, time = joined[0].values, joined[0].time
    for one in joined[1:]:
        later = one.time > time
        values, time = np.where(later, one.values, values), np.where(later, one.time, time)
    return Joined(values=values, time=time)


def _fill(fields: dict[str, NDArray[np.float64]], parts: Sequence[_Part], axis: Axis) -> None:
    """Put the values of one field of one instrument where the instrument has a price."""
    name, column = parts[0].name, parts[0].column
    known = field_named(name)
    rule = Rule.LAST if known is None else known.rule
    if rule is Rule.LAST:
        joined = _last_of(parts, axis)
        _put(fields, name, column, joined.values, axis)
        if name == _ORACLE_PRICE:
            _put(fields, _ORACLE_AGE, column, joined.age_s(axis.ends), axis)
    else:
        whole = Series.of([part.series for part in parts])
        _put(fields, name, column, within(whole, axis.ends, period=axis.period, rule=rule), axis)


def _put(
    fields: dict[str, NDArray[np.float64]],
    name: str,
    column: int | None,
    values: NDArray[np.float64],
    axis: Axis,
) -> None:
    if name not in fields:
        fields[name] = np.full(axis.missing.shape, np.nan)
    present = axis.missing[:, column] == Missing.PRESENT
    fields[name][present, column] = values[present]


def _without_bars(one: Observations) -> Finding:
    return Finding(
        check="observations-without-bars",
        severity=Severity.WARNING,
        instrument=str(one.instrument),
        count=len(one.time),
        first=_time(one.time, 0),
        last=_time(one.time, -1),
        detail=f"{one.origin}: observations should belong to an instrument with bars, found "
        f"{plural(len(one.time), 'row')} of {one.instrument!r}, which has none; left out. Add its "
        "bars, or name the instrument as they do",
    )


def _in_bars(part: _Part, axis: Axis) -> Finding:
    name = _name(part, axis)
    return Finding(
        check="field-in-bars",
        severity=Severity.INFO,
        instrument=name,
        count=len(part.series.time),
        first=_time(part.series.time, 0),
        last=_time(part.series.time, -1),
        detail=f"{part.origin}: {part.name!r} of {name} comes with its bars, which are used; these "
        "observations are left out",
    )


def _overlapping(
    part: _Part, earlier: Sequence[_Part], covered: NDArray[np.bool_], axis: Axis
) -> Finding:
    origins = some_of(list(dict.fromkeys(other.origin for other in earlier)))
    times = part.series.time[covered]
    return Finding(
        check="overlapping-observations",
        severity=Severity.WARNING,
        instrument=_name(part, axis),
        count=len(times),
        first=_time(times, 0),
        last=_time(times, -1),
        detail=f"{part.origin}: {part.name!r} of {_name(part, axis)} should come from one source "
        f"at a time, found {plural(len(times), 'row')} inside the range of {origins}, left out",
    )


def _name(part: _Part, axis: Axis) -> str:
    return part.name if part.column is None else axis.listings[part.column].instrument


def _time(times: NDArray[np.int64], place: int) -> pd.Timestamp | None:
    return pd.Timestamp(int(times[place]), tz="UTC") if len(times) else None
