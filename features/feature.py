"""A feature is data: a name, a unit, a sentence, and a function of the past."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..markets import Panel
from .own_time import OwnTime, expanding_mean, own_times, trailing_mean
from .variance import LOG_FLOOR, best_variance


@dataclass(frozen=True, kw_only=True, eq=False)
class Measures:
    """A panel with what every feature starts from, computed once.

    Attributes
    ----------
    panel : Panel
        The market.
    """

    panel: Panel

    @cached_property
    def own(self) -> list[OwnTime]:
        """Every instrument in own time, in column order."""
        return own_times(self.panel)

    @cached_property
    def variance(self) -> NDArray[np.float64]:
        """Variance per period, decimal squared, shape (n_periods, n_instruments)."""
        return self.scatter(best_variance)

    @cached_property
    def log_variance(self) -> NDArray[np.float64]:
        """Log of the floored variance, shape (n_periods, n_instruments)."""
        return self.scatter(self._log_variance)

    @cached_property
    def level(self) -> NDArray[np.float64]:
        """Expanding mean of `log_variance`: the instrument's long-run level known so far."""
        return self.scatter(lambda own: expanding_mean(self.of(own, self.log_variance)))

    def scatter(self, compute: Callable[[OwnTime], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Apply `compute` in own time; return panel shape, NaN where not present."""
        out = np.full((self.panel.n_periods, self.panel.n_instruments), np.nan)
        for own in self.own:
            if len(own.rows):
                out[own.rows, own.column] = compute(own)
        return out

    def of(self, own: OwnTime, array: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return an array of panel shape in the own time of one instrument, shape (n,)."""
        picked: NDArray[np.float64] = array[own.rows, own.column]
        return picked

    def _log_variance(self, own: OwnTime) -> NDArray[np.float64]:
        variance = self.of(own, self.variance)
        floor = LOG_FLOOR * trailing_mean(variance, own.span(days=90), min_periods=1)
        floored = np.maximum(variance, floor)
        # A market that has never moved has no log variance yet.
        return np.log(np.where(floored > 0.0, floored, np.nan))


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number per instrument and period that was known when the period closed.

    Attributes
    ----------
    name : str
        Unique; the column name everywhere.
    unit : str
        What one is one of.
    meaning : str
        One sentence for people.
    compute : callable
        From :class:`Measures` to an array of panel shape; NaN where it cannot be known.
    intraday_only : bool
        True for a feature that says nothing new when a period is a day or longer.
    """

    name: str
    unit: str
    meaning: str
    compute: Callable[[Measures], NDArray[np.float64]]
    intraday_only: bool = False
