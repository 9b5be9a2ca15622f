"""Student's t: heavy tails, the same on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from ...errors import InputError
from .law import Tail, as_scores, as_tail_probabilities

LOWEST_NU, HIGHEST_NU = 2.1, 200.0
"""Degrees of freedom fitted: with a variance, and up to what cannot be told from normal."""


@dataclass(frozen=True, kw_only=True)
class StudentT:
    """Student's t of mean zero, degrees of freedom and scale by maximum likelihood.

    Attributes
    ----------
    pooled : bool
        Whether the scores of all instruments and both sides are fitted together.
    """

    pooled: bool = False

    @property
    def name(self) -> str:
        """``student-t``."""
        return "student-t-pooled" if self.pooled else "student-t"

    def fit(self, score: ArrayLike, *, tail_probabilities: Sequence[float]) -> Tail:
        """Fit degrees of freedom and scale, and read the tail."""
        nu, scale = fit_student_t(as_scores(score))
        unit = student_t_tail(nu, tail_probabilities=tail_probabilities)
        return Tail(quantile=scale * unit.quantile, mean_beyond=scale * unit.mean_beyond)


def student_t_tail(nu: float, *, tail_probabilities: Sequence[float]) -> Tail:
    r"""Return the tail of Student's t with unit variance.

    With :math:`t_p` the quantile of the plain law and :math:`f` its density, the mean beyond is
    :math:`\frac{f(t_p)}{p} \frac{\nu + t_p^2}{\nu - 1}`; both are multiplied by
    :math:`\sqrt{(\nu - 2)/\nu}` (McNeil, Frey and Embrechts 2015, *Quantitative Risk Management*).

    Parameters
    ----------
    nu : float
        Degrees of freedom, above 2.
    tail_probabilities : sequence of float
        Each in (0, 0.5).

    Raises
    ------
    InputError
        If `nu` is not above 2, or a probability out of range.

    Examples
    --------
    >>> tail = student_t_tail(5.0, tail_probabilities=[0.01])
    >>> round(float(tail.quantile[0]), 6), round(float(tail.mean_beyond[0]), 6)
    (2.606464, 3.448837)
    """
    if not nu > 2.0 or not np.isfinite(nu):
        raise InputError(f"nu must be finite and above 2, for a variance to exist, was {nu}")
    tails = as_tail_probabilities(tail_probabilities)
    plain = stats.t.isf(tails, nu)
    beyond = stats.t.pdf(plain, nu) / tails * (nu + plain**2) / (nu - 1.0)
    unit = np.sqrt((nu - 2.0) / nu)
    return Tail(quantile=unit * plain, mean_beyond=unit * beyond)


def fit_student_t(score: NDArray[np.float64]) -> tuple[float, float]:
    """Return degrees of freedom, and the standard deviation of the law, of mean zero."""
    size = float(np.sqrt(np.mean(score**2)))
    squared = (score / size) ** 2

    def cost(theta: NDArray[np.float64]) -> float:
        nu, scale = np.exp(theta[0]) + 2.0, np.exp(theta[1])
        log_density = stats.t.logpdf(0.0, nu) - 0.5 * (nu + 1.0) * np.log1p(
            squared / (scale**2 * (nu - 2.0))
        )
        return float(np.log(scale * np.sqrt((nu - 2.0) / nu)) - log_density.mean())

    low, high = np.log(LOWEST_NU - 2.0), np.log(HIGHEST_NU - 2.0)
    found = optimize.minimize(
        cost, np.array([np.log(4.0), 0.0]), method="L-BFGS-B", bounds=[(low, high), (-2.0, 3.0)]
    )
    return float(np.exp(found.x[0]) + 2.0), float(np.exp(found.x[1]) * size)
