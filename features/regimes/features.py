"""Regimes as features: probabilities and leads, each series of an instrument by itself."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ...markets import DAYS_PER_YEAR
from ..feature import Feature
from ..measures import Measures
from ..moving import Values
from .jump_filter import JumpFilter
from .markov_switching import Order, Shocks
from .switching_filter import SwitchingFilter

FIRST_PERIODS = 250
"""Own periods with a return before a regime model is fitted for the first time."""

REFIT_DAYS = 182
"""Most calendar days from one fit to the next, each on everything before it; a history that has
doubled is fitted at once."""


class _Part(Protocol):
    def advance(self, values: Values, /) -> Values: ...


def _each(m: Measures, x: Values, make: Callable[[int], _Part]) -> Values:
    """Run a part for each instrument in its own time; return (n_outputs, n_periods, n)."""
    parts = m.remember(lambda: [make(i) for i in range(m.panel.n_instruments)])
    columns = []
    for i, part in enumerate(parts):
        rows = np.flatnonzero(m.present[:, i])
        own = part.advance(np.ascontiguousarray(x[rows, i]))
        column = np.full((own.shape[1], m.panel.n_periods), np.nan)
        column[:, rows] = own.T
        columns.append(column)
    return np.stack(columns, axis=2)


def _returns_model(m: Measures) -> Values:
    every = m.span(REFIT_DAYS)
    make = lambda i: SwitchingFilter.fresh(  # noqa: E731
        n_states=2, first=FIRST_PERIODS, every=int(every[i]), shocks=Shocks.STUDENT
    )
    return _each(m, m.log_return, make)


def _variance_model(m: Measures) -> Values:
    every = m.span(REFIT_DAYS)
    make = lambda i: SwitchingFilter.fresh(  # noqa: E731
        n_states=3, first=FIRST_PERIODS, every=int(every[i]), order=Order.MEAN
    )
    return _each(m, m.log_variance, make)


def _jump_model(m: Measures) -> Values:
    every = m.span(REFIT_DAYS)
    per_day = m.panel.periods_per_year / DAYS_PER_YEAR
    make = lambda i: JumpFilter.fresh(  # noqa: E731
        first=FIRST_PERIODS, every=int(every[i]), periods_per_day=float(per_day[i])
    )
    return _each(m, m.log_return, make)


REGIME_FEATURES = (
    Feature(
        name="regime_turmoil",
        unit="probability, 0 to 1",
        meaning="filtered probability of the wilder of two states of returns",
        compute=lambda m: m.once(_returns_model)[1],
    ),
    Feature(
        name="regime_variance_high",
        unit="probability, 0 to 1",
        meaning="filtered probability of the highest of three levels of log variance",
        compute=lambda m: m.once(_variance_model)[2],
    ),
    Feature(
        name="regime_variance_low",
        unit="probability, 0 to 1",
        meaning="filtered probability of the lowest of three levels of log variance",
        compute=lambda m: m.once(_variance_model)[0],
    ),
    Feature(
        name="regime_jump",
        unit="share of the jump penalty, -1 to 1",
        meaning="how far the stressed state of the jump model is ahead of the calm one",
        compute=lambda m: m.once(_jump_model)[1],
    ),
)
"""Every feature of statistical regimes."""
