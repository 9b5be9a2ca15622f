"""The jump model in real time: features of downside risk, states by the forward recursion."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..moving import DecayedMean
from .jump_model import JumpParameters, cost_forward, fit_jump_model
from .schedule import GrowingHistory

Values = NDArray[np.float64]

DOWNSIDE_HALF_LIVES_DAYS = (5.0, 20.0)
"""Half-lives of the downside deviation, calendar days.

Shu, Yu and Mulvey (2024) use one of ten days and Sortino ratios of twenty and sixty; two ratios
out of three features make states of rising and falling markets. What margin needs is calm and
stress, so the deviations have the majority here.
"""

SORTINO_HALF_LIFE_DAYS = 20.0
"""Half-life of the mean return over the downside deviation, calendar days."""

_WIDTH = len(DOWNSIDE_HALF_LIVES_DAYS) + 1

JUMP_PENALTY_PER_DAY = 20.0
"""Cost of a change of state against the losses of one day.

The path of the fit is about as good at fifty (the value of Shu, Yu and Mulvey); in real time a
larger penalty is only later.
"""


def _mean(half_life: float) -> DecayedMean:
    return DecayedMean.fresh(np.array([0.5 ** (1.0 / half_life)]))


@dataclass(frozen=True, kw_only=True, eq=False)
class DownsideFeatures:
    """Log downside deviations and the Sortino ratio of returns, exponentially weighted.

    Attributes
    ----------
    squares : tuple of DecayedMean
        Mean squared fall at each half-life of the deviation.
    mean : DecayedMean
        Mean return, at the longer of them.
    """

    squares: tuple[DecayedMean, ...]
    mean: DecayedMean

    @classmethod
    def fresh(cls, *, periods_per_day: float) -> Self:
        """Return the part before its first row; half-lives are turned into own periods."""
        return cls(
            squares=tuple(_mean(days * periods_per_day) for days in DOWNSIDE_HALF_LIVES_DAYS),
            mean=_mean(SORTINO_HALF_LIFE_DAYS * periods_per_day),
        )

    def advance(self, log_return: Values) -> Values:
        """Take further decimal log returns, shape (n,); return features, shape (n, 3).

        NaN until there was a fall: without one there is no downside deviation.
        """
        x = np.ascontiguousarray(log_return[:, None])
        known = np.isfinite(x)
        fall = np.minimum(x, 0.0)
        squares = [part.advance(fall * fall, known)[:, 0] for part in self.squares]
        downside = [np.sqrt(np.where(square > 0.0, square, np.nan)) for square in squares]
        sortino = self.mean.advance(x, known)[:, 0] / downside[-1]
        return np.column_stack([*(np.log(one) for one in downside), sortino])


@dataclass(kw_only=True, eq=False)
class JumpFilter:
    """State of one series of returns in real time, refitted on a growing past.

    Attributes
    ----------
    jump_penalty : float
        Cost of one change of state.
    features : DownsideFeatures
        What the states are clusters of.
    history : GrowingHistory
        Features so far, and the schedule of fits (as in :class:`.SwitchingFilter`).
    parameters : JumpParameters or None
        The last fit; None before the first.

    Examples
    --------
    >>> returns = np.random.default_rng(0).normal(size=600) * np.repeat([0.01, 0.04, 0.01], 200)
    >>> part = JumpFilter.fresh(first=500, every=50)
    >>> state = part.advance(returns)
    >>> bool(np.isnan(state[499, 0])), float(state[-1, 0])
    (True, 0.0)
    """

    jump_penalty: float
    features: DownsideFeatures
    history: GrowingHistory
    parameters: JumpParameters | None = None
    _cost: Values | None = None

    @classmethod
    def fresh(cls, *, first: int, every: int, periods_per_day: float = 1.0) -> Self:
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
        return cls(
            # A day holds as many losses as periods; the penalty keeps its weight against them.
            jump_penalty=JUMP_PENALTY_PER_DAY * periods_per_day,
            features=DownsideFeatures.fresh(periods_per_day=periods_per_day),
            history=GrowingHistory(
                first=first, every=every, width=len(DOWNSIDE_HALF_LIVES_DAYS) + 1
            ),
        )

    def advance(self, log_return: Values) -> Values:
        """Take further decimal log returns, shape (n,), NaN where unknown.

        Returns
        -------
        ndarray, shape (n, 2)
            The state (0 calm, 1 stressed) and the lead of the stressed path over the calm one
            in units of the penalty, -1 to 1: at 1 a fall back to calm is as far away as can be.
            NaN before the first fit.
        """
        out = np.full((len(log_return), 2), np.nan)
        x = self.features.advance(log_return)
        known = np.flatnonzero(np.isfinite(x).all(axis=1))
        at = 0
        while at < len(known):
            if not self.history.until_due:
                self._fit()
                self.history.fitted()
            rows = known[at : at + self.history.until_due]
            out[rows] = self._states(x[rows])
            self.history.append(x[rows])
            at += len(rows)
        return out

    def update(self, log_return: float) -> Values:
        """Take one row and return its state and lead; the same as a chunk of one row."""
        row: Values = self.advance(np.array([log_return]))[0]
        return row

    def _fit(self) -> None:
        self.parameters = fit_jump_model(self.history.rows, jump_penalty=self.jump_penalty)
        self._cost = np.zeros(self.parameters.n_states)
        self._states(self.history.rows)

    def _states(self, x: Values) -> Values:
        if self.parameters is None or self._cost is None:
            return np.full((len(x), 2), np.nan)
        costs = np.empty((len(x), self.parameters.n_states))
        cost_forward(self.parameters.loss(x), self.jump_penalty, self._cost, costs)
        lead = np.clip((costs[:, 0] - costs[:, 1]) / self.jump_penalty, -1.0, 1.0)
        return np.column_stack([costs.argmin(axis=1).astype(np.float64), lead])
