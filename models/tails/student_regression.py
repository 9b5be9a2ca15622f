"""A linear log variance estimated from the returns themselves, under Student t errors.

A regression on realised variances asks what they will be; this one asks how wide the law of the
return will be, nights and jumps included. Its coefficients are drawn towards those of the other,
which rest on far less noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from ...errors import ConvergenceError

Values = NDArray[np.float64]

_PRIOR_SPREAD = 0.1  # of a coefficient per standard deviation of its term, around the prior's
_LEAST_NU = 2.1  # degrees of freedom: the variance exists
_START_NU = 5.0
_LOG_NU_BOUNDS = (-2.0, 4.0)  # of nu beyond the least: 2.2 to 57


@dataclass(frozen=True, kw_only=True, eq=False)
class StudentFit:
    """A fitted law of the return.

    Attributes
    ----------
    intercept : float
        Constant of the log variance.
    coefficient : ndarray, shape (n_terms,)
        Of the terms, in their own units.
    mu : float
        Location of the return.
    nu : float
        Degrees of freedom.
    """

    intercept: float
    coefficient: Values
    mu: float
    nu: float

    def predict_log(self, x: Values) -> Values:
        """Return the log variance, shape (n,), for terms of shape (n, n_terms)."""
        return np.asarray(self.intercept + x @ self.coefficient)


def fit_student_regression(x: Values, y: Values, *, prior: Values) -> StudentFit:
    """Estimate by maximum likelihood with a normal prior on the coefficients.

    Parameters
    ----------
    x : ndarray, shape (n, n_terms)
        Terms, finite.
    y : ndarray, shape (n,)
        Returns, finite, of order one.
    prior : ndarray, shape (n_terms,)
        Coefficients that the estimate is drawn to, in the units of `x`.

    Raises
    ------
    ConvergenceError
        If the optimiser stops without a solution.
    """
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)
    z = np.column_stack([np.ones(len(x)), (x - centre) / spread])
    wanted = prior * spread
    start = [np.log(np.mean(y**2)), *wanted, np.log(_START_NU - _LEAST_NU), 0.0]
    bounds = [(None, None)] * z.shape[1] + [_LOG_NU_BOUNDS, (None, None)]
    result = minimize(
        _negative,
        np.array(start),
        args=(z, y, wanted),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
    )
    if not np.isfinite(result.fun) or not np.isfinite(result.x).all():
        raise ConvergenceError(
            f"the Student regression of {len(y)} returns found no solution ({result.message}); "
            "try a longer history"
        )
    coefficient = result.x[1:-2] / spread
    return StudentFit(
        intercept=float(result.x[0] - centre @ coefficient),
        coefficient=coefficient,
        mu=float(result.x[-1]),
        nu=float(_LEAST_NU + np.exp(result.x[-2])),
    )


def _negative(search: Values, z: Values, y: Values, wanted: Values) -> tuple[float, Values]:
    """Minus the log posterior and its gradient; search is coefficients, log nu - 2.1, mu."""
    n_terms = z.shape[1]
    log_variance = z @ search[:n_terms]
    beyond, mu = np.exp(search[n_terms]), search[n_terms + 1]
    nu = _LEAST_NU + beyond
    precision = np.exp(-log_variance) / (nu - 2.0)
    distance = (y - mu) ** 2 * precision
    half = 0.5 * (nu + 1.0)
    constant = gammaln(half) - gammaln(0.5 * nu) - 0.5 * np.log(np.pi * (nu - 2.0))
    log_one = np.log1p(distance)
    pull = distance / (1.0 + distance)
    gap = (search[1:n_terms] - wanted) / _PRIOR_SPREAD
    value = -float(np.sum(constant - 0.5 * log_variance - half * log_one)) + 0.5 * float(gap @ gap)
    by_nu = 0.5 * (digamma(half) - digamma(0.5 * nu) - 1.0 / (nu - 2.0) - log_one)
    by_nu = by_nu + half * pull / (nu - 2.0)
    gradient = np.concatenate(
        [
            -z.T @ (half * pull - 0.5),
            [-float(by_nu.sum()) * beyond],
            [-float(np.sum((nu + 1.0) * (y - mu) * precision / (1.0 + distance)))],
        ]
    )
    gradient[1:n_terms] += gap / _PRIOR_SPREAD
    return value, gradient
