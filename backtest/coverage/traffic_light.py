"""The supervisor's traffic light: zone and capital multiplier by the number of breaches."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .._checks import as_breach, check_probability


class TrafficLightZone(StrEnum):
    """Zone of the Basel traffic light."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


SUPERVISORY_PERIODS = 250
SUPERVISORY_TAIL_PROBABILITY = 0.01
BASE_MULTIPLIER = 3.0
PLUS_FACTORS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.40, 0.50, 0.65, 0.75, 0.85, 1.00)
"""Added to the base for 0, 1, ... and for ten breaches or more; the framework of 1996."""


@dataclass(frozen=True, kw_only=True)
class TrafficLight:
    """Outcome of :func:`basel_traffic_light`.

    Attributes
    ----------
    zone : TrafficLightZone
        Green below 95 %, red from 99.99 % of `cumulative_probability`, yellow between.
    n_breaches, n_periods : int
        What was counted.
    tail_probability : float
        Promised breach probability, in (0, 1).
    cumulative_probability : float
        Probability in (0, 1] of this many breaches or fewer if the margin is right.
    p_value : float
        Probability in (0, 1] of this many breaches or more if the margin is right; exact and
        one-sided.
    """

    zone: TrafficLightZone
    n_breaches: int
    n_periods: int
    tail_probability: float
    cumulative_probability: float
    p_value: float

    @property
    def statistic(self) -> float:
        """Number of breaches."""
        return float(self.n_breaches)

    @property
    def is_supervisory(self) -> bool:
        """Whether the sample is the supervisor's: 250 periods at 1 %."""
        of_that_rate = np.isclose(self.tail_probability, SUPERVISORY_TAIL_PROBABILITY, atol=0.0)
        return self.n_periods == SUPERVISORY_PERIODS and bool(of_that_rate)

    @property
    def plus_factor(self) -> float:
        """Addition to the base multiplier, 0 to 1; NaN if the sample is not the supervisor's."""
        if not self.is_supervisory:
            return float("nan")
        return PLUS_FACTORS[min(self.n_breaches, len(PLUS_FACTORS) - 1)]

    @property
    def multiplier(self) -> float:
        """Capital multiplier, 3 to 4; NaN if the sample is not the supervisor's."""
        return BASE_MULTIPLIER + self.plus_factor


def basel_traffic_light(breach: ArrayLike, *, tail_probability: float = 0.01) -> TrafficLight:
    r"""Zone and capital multiplier of a margin by its number of breaches.

    Green while :math:`P(X \le x) < 95\,\%`, red from 99.99 % on, with :math:`X \sim B(n, p)`;
    250 periods at 1 % give green 0-4, yellow 5-9, red from 10. One-sided: a margin that is too
    high is green.

    The multiplier is 3 in the green zone, 3.40, 3.50, 3.65, 3.75 and 3.85 for five to nine
    breaches, 4 in the red. This table was set for 250 periods at 1 % and for nothing else: on
    any other sample the zones follow the probabilities, ``is_supervisory`` is False, and
    ``plus_factor`` and ``multiplier`` are NaN. Later frameworks have other factors.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin; the supervisor's sample is the last 250 periods.
    tail_probability : float
        Promised breach probability in (0, 1); the rule was written for 0.01.

    Returns
    -------
    TrafficLight
        Zone, counts, probabilities and multiplier.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1, or the probability is outside (0, 1).

    References
    ----------
    Basel Committee on Banking Supervision (1996), "Supervisory framework for the use of
    'backtesting' in conjunction with the internal models approach".

    Examples
    --------
    >>> basel_traffic_light(np.arange(250) < 5).zone
    <TrafficLightZone.YELLOW: 'yellow'>
    >>> basel_traffic_light(np.arange(250) < 5).multiplier
    3.4
    """
    hits = as_breach(breach)
    check_probability("tail_probability", tail_probability)
    n_breaches = int(hits.sum())
    cumulative = float(stats.binom.cdf(n_breaches, hits.size, tail_probability))
    if cumulative < 0.95:
        zone = TrafficLightZone.GREEN
    elif cumulative < 0.9999:
        zone = TrafficLightZone.YELLOW
    else:
        zone = TrafficLightZone.RED
    return TrafficLight(
        zone=zone,
        n_breaches=n_breaches,
        n_periods=hits.size,
        tail_probability=float(tail_probability),
        cumulative_probability=cumulative,
        p_value=float(stats.binom.sf(n_breaches - 1, hits.size, tail_probability)),
    )
