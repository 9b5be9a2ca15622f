"""Which regime a market is in, from what was known at each close."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..features import History
from ..features.moving import ExpandingQuantile

_ELEVATED, _STRESSED = 0.8, 0.95
_NEEDED = 100  # own periods before a quantile of the past means something


class Regime(StrEnum):
    """Level of recent volatility against the instrument's own past."""

    CALM = "calm"
    """Below the 80 % quantile of the past."""
    ELEVATED = "elevated"
    """Between the 80 % and the 95 % quantile."""
    STRESSED = "stressed"
    """Above the 95 % quantile."""
    UNKNOWN = "unknown"
    """Too little past."""


def market_regime(history: History) -> NDArray[np.str_]:
    """Classify every period, shape (n_periods, n_instruments), of strings of :class:`Regime`.

    The variance of the last week, relative to the instrument's level, against the quantiles of
    its own past up to and including the period.
    """
    week = history.features.column("log_variance_week")
    out = np.full(week.shape, Regime.UNKNOWN.value, dtype="<U8")
    for i in range(week.shape[1]):
        rows = np.flatnonzero(np.isfinite(week[:, i]))
        past = pd.Series(week[rows, i]).expanding(min_periods=_NEEDED)
        elevated, stressed = past.quantile(_ELEVATED), past.quantile(_STRESSED)
        known = elevated.notna()
        label = np.select(
            [~known, week[rows, i] > stressed, week[rows, i] > elevated],
            [Regime.UNKNOWN.value, Regime.STRESSED.value, Regime.ELEVATED.value],
            Regime.CALM.value,
        )
        out[rows, i] = label
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class RegimeStream:
    """The regimes row by row: what :func:`market_regime` says, as the periods close.

    Attributes
    ----------
    elevated, stressed : ExpandingQuantile
        Of the variance of the last week, relative to the level, so far.
    """

    elevated: ExpandingQuantile
    stressed: ExpandingQuantile

    @classmethod
    def fresh(cls, n_instruments: int) -> Self:
        """Return the stream before its first row."""
        needed = np.full(n_instruments, _NEEDED, dtype=np.int64)
        return cls(
            elevated=ExpandingQuantile.fresh(needed, _ELEVATED),
            stressed=ExpandingQuantile.fresh(needed, _STRESSED),
        )

    def advance(self, log_variance_week: NDArray[np.float64]) -> NDArray[np.str_]:
        """Take the feature of the next row and classify it, shape (n_instruments,)."""
        week = log_variance_week[None]
        known = np.isfinite(week)
        elevated = self.elevated.advance(week, known)[0]
        stressed = self.stressed.advance(week, known)[0]
        return np.select(
            [~np.isfinite(elevated), week[0] > stressed, week[0] > elevated],
            [Regime.UNKNOWN.value, Regime.STRESSED.value, Regime.ELEVATED.value],
            Regime.CALM.value,
        )

    def state(self) -> dict[str, Any]:
        """Return all that is remembered; both keep the same values in order."""
        longest = int(self.elevated.count.max(initial=0))
        return {
            "ordered": self.elevated.ordered[:, :longest].copy(),
            "count": self.elevated.count.copy(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what another stream of as many instruments remembered.

        Raises
        ------
        InputError
            If it does not fit; nothing is changed then.
        """
        ordered, count = saved.get("ordered"), saved.get("count")
        n = len(self.elevated.count)
        if (
            not isinstance(ordered, np.ndarray)
            or not isinstance(count, np.ndarray)
            or (ordered.dtype, count.dtype) != (np.dtype(np.float64), np.dtype(np.int64))
            or ordered.shape[:1] != (n,)
            or count.shape != (n,)
            or not ((count >= 0) & (count <= ordered.shape[1])).all()
        ):
            raise InputError(f"saved regimes must be of {n} instruments; they are damaged")
        for part in (self.elevated, self.stressed):
            part.ordered = np.array(ordered, order="C")
            part.count[...] = count
