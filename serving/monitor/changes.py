r"""Has the level of a stream changed? Two detectors that take one value at a time.

*CUSUM* (Page, 1954): :math:`S_t = \max(0, S_{t-1} + x_t - k)`, an alarm when :math:`S_t > h`. Fed
with the log-likelihood ratio of two rates of breaches it is the fastest test of one against the
other for its false alarms, and runs at least :math:`e^h` outcomes between two of those
(Lorden, 1971).

*Page-Hinkley* (Hinkley, 1971): the same against the mean so far, for a level that nobody knows:
:math:`m_t = \sum_{i \le t} (x_i - \bar x_i - \delta)`, an alarm when :math:`m_t - \min_{s \le t}
m_s > h`.

Both restart after an alarm. A value that is not finite is counted and changes nothing else.
"""

import math
from collections.abc import Sequence

from msgspec import Struct

from ...errors import InputError


class Change(Struct, frozen=True, kw_only=True):
    """Where a detector stands.

    Attributes
    ----------
    statistic : float
        Not negative, in units of the stream.
    threshold : float
        Above it an alarm is raised.
    alarms, skipped, n : int
        Alarms so far, values that were not finite, values that were taken.
    """

    statistic: float
    threshold: float
    alarms: int
    skipped: int
    n: int


class Cusum:
    """One-sided CUSUM: the mean has risen above `allowance`.

    Parameters
    ----------
    allowance : float
        What a value may be on average; zero for log-likelihood ratios.
    threshold : float
        Positive.
    """

    def __init__(self, *, allowance: float = 0.0, threshold: float) -> None:
        _positive(threshold, "threshold")
        self._allowance, self._threshold = allowance, threshold
        self._sum = 0.0
        self._alarms = self._skipped = self._n = 0

    def update(self, value: float) -> bool:
        """Take the next value; return whether it raises the alarm."""
        if not math.isfinite(value):
            self._skipped += 1
            return False
        self._n += 1
        self._sum = max(0.0, self._sum + value - self._allowance)
        if self._sum <= self._threshold:
            return False
        self._alarms += 1
        self._sum = 0.0
        return True

    def standing(self) -> Change:
        """Return the statistic and the counts."""
        return Change(
            statistic=self._sum,
            threshold=self._threshold,
            alarms=self._alarms,
            skipped=self._skipped,
            n=self._n,
        )

    def state(self) -> list[float]:
        """Return what it remembers."""
        return [self._sum, self._alarms, self._skipped, self._n]

    def restore(self, state: Sequence[float]) -> None:
        """Go on from a state."""
        self._sum = float(state[0])
        self._alarms, self._skipped, self._n = (int(count) for count in state[1:])


class PageHinkley:
    """The mean has risen by more than `tolerance` above what it has been so far.

    Parameters
    ----------
    tolerance : float
        Rise that is of no interest, in units of the stream, not negative.
    threshold : float
        Positive.
    """

    def __init__(self, *, tolerance: float, threshold: float) -> None:
        _positive(threshold, "threshold")
        self._tolerance, self._threshold = tolerance, threshold
        self._alarms = self._skipped = self._n = 0
        self._mean = self._sum = self._lowest = 0.0

    def update(self, value: float) -> bool:
        """Take the next value; return whether it raises the alarm."""
        if not math.isfinite(value):
            self._skipped += 1
            return False
        self._n += 1
        self._mean += (value - self._mean) / self._n
        self._sum += value - self._mean - self._tolerance
        self._lowest = min(self._lowest, self._sum)
        if self._sum - self._lowest <= self._threshold:
            return False
        self._alarms += 1
        self._restart()
        return True

    def standing(self) -> Change:
        """Return the statistic and the counts; `n` counts from the last alarm."""
        return Change(
            statistic=self._sum - self._lowest,
            threshold=self._threshold,
            alarms=self._alarms,
            skipped=self._skipped,
            n=self._n,
        )

    def state(self) -> list[float]:
        """Return what it remembers."""
        moments = [self._sum, self._mean, self._lowest]
        return [*moments, self._alarms, self._skipped, self._n]

    def restore(self, state: Sequence[float]) -> None:
        """Go on from a state."""
        self._sum, self._mean, self._lowest = (float(value) for value in state[:3])
        self._alarms, self._skipped, self._n = (int(count) for count in state[3:])

    def _restart(self) -> None:
        self._n = 0
        self._mean = self._sum = self._lowest = 0.0


def breach_evidence(breach: bool, *, tail_probability: float, rate: float) -> float:
    """Log-likelihood ratio of one outcome: breaches at `rate` against at `tail_probability`.

    Parameters
    ----------
    breach : bool
        Whether the loss was above the margin.
    tail_probability, rate : float
        In (0, 1).
    """
    if breach:
        return math.log(rate / tail_probability)
    return math.log1p(-rate) - math.log1p(-tail_probability)


def excess_log_score(log_return: float, sigma: float, *, cap: float = 4.0) -> float:
    r"""Log score of a normal forecast above what it expects of itself, :math:`(z^2 - 1)/2`.

    Zero on average if the volatility is right, whatever it is, so that a market that wakes up is
    not taken for a model that fails. `cap` bounds :math:`|z|`: one outlier is not a drift.

    Parameters
    ----------
    log_return, sigma : float
        Over the same horizon, decimal.
    cap : float
        Largest :math:`|z|` that counts.

    Returns
    -------
    float
        Natural units of information, positive if the forecast was too low; NaN if `sigma` is not
        positive or either is not finite.
    """
    if not (math.isfinite(log_return) and math.isfinite(sigma) and sigma > 0.0):
        return math.nan
    z = min(abs(log_return) / sigma, cap)
    return (z * z - 1.0) / 2.0


def _positive(value: float, name: str) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise InputError(f"{name} must be positive and finite, was {value}; write 10.0")
