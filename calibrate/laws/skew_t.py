"""The skewed t of Hansen: heavy tails, one of them heavier."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma, log, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from ...errors import InputError
from .law import Tail, as_scores, as_tail_probabilities
from .student_t import HIGHEST_NU, LOWEST_NU, fit_student_t

_MOST_SKEW = 0.9


@dataclass(frozen=True, kw_only=True)
class SkewT:
    """Skewed t with mean, scale, degrees of freedom and skew by maximum likelihood.

    Attributes
    ----------
    pooled : bool
        Whether the scores of all instruments and both sides are fitted together. Sides mirror each
        other, so that what is pooled over both has no skew.
    """

    pooled: bool = False

    @property
    def name(self) -> str:
        """``skew-t``."""
        return "skew-t-pooled" if self.pooled else "skew-t"

    def fit(self, score: ArrayLike, *, tail_probabilities: Sequence[float]) -> Tail:
        """Fit four parameters and read the upper tail."""
        mean, scale, nu, skew = _fit(as_scores(score))
        unit = skew_t_tail(nu, skew, tail_probabilities=tail_probabilities)
        return Tail(
            quantile=mean + scale * unit.quantile, mean_beyond=mean + scale * unit.mean_beyond
        )


def skew_t_tail(nu: float, skew: float, *, tail_probabilities: Sequence[float]) -> Tail:
    r"""Return the upper tail of Hansen's skewed t, of mean zero and unit variance.

    With :math:`a, b, c` of Hansen (1994), a number :math:`z` above :math:`-a/b` is exceeded with
    probability :math:`(1 + \lambda) P(T > y)`, where :math:`y = (b z + a)/(1 + \lambda)` and
    :math:`T` is a t with unit variance. The mean beyond follows from that of :math:`T`.

    Parameters
    ----------
    nu : float
        Degrees of freedom, above 2.
    skew : float
        In (-1, 1); positive if the upper tail is the heavier.
    tail_probabilities : sequence of float
        Each in (0, 0.5), and below (1 + skew) / 2: on the upper side of the mode.

    Raises
    ------
    InputError
        If a number is out of range.

    References
    ----------
    Hansen (1994), "Autoregressive Conditional Density Estimation", International Economic Review
    35(3).
    """
    if not nu > 2.0 or not np.isfinite(nu) or not -1.0 < skew < 1.0:
        raise InputError(f"nu must be above 2 and skew in (-1, 1), were {nu} and {skew}")
    tails = as_tail_probabilities(tail_probabilities)
    if tails.max() >= 0.5 * (1.0 + skew):
        raise InputError(
            f"tail probabilities must be below (1 + skew) / 2 = {0.5 * (1.0 + skew):g}, the upper "
            f"side of the mode, were {list(tail_probabilities)}"
        )
    a, b, _ = skew_constants(nu, skew)
    width = 1.0 + skew
    unit = sqrt((nu - 2.0) / nu)
    plain = stats.t.isf(tails / width, nu)
    beyond = stats.t.pdf(plain, nu) * width / tails * (nu + plain**2) / (nu - 1.0)
    return Tail(
        quantile=(width * unit * plain - a) / b, mean_beyond=(width * unit * beyond - a) / b
    )


def skew_constants(nu: float, skew: float) -> tuple[float, float, float]:
    """Return Hansen's a and b, and the logarithm of his c."""
    log_c = lgamma(0.5 * (nu + 1.0)) - lgamma(0.5 * nu) - 0.5 * log(pi * (nu - 2.0))
    a = 4.0 * skew * np.exp(log_c) * (nu - 2.0) / (nu - 1.0)
    return float(a), sqrt(1.0 + 3.0 * skew**2 - a**2), log_c


def _fit(score: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return mean, standard deviation, degrees of freedom and skew."""
    nu, scale = fit_student_t(score)

    def cost(theta: NDArray[np.float64]) -> float:
        mean, own_scale, own_nu, skew = theta[0], np.exp(theta[1]), np.exp(theta[2]) + 2.0, theta[3]
        a, b, log_c = skew_constants(own_nu, skew)
        z = b * (score / scale - mean) / own_scale + a
        y = z / (1.0 + np.sign(z) * skew)
        log_density = log(b) + log_c - 0.5 * (own_nu + 1.0) * np.log1p(y**2 / (own_nu - 2.0))
        return float(np.log(own_scale) - log_density.mean())

    low, high = np.log(LOWEST_NU - 2.0), np.log(HIGHEST_NU - 2.0)
    found = optimize.minimize(
        cost,
        np.array([0.0, 0.0, np.clip(np.log(nu - 2.0), low, high), 0.0]),
        method="L-BFGS-B",
        bounds=[(-1.0, 1.0), (-2.0, 2.0), (low, high), (-_MOST_SKEW, _MOST_SKEW)],
    )
    mean, log_scale, log_nu, skew = found.x
    own_scale = float(np.exp(log_scale)) * scale
    return float(mean) * scale, own_scale, float(np.exp(log_nu)) + 2.0, float(skew)
