r"""Continuous ranked probability score: the loss of a whole predicted law.

.. math:: \mathrm{CRPS}(F, y) = \int (F(x) - 1\{y \le x\})^2\,dx
          = \mathrm E|X - y| - \tfrac12\,\mathrm E|X - X'|

in the unit of the outcome, lower is better; for a law that is one point, the absolute error.
It is the quantile loss averaged over all tail probabilities, so the tails hardly count in it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from ..errors import InputError, NotEnoughHistoryError, ShapeError
from ._checks import as_values, check_same_shape


def crps_ensemble(
    outcome: ArrayLike, ensemble: ArrayLike, *, fair: bool = False
) -> NDArray[np.float64]:
    r"""CRPS of a law given by draws from it.

    .. math:: \frac1m\sum_i |x_i - y| - \frac{1}{2 m^2}\sum_{i,j} |x_i - x_j|

    The plain version is the score of the empirical law of the draws; on average it is larger
    than that of the law they come from, the more the fewer there are. The fair one has
    :math:`m (m - 1)` in the place of :math:`m^2`, and has the score of that law as its
    expectation; it can be negative [1]_. Sorting costs :math:`m \log m` per outcome.

    Parameters
    ----------
    outcome : array_like, shape (n,)
        What happened, any unit.
    ensemble : array_like, shape (n, n_members)
        Draws for the same periods, same unit, in any order; one member at least, two if `fair`.
    fair : bool
        Whether to judge the law behind the draws rather than the draws.

    Returns
    -------
    ndarray, shape (n,)
        Loss per period, same unit.

    Raises
    ------
    InputError
        If a value is not finite, shapes do not fit or there are too few members.

    References
    ----------
    .. [1] Ferro (2014), "Fair scores for ensemble forecasts", Quarterly Journal of the Royal
       Meteorological Society 140(683); Jordan, Krüger and Lerch (2019), "Evaluating
       Probabilistic Forecasts with scoringRules", Journal of Statistical Software 90(12).

    Examples
    --------
    >>> crps_ensemble([1.0], [[0.0, 2.0]]), crps_ensemble([1.0], [[0.0, 2.0]], fair=True)
    (array([0.5]), array([0.]))
    """
    happened, draws = as_values("outcome", outcome), as_values("ensemble", ensemble)
    if happened.ndim != 1 or draws.ndim != 2 or len(draws) != len(happened):
        raise ShapeError(
            "outcome must have shape (n,) and ensemble (n, n_members), were "
            f"{happened.shape} and {draws.shape}; put one row per period"
        )
    n_members = draws.shape[1]
    if n_members < 1 + fair:
        raise NotEnoughHistoryError(
            f"ensemble must hold at least {1 + fair} members, had {n_members}; draw more"
        )
    # Relative to the outcome: sums of large values that nearly cancel would lose digits.
    error = np.sort(draws - happened[:, None], axis=1)
    rank = np.arange(n_members)
    # The k-th smallest is larger than k others and smaller than the rest.
    spread = error @ (2.0 * rank - n_members + 1.0)
    pairs = n_members * (n_members - 1) if fair else n_members**2
    score: NDArray[np.float64] = np.abs(error).mean(axis=1) - spread / pairs
    return score


def crps_normal(outcome: ArrayLike, mean: ArrayLike, sigma: ArrayLike) -> NDArray[np.float64]:
    r"""CRPS of a normal law.

    .. math:: \sigma\Big(z\,(2\Phi(z) - 1) + 2\varphi(z) - \frac{1}{\sqrt\pi}\Big),
              \qquad z = \frac{y - \mu}{\sigma}

    Parameters
    ----------
    outcome : array_like
        What happened, any unit.
    mean : array_like
        Mean of the predicted law, same unit.
    sigma : array_like
        Its standard deviation, same unit, > 0.

    Returns
    -------
    ndarray
        Loss per element, same unit, > 0.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ or a standard deviation is not positive.

    References
    ----------
    Gneiting and Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation",
    JASA 102(477).

    Examples
    --------
    >>> round(float(crps_normal(0.0, 0.0, 1.0)), 6)
    0.233695
    """
    happened, centre, spread = _three(outcome, "mean", mean, "sigma", sigma)
    z = (happened - centre) / spread
    score: NDArray[np.float64] = spread * (
        z * (2.0 * special.ndtr(z) - 1.0) + 2.0 * stats.norm.pdf(z) - 1.0 / np.sqrt(np.pi)
    )
    return score


def crps_student_t(
    outcome: ArrayLike, location: ArrayLike, scale: ArrayLike, *, nu: float
) -> NDArray[np.float64]:
    r"""CRPS of a Student t law.

    .. math:: s\Big(z\,(2F_\nu(z) - 1) + 2 f_\nu(z)\frac{\nu + z^2}{\nu - 1}
              - \frac{2\sqrt\nu}{\nu - 1}\,
              \frac{B(\frac12, \nu - \frac12)}{B(\frac12, \frac\nu2)^2}\Big),
              \qquad z = \frac{y - m}{s}

    Parameters
    ----------
    outcome : array_like
        What happened, any unit.
    location : array_like
        Centre :math:`m` of the predicted law, same unit.
    scale : array_like
        Scale :math:`s`, same unit, > 0; not its standard deviation, which is
        :math:`s\sqrt{\nu / (\nu - 2)}`.
    nu : float
        Degrees of freedom, > 1: the score is infinite without a mean.

    Returns
    -------
    ndarray
        Loss per element, same unit, > 0.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, a scale is not positive or nu is not above 1.

    References
    ----------
    Jordan, Krüger and Lerch (2019), "Evaluating Probabilistic Forecasts with scoringRules",
    Journal of Statistical Software 90(12), appendix A.

    Examples
    --------
    >>> round(float(crps_student_t(0.0, 0.0, 1.0, nu=5.0)), 6)
    0.257025
    """
    happened, centre, spread = _three(outcome, "location", location, "scale", scale)
    if not 1.0 < nu < np.inf:
        raise InputError(
            f"nu must be above 1 and finite, was {nu}; a law without mean has no finite score, "
            "and crps_normal is the limit of many degrees of freedom"
        )
    z = (happened - centre) / spread
    # Logarithms of the beta function, which underflows at many degrees of freedom.
    beta_ratio = np.exp(special.betaln(0.5, nu - 0.5) - 2.0 * special.betaln(0.5, nu / 2.0))
    score: NDArray[np.float64] = spread * (
        z * (2.0 * stats.t.cdf(z, nu) - 1.0)
        + 2.0 * stats.t.pdf(z, nu) * (nu + z**2) / (nu - 1.0)
        - 2.0 * np.sqrt(nu) / (nu - 1.0) * beta_ratio
    )
    return score


def _three(
    outcome: ArrayLike, name_a: str, a: ArrayLike, name_b: str, b: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    happened = as_values("outcome", outcome)
    centre, spread = as_values(name_a, a), as_values(name_b, b)
    check_same_shape(**{"outcome": happened, name_a: centre, name_b: spread})
    if np.any(spread <= 0.0):
        raise InputError(
            f"{name_b} must be > 0, found {int(np.sum(spread <= 0.0))} of {spread.size} at or "
            "below zero; a law that is one point has the absolute error as its score"
        )
    return happened, centre, spread
