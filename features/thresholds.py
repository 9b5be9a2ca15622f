"""Thresholds of stress and regimes as they are known at each close, one period at a time.

The same numbers as the fields of :class:`.targets.Targets` that are known at the origin, without
the past being looked at again.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..markets import Panel
from .liquidity import detrended_log_amihud
from .liquidity.cost import relative_cost
from .liquidity.volume import DETREND_DAYS
from .measures import Measures, Memory
from .moving import Counts, Present, Values
from .saved import restored, saved
from .targets import (
    ELEVATED_QUANTILE,
    LABEL_DAYS,
    LIQUIDITY_DAYS,
    LIQUIDITY_STRESS_QUANTILE,
    STRESS_QUANTILE,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Thresholds:
    """What is known at one close; NaN where an instrument has no price then, or too little past.

    Attributes
    ----------
    stressed, elevated : ndarray, shape (n_instruments, n_horizons)
        Variances over the horizon above which the regimes begin, decimal squared.
    illiquidity : ndarray, shape (n_instruments, n_horizons)
        Illiquidity above which it is stressed, log of a ratio.
    cost_level : ndarray, shape (n_instruments, n_horizons)
        Geometric mean of the relative cost of trading over the last ninety days, a fraction of
        notional; the same at all horizons.
    """

    stressed: Values
    elevated: Values
    illiquidity: Values
    cost_level: Values


@dataclass(kw_only=True, eq=False)
class ThresholdStream:
    """Thresholds that carry on where the history stopped.

    Attributes
    ----------
    horizons : tuple of int
        Increasing numbers of own periods.
    memory : Memory
        The moving parts.
    """

    horizons: tuple[int, ...]
    memory: Memory = field(default_factory=Memory)

    def advance(self, rows: Panel) -> Thresholds:
        """Take the periods that have closed since; return what is known at the last of them."""
        m = Measures(panel=rows, memory=self.memory)
        with self.memory.scope("thresholds"):
            return self._advance(m)

    def state(self) -> dict[Any, Any]:
        """Return all that is remembered as mappings, numbers and arrays, which are not copied."""
        parts = self.memory.parts()
        return {key: saved(part, where=".".join(map(str, key))) for key, part in parts}

    @classmethod
    def resume(cls, like: Panel, state: dict[Any, Any], *, horizons: tuple[int, ...]) -> Self:
        """Return the stream whose :meth:`state` was saved.

        Parameters
        ----------
        like : Panel
            Any one row of the same instruments; its numbers are not used.
        state : dict
            What was saved.
        horizons : tuple of int
            As they were.

        Raises
        ------
        InputError
            If the state does not fit.
        """
        stream = cls(horizons=horizons)
        stream.advance(like)
        parts = dict(stream.memory.parts())
        whole = restored(tuple(parts.values()), tuple(state.get(k) for k in parts), where="parts")
        for key, part in zip(parts, whole, strict=True):
            stream.memory.put(key, part)
        return stream

    def _advance(self, m: Measures) -> Thresholds:
        k = m.panel.n_instruments
        longest = self.horizons[-1]
        sums = m.remember(lambda: TrailingSums.fresh(k, longest)).advance(
            m.variance, m.present, self.horizons
        )
        illiquidity, cost = m.once(detrended_log_amihud), relative_cost(m)
        cost_level = np.exp(m.mean(np.log(cost), days=DETREND_DAYS))[-1]
        stressed, elevated, illiquid = np.full((3, k, len(self.horizons)), np.nan)
        for h, horizon in enumerate(self.horizons):
            past = m.remember(partial(PastQuantiles.fresh, m.span(LABEL_DAYS)))
            both = past.advance(sums[..., h], m.present)
            elevated[:, h], stressed[:, h] = both[:, 0], both[:, 1]
            trailing = m.mean(illiquidity, periods=horizon)
            illiquid[:, h] = m.quantile(
                trailing,
                probability=LIQUIDITY_STRESS_QUANTILE,
                days=LIQUIDITY_DAYS,
                needed_days=LABEL_DAYS,
            )[-1]
        return Thresholds(
            stressed=stressed,
            elevated=elevated,
            illiquidity=illiquid,
            cost_level=np.repeat(cost_level[:, None], len(self.horizons), axis=1),
        )


@dataclass(kw_only=True, eq=False)
class TrailingSums:
    """Sums of the last own periods, each summed afresh, so that zeros sum to zero exactly.

    Attributes
    ----------
    last : ndarray, shape (n_instruments, longest)
        Last values of each instrument, the oldest first; NaN before the first.
    """

    last: Values

    @classmethod
    def fresh(cls, n_instruments: int, longest: int) -> Self:
        """Return the part before its first period."""
        return cls(last=np.full((n_instruments, longest), np.nan))

    def advance(self, x: Values, present: Present, horizons: tuple[int, ...]) -> Values:
        """Take further rows and return the sums, shape (n_rows, n_instruments, n_horizons).

        NaN where a sum is not complete or the instrument is not present.
        """
        out = np.full((*x.shape, len(horizons)), np.nan)
        longest = self.last.shape[1]
        if len(x) == 1:
            here = present[0]
            self.last[here] = np.concatenate([self.last[here, 1:], x[0, here, None]], axis=1)
            for h, horizon in enumerate(horizons):
                out[0, here, h] = self.last[here, longest - horizon :].sum(axis=1)
            return out
        for i in range(x.shape[1]):
            rows = np.flatnonzero(present[:, i])
            joined = np.concatenate([self.last[i], x[rows, i]])
            for h, horizon in enumerate(horizons):
                inside = joined[longest - horizon + 1 :]
                out[rows, i, h] = sliding_window_view(inside, horizon).sum(axis=1)
            self.last[i] = joined[len(joined) - longest :]
        return out


@dataclass(kw_only=True, eq=False)
class PastQuantiles:
    """Two quantiles of all finite values so far, linear between ranks.

    Attributes
    ----------
    needed : ndarray of int64, shape (n_instruments,)
        How many values must be finite.
    ordered : ndarray, shape (n_instruments, capacity)
        The values in order.
    count : ndarray of int64, shape (n_instruments,)
        How many there are.
    """

    needed: Counts
    ordered: Values
    count: Counts

    @classmethod
    def fresh(cls, needed: Counts) -> Self:
        """Return the part before its first period."""
        k = len(needed)
        return cls(
            needed=needed.copy(), ordered=np.full((k, 0), np.nan), count=np.zeros(k, dtype=np.int64)
        )

    def advance(self, x: Values, present: Present) -> Values:
        """Take further rows; return the quantiles after the last, shape (n_instruments, 2).

        In the order elevated, stressed; NaN where the instrument is not present in the last row.
        """
        room = int(self.count.max(initial=0)) + len(x)
        if room > self.ordered.shape[1]:
            grown = np.full((len(self.count), max(room, 2 * self.ordered.shape[1])), np.nan)
            grown[:, : self.ordered.shape[1]] = self.ordered
            self.ordered = grown
        self._sort_in(x[:-1], present[:-1])
        out = np.full((len(self.count), 2), np.nan)
        probabilities = np.array([ELEVATED_QUANTILE, STRESS_QUANTILE])
        last = np.where(present[-1], x[-1], np.nan)
        _insert_and_read(last, self.needed, probabilities, self.ordered, self.count, out)
        out[~present[-1]] = np.nan
        return out

    def _sort_in(self, x: Values, present: Present) -> None:
        """Take rows at whose closes nobody asks: sorting once is faster than inserting each."""
        for i in range(x.shape[1] if len(x) else 0):
            new = x[present[:, i] & np.isfinite(x[:, i]), i]
            total = int(self.count[i]) + len(new)
            line = np.concatenate([self.ordered[i, : self.count[i]], new])
            line.sort()
            self.ordered[i, :total] = line
            self.count[i] = total


@njit(cache=True)
def _insert_and_read(
    x: Values,
    needed: Counts,
    probabilities: Values,
    ordered: Values,
    count: NDArray[np.int64],
    out: Values,
) -> None:
    for i in range(len(x)):
        line, n = ordered[i], count[i]
        if np.isfinite(x[i]):
            at = np.searchsorted(line[:n], x[i])
            for j in range(n, at, -1):
                line[j] = line[j - 1]
            line[at] = x[i]
            n += 1
            count[i] = n
        if n < max(needed[i], 1):
            continue
        for k in range(len(probabilities)):
            position = probabilities[k] * (n - 1)
            low = int(position)
            high = min(low + 1, n - 1)
            out[i, k] = line[low] + (line[high] - line[low]) * (position - low)
