"""The switching model in real time: filtered probabilities, parameters from before the row."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .markov_switching import (
    Order,
    Shocks,
    SwitchingParameters,
    filter_rows,
    fit_switching,
)
from .schedule import GrowingHistory

Values = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class SwitchingFilter:
    """Filtered regime probabilities of one series, refitted on a growing past.

    The model is fitted before the row number `history.first` (counted from zero, known values
    only) is looked at, and again on the schedule of :class:`.schedule.GrowingHistory`, each time
    on all rows before.
    After a fit the filter runs through the past once more with the new parameters; earlier
    probabilities stand as they were given.

    Attributes
    ----------
    n_states : int
        Number of states.
    shocks, order : Shocks, Order
        As in :func:`fit_switching`.
    history : GrowingHistory
        The past, and the schedule.
    parameters : SwitchingParameters or None
        The last estimate; None before the first.

    Examples
    --------
    >>> returns = np.random.default_rng(0).normal(size=400) * np.repeat([0.01, 0.04], 200)
    >>> part = SwitchingFilter.fresh(n_states=2, first=300, every=50)
    >>> probability = part.advance(returns)
    >>> bool(np.isnan(probability[299]).all()), bool(probability[-1, 1] > 0.9)
    (True, True)
    """

    n_states: int
    shocks: Shocks
    order: Order
    history: GrowingHistory
    parameters: SwitchingParameters | None = None
    _predicted: Values | None = None

    @classmethod
    def fresh(
        cls,
        *,
        n_states: int,
        first: int,
        every: int,
        shocks: Shocks = Shocks.NORMAL,
        order: Order = Order.VARIANCE,
    ) -> Self:
        """Return the part before its first row.

        Raises
        ------
        InputError
            If the schedule is not made of whole numbers above zero.
        """
        if first < 1 or every < 1:
            raise InputError(
                f"first and every must be numbers of rows, at least 1, were {first} and {every}"
            )
        history = GrowingHistory(first=first, every=every, width=1)
        return cls(n_states=n_states, shocks=shocks, order=order, history=history)

    def advance(self, values: Values) -> Values:
        """Take further rows, shape (n,), NaN where unknown.

        Returns
        -------
        ndarray, shape (n, n_states)
            Probability of each state given everything up to the row; NaN before the first fit
            and where the value is.
        """
        out = np.full((len(values), self.n_states), np.nan)
        known = np.flatnonzero(np.isfinite(values))
        at = 0
        while at < len(known):
            if not self.history.until_due:
                self._fit()
                self.history.fitted()
            rows = known[at : at + self.history.until_due]
            out[rows] = self._filter(values[rows])
            self.history.append(values[rows, None])
            at += len(rows)
        return out

    def update(self, value: float) -> Values:
        """Take one row and return its probabilities; the same as a chunk of one row."""
        row: Values = self.advance(np.array([value]))[0]
        return row

    def _fit(self) -> None:
        past = self.history.rows[:, 0]
        if not past.std() > 0.0:
            return  # a price that has never moved has no regimes yet
        self.parameters = fit_switching(
            past,
            n_states=self.n_states,
            shocks=self.shocks,
            order=self.order,
            start=self.parameters,
        )
        self._predicted = self.parameters.stationary.copy()
        self._filter(past)

    def _filter(self, values: Values) -> Values:
        if self.parameters is None or self._predicted is None:
            return np.full((len(values), self.n_states), np.nan)
        p = self.parameters
        state = (p.mean, p.scale, p.transition, p.nu, self._predicted)
        return np.asarray(filter_rows(np.ascontiguousarray(values), *state))
