"""Tests of a whole law, or of its tail, through the normal scores of its outcomes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from ...errors import InputError
from .._checks import check_longer_than, check_probability
from .._results import TestResult
from ._likelihood import chi2_result
from ._pit import as_pit

_GRID = np.linspace(-0.99, 0.99, 67)
_NEWTON_STEPS = 100


def berkowitz(pit: ArrayLike) -> TestResult:
    r"""Berkowitz' test that normal scores have mean 0, variance 1 and no autocorrelation.

    With :math:`z_t = \Phi^{-1}(u_t)`, the ratio of the exact Gaussian likelihood of

    .. math:: z_t - \mu = \rho\,(z_{t-1} - \mu) + \epsilon_t, \qquad
              \epsilon_t \sim N(0, \sigma^2)

    at its best to that at :math:`\mu = 0, \sigma = 1, \rho = 0`, which has a
    :math:`\chi^2(3)` law. The first score counts with its stationary law. It asks about the
    whole law, of which a margin uses the tail: see :func:`berkowitz_tail`. Other departures
    (a heavy tail of the right variance, dependence in the variance) it hardly sees.

    Parameters
    ----------
    pit : array_like, shape (n,)
        Probability integral transforms :math:`u_t = F_t(r_t)`, in (0, 1), in time order, n > 3:
        the forecast probability of an outcome of at most the one that came.

    Returns
    -------
    TestResult
        ``statistic`` is LR with ``df`` 3.

    Raises
    ------
    InputError
        If a value is not in (0, 1), there are too few, or all are equal.

    References
    ----------
    Berkowitz (2001), "Testing Density Forecasts, With Applications to Risk Management",
    JBES 19(4).

    Examples
    --------
    >>> u = np.random.default_rng(0).random(500)
    >>> berkowitz(u).p_value > 0.05, berkowitz(u**1.5).p_value > 0.05
    (True, False)
    """
    values = as_pit(pit)
    check_longer_than("pit", values, 3, "three parameters")
    if np.ptp(values) == 0.0:
        raise InputError(
            f"pit must vary, was {values[0]:g} in every period; pass one value per outcome"
        )
    score = special.ndtri(values)
    series = _Autoregression(score)
    found = _GRID[np.argmin(series.minus_profile(_GRID))]
    step = _GRID[1] - _GRID[0]
    bounds = max(found - step, -1.0 + 1e-9), min(found + step, 1.0 - 1e-9)
    best = optimize.minimize_scalar(
        lambda rho: float(series.minus_profile(rho)),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-9},
    )
    # Both sides leave out n / 2 ln(2 pi).
    return chi2_result(2.0 * (-float(best.fun) + 0.5 * float(score @ score)), df=3)


def berkowitz_tail(pit: ArrayLike, *, tail_probability: float) -> TestResult:
    r"""Berkowitz' test that the normal scores in the lower tail are those of a normal law.

    Scores :math:`z_t = \Phi^{-1}(u_t)` below :math:`c = \Phi^{-1}(p)` enter by their density,
    all others only by being others:

    .. math:: \ell(\mu, \sigma) = \sum_{z_t < c} \ln \frac{1}{\sigma}
              \phi\Big(\frac{z_t - \mu}{\sigma}\Big)
              + \sum_{z_t \ge c} \ln \Phi\Big(\frac{\mu - c}{\sigma}\Big), \qquad
              LR = 2\,[\max \ell - \ell(0, 1)] \sim \chi^2(2)

    Reads how often the tail is hit and how far beyond; not when. A score exactly at the
    threshold lies outside, as a loss equal to the margin is no breach.

    Parameters
    ----------
    pit : array_like, shape (n,)
        Probability integral transforms of returns, in (0, 1): small is a large loss. For a
        short position pass ``1 - pit``.
    tail_probability : float
        Probability :math:`p` of the tail, in (0, 1), for example 0.01.

    Returns
    -------
    TestResult
        ``statistic`` is LR with ``df`` 2. With nothing in the tail, :math:`-2n\ln(1-p)`.

    Raises
    ------
    InputError
        If a value is not in (0, 1), or all are equal and lie in the tail.

    References
    ----------
    Berkowitz (2001), "Testing Density Forecasts, With Applications to Risk Management",
    JBES 19(4).

    Examples
    --------
    >>> u = np.random.default_rng(0).random(500)
    >>> berkowitz_tail(u, tail_probability=0.05).p_value > 0.05
    True
    """
    values = as_pit(pit)
    check_probability("tail_probability", tail_probability)
    tail = values[values < tail_probability]
    n_outside = values.size - tail.size
    if not tail.size:
        return chi2_result(-2.0 * n_outside * float(np.log1p(-tail_probability)), df=2)
    if not n_outside and np.ptp(tail) == 0.0:
        raise InputError(
            f"pit must vary, was {tail[0]:g} in every period; pass one value per outcome"
        )
    score, threshold = special.ndtri(tail), float(special.ndtri(tail_probability))
    censored = _CensoredNormal(
        count=tail.size,
        total=float(score.sum()),
        total_square=float(score @ score),
        n_outside=n_outside,
        threshold=threshold,
    )
    start = np.array([0.0, 1.0])
    gain = censored.log_likelihood(censored.best(start)) - censored.log_likelihood(start)
    return chi2_result(2.0 * gain, df=2)


class _Autoregression:
    """Exact likelihood of an AR(1) series as a function of its autocorrelation."""

    def __init__(self, score: NDArray[np.float64]) -> None:
        # The mean is free, so a shift changes nothing; without it squares would cancel.
        centred = score - score.mean()
        now, before = centred[1:], centred[:-1]
        self._n, self._first = score.size, float(centred[0])
        self._sums = float(now.sum()), float(before.sum())
        self._squares = float(now @ now), float(now @ before), float(before @ before)

    def minus_profile(self, rho: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Minus the log-likelihood at the best mean and variance, without its constant."""
        n, (sum_now, sum_before) = self._n, self._sums
        now, both, before = self._squares
        rest = sum_now - rho * sum_before
        weight = 1.0 + rho + (n - 1) * (1.0 - rho)
        mean = ((1.0 + rho) * self._first + rest) / weight
        drift = (1.0 - rho) * mean
        errors = now - 2.0 * rho * both + rho**2 * before - 2.0 * drift * rest + (n - 1) * drift**2
        variance = ((1.0 - rho**2) * (self._first - mean) ** 2 + errors) / n
        return np.asarray(0.5 * (n * np.log(variance) - np.log1p(-(rho**2)) + n))


@dataclass(frozen=True, kw_only=True)
class _CensoredNormal:
    """Likelihood in (mu / sigma, 1 / sigma), in which it is concave (Olsen 1978)."""

    count: int
    total: float
    total_square: float
    n_outside: int
    threshold: float

    def log_likelihood(self, point: NDArray[np.float64]) -> float:
        delta, tau = point
        squares = tau**2 * self.total_square - 2.0 * tau * delta * self.total
        inside = self.count * np.log(tau) - 0.5 * (squares + self.count * delta**2)
        return float(inside + self.n_outside * special.log_ndtr(delta - tau * self.threshold))

    def slope_and_curvature(
        self, point: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        delta, tau = point
        z = delta - tau * self.threshold
        # phi / Phi without underflow far to the left.
        mills = np.exp(-0.5 * z**2 - 0.5 * np.log(2.0 * np.pi) - special.log_ndtr(z))
        first, second = self.n_outside * mills, -self.n_outside * mills * (z + mills)
        direction = np.array([1.0, -self.threshold])
        slope = first * direction + np.array(
            [
                tau * self.total - self.count * delta,
                self.count / tau - tau * self.total_square + delta * self.total,
            ]
        )
        curvature = second * np.outer(direction, direction) + np.array(
            [
                [-self.count, self.total],
                [self.total, -self.count / tau**2 - self.total_square],
            ]
        )
        return slope, curvature

    def best(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Climb by Newton's method, halving a step that leaves the domain or goes down."""
        value = self.log_likelihood(point)
        for _ in range(_NEWTON_STEPS):
            slope, curvature = self.slope_and_curvature(point)
            step = np.linalg.solve(curvature, -slope)
            if slope @ step < 1e-12:
                return point
            while point[1] + step[1] <= 0.0 or self.log_likelihood(point + step) < value:
                step = 0.5 * step
                if np.abs(step).max() < 1e-12:
                    return point
            point = point + step
            value = self.log_likelihood(point)
        return point
