"""From bars of any length to periods: one row per period, all vectorised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from ..columns import COLUMNS
from ..findings import Finding
from ..parsing import DAY_NS
from ..realized import (
    bar_illiquidity,
    intraday_measures,
    market_covariation,
    overnight_return,
    realized_range,
    session_returns,
)
from ..rules import span
from .cleaning import Bars
from .period_findings import (
    halted_periods,
    no_whole_period,
    off_grid_bars,
    partial_periods,
    short_periods,
)
from .reduction import reduce_by


@dataclass(frozen=True, kw_only=True, eq=False)
class Periods:
    """Periods of one instrument for which the source has bars, in order.

    Attributes
    ----------
    instrument : str
        Whose periods.
    start : ndarray of int64, shape (n_known,)
        Start of each period, nanoseconds since 1970 UTC, strictly increasing.
    traded : ndarray of bool, shape (n_known,)
        False where volume is known and zero in all bars: a halt; all values are NaN there.
    every_day : bool
        Whether the instrument trades on Saturdays and Sundays.
    values : mapping of str to ndarray, shape (n_known,)
        ``close``, ``log_return`` and whichever fields of the panel the source knows.
    findings : tuple of Finding
        What was left out or is thinner than usual.
    """

    instrument: str
    start: NDArray[np.int64]
    traded: NDArray[np.bool_]
    every_day: bool
    values: Mapping[str, NDArray[np.float64]]
    findings: tuple[Finding, ...]


def parse_period(period: str | pd.Timedelta) -> int:
    """Return the length of a period in nanoseconds.

    Raises
    ------
    InputError
        If it is no length of time, or neither divides a day nor is a number of whole days.
    """
    try:
        length = int(pd.Timedelta(period).as_unit("ns").value)
    except (ValueError, TypeError):
        length = 0
    if length <= 0 or (DAY_NS % length and length % DAY_NS):
        raise InputError(
            f"period must divide a day or be whole days, was {period!r}; "
            "write for example '1D', '8h' or '5min'"
        )
    return length


def aggregate(bars: Bars, *, period: int) -> Periods:
    """Turn bars into periods: UTC-aligned buckets ``floor(start of bar, period)``.

    A bar's return runs from the close of the bar before it, so a period's realised variance
    includes the night, halt or gap before its first bar. The very first bar of the file has no
    close before it: its return is ``log(close / open)``, or unknown where there is no open.

    The first and the last period of an instrument that trades every day are left out if bars do
    not cover them from start to end. Halted periods are kept as known, without values.

    Parameters
    ----------
    bars : Bars
        Clean bars of one instrument.
    period : int
        Length of a period, nanoseconds; a multiple of the bar length.

    Raises
    ------
    InputError
        If the period is no multiple of the bar length.
    """
    _require_multiple(bars, period)
    bucket = bars.start // period
    heads = _heads(bucket)
    counts = np.diff(heads, append=len(bucket))
    traded = ~_without_volume(bars, heads)
    keep = _whole(bars, bucket[heads] * period, period)
    # Most instruments are never halted: a slice then spares a copy of every column.
    live = slice(None) if traded.all() else np.repeat(traded, counts)
    reduced = _reduce(bars, live=live, heads=_heads(bucket[live]), intraday=bars.length < period)
    values = {name: _spread(column, traded)[keep] for name, column in reduced.items()}
    start = bucket[heads] * period
    findings = (
        *off_grid_bars(bars, period=period),
        *partial_periods(bars, start[~keep], period=period),
        *short_periods(bars, start, counts=counts, keep=keep, period=period),
        *halted_periods(bars, start[keep & ~traded], period=period),
        *no_whole_period(bars, n_kept=int(keep.sum()), period=period),
    )
    close = values["close"]
    return Periods(
        instrument=bars.instrument,
        start=start[keep],
        traded=traded[keep],
        every_day=bars.every_day,
        values={**values, "log_return": log_return_of(close)},
        findings=findings,
    )


def with_covariation(
    periods: Sequence[Periods], bars: Sequence[Bars], *, period: int
) -> tuple[Periods, ...]:
    """Add to each instrument its beta and correlation to the mean of the others.

    Unchanged where fewer than two instruments have bars inside the period. Arguments are the
    periods and the bars of the same instruments in the same order, and the length of a period in
    nanoseconds.
    """
    found = market_covariation(bars, period=period)
    if not found:
        return tuple(periods)
    return tuple(
        replace(one, values={**one.values, **_when_traded(one, to_market.fields(one.start))})
        for one, to_market in zip(periods, found, strict=True)
    )


def _when_traded(
    one: Periods, values: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    return {name: np.where(one.traded, column, np.nan) for name, column in values.items()}


def _require_multiple(bars: Bars, period: int) -> None:
    if period < bars.length or period % bars.length:
        raise InputError(
            f"{bars.origin}: period must be a whole multiple of the bar length, which is "
            f"{span(bars.length)}, was {span(period)}; choose a longer period or finer bars"
        )


def _heads(bucket: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the first bar of each bucket."""
    return np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))


def _without_volume(bars: Bars, heads: NDArray[np.int64]) -> NDArray[np.bool_]:
    if "volume" not in bars.columns:
        return np.zeros(len(heads), dtype=np.bool_)
    silent: NDArray[np.bool_] = np.logical_and.reduceat(bars.columns["volume"] == 0, heads)
    return silent


def _whole(bars: Bars, start: NDArray[np.int64], period: int) -> NDArray[np.bool_]:
    """Return False for a first or last period that an always open market covers in part."""
    keep = np.ones(len(start), dtype=np.bool_)
    if bars.every_day and bars.length < period:
        keep[0] = bars.start[0] < start[0] + bars.length
        keep[-1] &= bars.start[-1] + 2 * bars.length > start[-1] + period
    return keep


def _reduce(
    bars: Bars, *, live: NDArray[np.bool_] | slice, heads: NDArray[np.int64], intraday: bool
) -> dict[str, NDArray[np.float64]]:
    """Reduce the bars of the periods that traded, one value per such period."""
    columns = {name: values[live] for name, values in bars.columns.items()}
    if "quote_asset_volume" not in columns and "volume" in columns:
        columns["quote_asset_volume"] = columns["close"] * columns["volume"]
    reduced = {
        COLUMNS[name].field: reduce_by(COLUMNS[name].rule, values, heads)
        for name, values in columns.items()
    }
    reduced["bar_count"] = np.diff(heads, append=len(columns["close"])).astype(np.float64)
    if intraday:
        returns = _bar_returns(columns)
        start = bars.start[live]
        after_gap = np.diff(start, prepend=start[:1]) > bars.length
        session = session_returns(returns, columns, after_gap=after_gap)
        reduced |= intraday_measures(returns, heads, session_return=session, bar_length=bars.length)
        if "high" in columns:
            reduced |= realized_range(columns, returns, heads)
        if "quote_asset_volume" in columns:
            reduced |= bar_illiquidity(columns, returns, heads)
    if intraday or "open" in columns:
        reduced["overnight_return"] = overnight_return(columns, heads)
    return reduced


def _bar_returns(columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    close = columns["close"]
    first = np.log(close[:1] / columns["open"][:1]) if "open" in columns else np.array([np.nan])
    return np.concatenate([first, np.diff(np.log(close))])


def _spread(values: NDArray[np.float64], traded: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Put values of the periods that traded into all periods, NaN in the others."""
    out = np.full(len(traded), np.nan)
    out[traded] = values
    return out


def log_return_of(close: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log returns from the close before, over any gap; NaN at the first price."""
    out = np.full(len(close), np.nan)
    present = np.flatnonzero(np.isfinite(close))
    out[present[1:]] = np.diff(np.log(close[present]))
    return out
