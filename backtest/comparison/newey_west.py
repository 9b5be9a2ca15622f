"""The t statistic of a mean whose periods depend on one another."""

import numpy as np
from numpy.typing import ArrayLike

from .._checks import as_series, check_count, check_longer_than
from ._long_run import check_varies, long_run_variance


def newey_west_t(difference: ArrayLike, *, lags: int) -> float:
    r"""T statistic of the mean of a dependent series.

    .. math:: t = \bar d \Big/ \sqrt{\Big(\hat\gamma_0 + 2\sum_{k=1}^{K}
              \Big(1 - \frac{k}{K+1}\Big)\hat\gamma_k\Big) / n}

    with autocovariances :math:`\hat\gamma_k = \frac1n\sum_t (d_t-\bar d)(d_{t-k}-\bar d)`;
    the Bartlett weights keep the variance from going negative [1]_.

    Parameters
    ----------
    difference : array_like, shape (n,)
        Loss difference, any unit, n >= 2.
    lags : int
        Number of autocovariances :math:`K`, 0 <= K < n; the horizon when outcomes overlap.

    Returns
    -------
    float
        Statistic, dimensionless; about standard normal if the mean is zero and n is large.
        A series of zeros gives 0.

    Raises
    ------
    InputError
        If a value is not finite, the series is too short, or it is constant but not zero.

    References
    ----------
    .. [1] Newey and West (1987), "A Simple, Positive Semi-Definite, Heteroskedasticity and
       Autocorrelation Consistent Covariance Matrix", Econometrica 55(3).

    Examples
    --------
    >>> newey_west_t([1.0, 3.0, 1.0, 3.0], lags=0)
    4.0
    """
    check_count("lags", lags, minimum=0)
    series = as_series("difference", difference)
    check_longer_than("difference", series, max(lags, 1), f"a variance with {lags} lags")
    if not series.any():
        return 0.0
    check_varies(series)
    weights = 1.0 - np.arange(lags + 1) / (lags + 1)
    return float(series.mean() / np.sqrt(long_run_variance(series, weights) / len(series)))
