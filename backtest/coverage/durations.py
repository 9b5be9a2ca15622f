"""The test that a breach is as likely after a long quiet as after a short one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from .._checks import as_breach
from .._results import TestResult
from ._likelihood import chi2_result

_SHAPES = (1e-3, 10.0)
"""Between these the shape is searched; waits like clockwork have no best one below infinity."""


def duration_test(breach: ArrayLike) -> TestResult:
    r"""Christoffersen and Pelletier's test that waits between breaches have no memory.

    Waits :math:`D_i` between breaches follow a Weibull law
    :math:`f(D) = a^b b D^{b-1} e^{-(aD)^b}`, whose hazard falls with the wait for b < 1
    (breaches cluster) and rises for b > 1; b = 1 is the exponential law. The quiet before the
    first and after the last breach are waits of at least so long: they enter by
    :math:`S(D) = e^{-(aD)^b}`. With :math:`m` complete waits, and :math:`a` put at its best,

    .. math:: \ell(b) = m \ln\frac{m}{\sum_{all} D_i^b} + m \ln b
              + (b - 1) \sum_{complete} \ln D_i - m, \qquad
              LR = 2\,[\max_b \ell(b) - \ell(1)] \sim \chi^2(1)

    The function is concave, so there is one best :math:`b`; it is searched up to 10, which
    waits of one length reach. Two-sided, and silent on the rate: join it with
    :func:`kupiec_pof`. :func:`duration_shape` says in which direction it points.

    The law is continuous, waits are whole periods, and samples have few of them. Simulated at a
    significance level of 5 %, it rejects a right margin in 15, 8 and 5 % of cases at p = 1 %
    and n = 250, 1000 and 2500, and in 8, 10 and 16 % at p = 5 %: outside of many rare breaches
    take the p-value from :func:`simulated`.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin, in time order.

    Returns
    -------
    TestResult
        ``statistic`` is LR with ``df`` 1. With fewer than two breaches no wait is complete:
        statistic 0, p-value 1.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1.

    References
    ----------
    Christoffersen and Pelletier (2004), "Backtesting Value-at-Risk: A Duration-Based Approach",
    Journal of Financial Econometrics 2(1).

    Examples
    --------
    >>> clockwork = np.arange(1000) % 50 == 0
    >>> duration_test(clockwork).p_value < 0.001
    True
    """
    waits = _waits(as_breach(breach))
    if not waits.n_complete:
        return chi2_result(0.0, df=1)
    gain = waits.log_likelihood(waits.best_shape()) - waits.log_likelihood(1.0)
    return chi2_result(2.0 * gain, df=1)


def duration_shape(breach: ArrayLike) -> float:
    """Weibull shape of the waits between breaches, as :func:`duration_test` estimates it.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin, in time order.

    Returns
    -------
    float
        Dimensionless, in [0.001, 10]: below 1 breaches cluster, above 1 they keep a distance.
        NaN with fewer than two breaches.

    Raises
    ------
    InputError
        If `breach` is not 1-D bool or 0/1.
    """
    waits = _waits(as_breach(breach))
    return waits.best_shape() if waits.n_complete else float("nan")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waits:
    """Waits as the likelihood reads them."""

    relative: NDArray[np.float64]  # every wait over the longest, in (0, 1]: powers cannot overflow
    n_complete: int
    sum_log_complete: float  # of the relative waits
    log_longest: float

    def log_likelihood(self, shape: float) -> float:
        """Log-likelihood at a shape, the scale at its best."""
        m, total = self.n_complete, (self.relative**shape).sum()
        concentrated = np.log(m * shape / total) - 1.0 - self.log_longest
        return float(m * concentrated + (shape - 1.0) * self.sum_log_complete)

    def score(self, shape: float) -> float:
        """Slope of the log-likelihood, which falls with the shape."""
        power = self.relative**shape
        mean_log = power @ np.log(self.relative) / power.sum()
        return float(self.n_complete * (1.0 / shape - mean_log) + self.sum_log_complete)

    def best_shape(self) -> float:
        low, high = _SHAPES
        if self.score(high) >= 0.0:
            return high
        return float(optimize.brentq(self.score, low, high, xtol=1e-10, rtol=1e-12))


def _waits(hits: NDArray[np.bool_]) -> _Waits:
    time = np.flatnonzero(hits) + 1.0
    complete = np.diff(time)
    # A breach in the first or the last period leaves no quiet at that end.
    ends = [time[0]] if time.size and time[0] > 1.0 else []
    ends += [hits.size - time[-1]] if time.size and time[-1] < hits.size else []
    every = np.concatenate([complete, ends])
    longest = every.max() if every.size else 1.0
    return _Waits(
        relative=every / longest,
        n_complete=complete.size,
        sum_log_complete=float(np.log(complete / longest).sum()),
        log_longest=float(np.log(longest)),
    )
