"""One instrument in its own time: its present periods only, so that a week is a week of trading.

An exchange beside a market that never closes has rows on the panel's axis in which it does not
trade. Windows, lags and horizons must count its own periods, not those rows. Targets look forward
in it; features, which only look back, do the same by :class:`.measures.Measures`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..markets import DAYS_PER_YEAR, Panel


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnTime:
    """The present periods of one instrument.

    Attributes
    ----------
    panel : Panel
        Where the values come from.
    column : int
        The instrument's column in the panel.
    rows : ndarray of int, shape (n,)
        The panel rows in which the instrument is present.
    """

    panel: Panel
    column: int
    rows: NDArray[np.intp]

    @property
    def time(self) -> pd.DatetimeIndex:
        """End of each own period, UTC, shape (n,)."""
        return pd.DatetimeIndex(self.panel.time[self.rows], tz="UTC")

    @property
    def log_return(self) -> NDArray[np.float64]:
        """Decimal log return of each own period, shape (n,); the first is NaN."""
        return _pick(self.panel.log_return, self)

    @property
    def close(self) -> NDArray[np.float64]:
        """Last price, shape (n,)."""
        return _pick(self.panel.close, self)

    @property
    def periods_per_year(self) -> float:
        """Own periods in a year."""
        return float(self.panel.periods_per_year[self.column])

    def values(self, name: str) -> NDArray[np.float64]:
        """Return a panel field in own time, shape (n,)."""
        return _pick(self.panel.values(name), self)

    def span(self, days: float) -> int:
        """Return how many own periods `days` calendar days hold, at least one.

        Seven days are 7 daily periods of a coin, 5 of a share and 168 hourly periods of a coin.
        """
        return max(1, round(days * self.periods_per_year / DAYS_PER_YEAR))


def _pick(array: NDArray[np.float64], own: OwnTime) -> NDArray[np.float64]:
    picked: NDArray[np.float64] = array[own.rows, own.column]
    return picked


def own_times(panel: Panel) -> list[OwnTime]:
    """Return every instrument of a panel in its own time, in column order."""
    return [
        OwnTime(panel=panel, column=i, rows=np.flatnonzero(panel.present[:, i]))
        for i in range(panel.n_instruments)
    ]


def trailing_mean(
    values: NDArray[np.float64], window: int, *, min_periods: int | None = None
) -> NDArray[np.float64]:
    """Mean of the last `window` values including the current one, shape (n,).

    NaN while fewer than `min_periods` (default: half the window, at least one) are finite.
    """
    needed = max(1, window // 2) if min_periods is None else min_periods
    rolled = pd.Series(values).rolling(window, min_periods=min(needed, window)).mean()
    return np.asarray(rolled, dtype=np.float64)


def trailing_sum(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Sum of the last `window` values, each window summed afresh, shape (n,).

    A running sum would leave a rounding residue where the sum is exactly zero, and a variance of
    1e-21 is not a variance of zero. NaN where the window is incomplete.
    """
    out = np.full(len(values), np.nan)
    if len(values) >= window:
        out[window - 1 :] = sliding_window_view(values, window).sum(axis=1)
    return out
