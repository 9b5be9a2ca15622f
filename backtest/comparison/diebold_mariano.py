"""Whether two forecasts have the same expected loss."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .._checks import as_series, check_count, check_longer_than, check_same_shape
from .._results import TestResult
from ._long_run import check_varies, error_variance


def diebold_mariano(loss_a: ArrayLike, loss_b: ArrayLike, *, horizon: int = 1) -> TestResult:
    r"""Test of equal expected loss, with the small-sample correction.

    .. math:: S = \sqrt{\frac{n + 1 - 2h + h(h-1)/n}{n}} \;
              \frac{\bar d}{\sqrt{(\hat\gamma_0 + 2\sum_{k=1}^{h-1}\hat\gamma_k)/n}},
              \qquad d_t = a_t - b_t

    referred to Student's t with n - 1 degrees of freedom, two-sided [1]_ [2]_. The equal
    weights are those of an h-step forecast error, whose autocovariances end at lag h - 1; where
    they give a variance that is not positive, Bartlett weights :math:`1 - k/h` replace them.

    Parameters
    ----------
    loss_a, loss_b : array_like, shape (n,)
        Losses of two forecasts for the same periods, same unit; lower is better.
    horizon : int
        Number of periods :math:`h` the outcomes span, 1 <= h < n.

    Returns
    -------
    TestResult
        ``statistic`` > 0 means that *a* has the larger loss. Equal losses give 0 and p-value 1.

    Raises
    ------
    InputError
        If a value is not finite, lengths differ, the series is too short for the horizon, or
        the difference is constant but not zero.

    References
    ----------
    .. [1] Diebold and Mariano (1995), "Comparing Predictive Accuracy", JBES 13(3).
    .. [2] Harvey, Leybourne and Newbold (1997), "Testing the equality of prediction mean
       squared errors", International Journal of Forecasting 13(2).

    Examples
    --------
    >>> worse, better = [1.0, 3.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]
    >>> diebold_mariano(worse, better).statistic > 0
    True
    """
    check_count("horizon", horizon, minimum=1)
    a, b = as_series("loss_a", loss_a), as_series("loss_b", loss_b)
    check_same_shape(loss_a=a, loss_b=b)
    check_longer_than("loss_a", a, horizon, f"horizon {horizon}")
    difference, n = a - b, len(a)
    if not difference.any():
        return TestResult(statistic=0.0, p_value=1.0, df=n - 1)
    check_varies(difference)
    variance = error_variance(difference, horizon)
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    statistic = float(np.sqrt(correction) * difference.mean() / np.sqrt(variance / n))
    p_value = float(2.0 * stats.t.sf(abs(statistic), df=n - 1))
    return TestResult(statistic=statistic, p_value=p_value, df=n - 1)
