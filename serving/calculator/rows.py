"""Bars come in, closed panel rows go out: what is expected, what is late, what is missing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...calibrate.served import ServingState
from ...errors import InputError
from ...markets import Missing, Panel
from ...markets.fields import field_named
from ..observations import Bar, Observation
from .hours import TradingTimes

Values = NDArray[np.float64]

_FURTHEST_PERIODS = 2_000  # ahead of the last closed row

_ROUNDED = 1.0 + 1e-9  # adjusted prices are out of order in their last digits


@dataclass(frozen=True, kw_only=True, eq=False)
class _OpenRow:
    bars: dict[str, Bar] = field(default_factory=dict)


class OpenRows:
    """Periods that are not closed yet.

    A row closes when every instrument that is waited for has reported, when a later row does, or by
    a watermark. Waited for is who trades then (see :class:`.hours.TradingTimes`) and had a price in
    one of the last ten of its periods.

    Attributes
    ----------
    closed : int
        Close of the last row, ns UTC.
    last_close : ndarray, shape (n_instruments,)
        Last price; NaN where there was none.
    last_seen : ndarray of int64, shape (n_instruments,)
        Its time, ns; 0 where there was none.
    """

    def __init__(self, state: ServingState) -> None:
        close, time = state.row["close"], int(state.row["time_ns"])
        self.closed = time
        self.last_close = np.where(np.isfinite(close), close, state.last_close)
        self.last_seen = np.where(np.isfinite(close), time, state.last_seen)
        self._instruments, self._period = state.instruments, state.period_ns
        self._place = {name: i for i, name in enumerate(state.instruments)}
        self._state, self._times = state, TradingTimes(state)
        self._waited: dict[int, NDArray[np.bool_]] = {}  # by row, until one closes
        self._open: dict[int, _OpenRow] = {}

    def add(self, bar: Bar) -> str:
        """Take a bar; return why it was set aside, or nothing."""
        if bar.instrument not in self._place:
            return "unknown-instrument"
        ahead, off = divmod(bar.time - self.closed, self._period)
        if bar.time <= self.closed:
            return "late"
        if off:
            return "off-grid"
        if ahead > _FURTHEST_PERIODS:
            return "too-far-ahead"
        if not _sound(bar):
            return "invalid"
        row = self._open.setdefault(bar.time, _OpenRow())
        known = row.bars.get(bar.instrument)
        if known is not None:
            return "duplicate" if known == bar else "conflict"
        row.bars[bar.instrument] = bar
        return ""

    def complete(self, time: int) -> bool:
        """Whether everybody who is waited for has reported for a row."""
        row = self._open.get(time)
        if row is None:
            return False
        waited = self._waited_for(time)
        if len(row.bars) < int(waited.sum()):
            return False
        return all(self._instruments[i] in row.bars for i in np.flatnonzero(waited))

    def closing(self, until: int) -> Iterator[Panel]:
        """Close the rows up to a time, one after the other."""
        stop = self.closed + (until - self.closed) // self._period * self._period
        if self._times.every_day.any():
            times = list(range(self.closed + self._period, stop + 1, self._period))
        else:  # a day on which all markets are closed has no row
            times = sorted(time for time in self._open if time <= stop)
        for time in times:
            yield self._close(time)
        self.closed = max(self.closed, stop)

    def due(self, observed_at: NDArray[np.int64], places: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return when the next bar of some instruments closes, ns UTC."""
        return self._times.due(observed_at, places)

    def bars(self) -> list[Bar]:
        """Return the bars of all open rows, in order of time."""
        return [bar for time in sorted(self._open) for bar in self._open[time].bars.values()]

    def state(self) -> dict[str, Any]:
        """Return all that is remembered but the bars of open rows."""
        return {
            "closed": self.closed,
            "last_close": self.last_close,
            "last_seen": self.last_seen,
        }

    def restore(self, saved: Mapping[str, Any], *, bars: Sequence[Observation]) -> None:
        """Take over what was saved; InputError if it does not fit."""
        for name in ("last_close", "last_seen"):
            own, found = getattr(self, name), saved[name]
            if (found.shape, found.dtype) != (own.shape, own.dtype):
                raise InputError(f"{name} of a snapshot must have shape {own.shape}")
        self.closed = int(saved["closed"])
        self.last_close, self.last_seen = saved["last_close"].copy(), saved["last_seen"].copy()
        self._open, self._waited = {}, {}
        if any(not isinstance(bar, Bar) or self.add(bar) for bar in bars):
            raise InputError("a snapshot must hold bars of open rows; it is damaged")

    def _waited_for(self, time: int) -> NDArray[np.bool_]:
        known = self._waited.get(time)
        if known is None:
            there = self._times.there(self.last_seen, time) & self._times.open(time)
            known = there if there.any() else np.ones(len(there), dtype=np.bool_)
            self._waited[time] = known
        return known

    def _close(self, time: int) -> Panel:
        row = self._open.pop(time, _OpenRow())
        bars = list(row.bars.values())
        places = [self._place[bar.instrument] for bar in bars]
        close = self._column(places, [bar.close for bar in bars])
        fields = {
            "open": self._column(places, [bar.open for bar in bars]),
            "high": self._column(places, [bar.high for bar in bars]),
            "low": self._column(places, [bar.low for bar in bars]),
        }
        for name in sorted({name for bar in bars for name in bar.more}):
            fields[name] = self._column(places, [bar.more.get(name, math.nan) for bar in bars])
        present = np.isfinite(close)
        # Differences of logs, as a panel that is loaded has them: the same bits.
        log_return = np.log(close) - np.log(self.last_close)
        missing = np.where(self.last_seen > 0, Missing.NO_DATA, Missing.NOT_LISTED)
        missing = np.where(present, Missing.PRESENT, missing).astype(np.int8)
        self.last_close = np.where(present, close, self.last_close)
        self.last_seen = np.where(present, time, self.last_seen)
        self.closed, self._waited = time, {}
        return self._state.row_panel(
            time_ns=time,
            close=close,
            log_return=log_return,
            missing=missing,
            fields=fields,
        )

    def _column(self, places: list[int], values: list[float]) -> Values:
        column = np.full(len(self._instruments), np.nan)
        column[places] = values
        return column


def _sound(bar: Bar) -> bool:
    """Whether prices are positive and in order, and everything else is a known finite number."""
    prices = (bar.open, bar.high, bar.low, bar.close)
    return (
        all(math.isfinite(price) and price > 0.0 for price in prices)
        and bar.low <= min(bar.open, bar.close) * _ROUNDED
        and bar.high * _ROUNDED >= max(bar.open, bar.close)
        and all(math.isfinite(value) for value in bar.more.values())
        and not {"open", "high", "low"} & set(bar.more)
        and all(field_named(name) is not None for name in bar.more)
    )
