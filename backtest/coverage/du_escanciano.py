"""Backtests of expected shortfall through cumulative violations."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from .._checks import check_count, check_longer_than, check_probability
from .._results import TestResult
from ._likelihood import chi2_result
from ._pit import as_pit


def du_escanciano_unconditional(pit: ArrayLike, *, tail_probability: float) -> TestResult:
    r"""Test that breaches are as frequent and as deep as the forecast tail says.

    The cumulative violation :math:`H_t = (p - u_t)_+ / p` averages the breaches of all levels
    up to :math:`p`. Under the forecast law it is independent over time with mean :math:`p/2`
    and variance :math:`p\,(1/3 - p/4)`, so that

    .. math:: U = \frac{\sqrt n\,(\bar H - p/2)}{\sqrt{p\,(1/3 - p/4)}} \sim N(0, 1)

    Two-sided: a tail that is too heavy fails as well. The law of :math:`H` is skewed, so that
    few expected breaches ask for the p-value of :func:`simulated_pit`.

    Neither version knows that parameters were estimated. It does not matter where the sample of
    estimation is much longer than the one tested; otherwise the variance of U is another one,
    and a rejection may be the estimate's.

    Parameters
    ----------
    pit : array_like, shape (n,)
        Probability integral transforms :math:`u_t = F_t(r_t)` of returns, in (0, 1): small is a
        large loss. For a short position pass ``1 - pit``.
    tail_probability : float
        Probability :math:`p` of the tail, in (0, 1), for example 0.025.

    Returns
    -------
    TestResult
        ``statistic`` is U, positive for too many or too deep breaches; ``df`` is None.

    Raises
    ------
    InputError
        If a value is not in (0, 1), or the probability is out of range.

    References
    ----------
    Du and Escanciano (2017), "Backtesting Expected Shortfall: Accounting for Tail Risk",
    Management Science 63(4).
    """
    violation = _cumulative_violation(pit, tail_probability)
    variance = tail_probability * (1.0 / 3.0 - tail_probability / 4.0)
    excess = float(violation.mean()) - tail_probability / 2.0
    statistic = float(np.sqrt(violation.size / variance) * excess)
    return TestResult(
        statistic=statistic, p_value=float(2.0 * special.ndtr(-abs(statistic))), df=None
    )


def du_escanciano_conditional(
    pit: ArrayLike, *, tail_probability: float, lags: int = 5
) -> TestResult:
    r"""Test that frequency and depth of breaches cannot be told from earlier ones.

    Box and Pierce's statistic of the cumulative violations (see
    :func:`du_escanciano_unconditional`) about their promised mean:

    .. math:: C = n \sum_{j=1}^{m} \frac{\hat\gamma_j^2}{\hat\gamma_0^2} \sim \chi^2(m),
              \qquad \hat\gamma_j = \frac{1}{n - j} \sum_{t=j+1}^{n}
              \Big(H_t - \frac p2\Big)\Big(H_{t-j} - \frac p2\Big)

    Most products are nearly zero, and one close pair of breaches may be a rejection: simulated at
    a significance level of 5 %, it rejects a right law in 9 to 14 % of cases at p = 1 % and n
    from 250 to 2500, in 5 to 8 % at p = 5 %. With few expected breaches take the p-value from
    :func:`simulated_pit`. As for the unconditional test, an estimation sample that is not much
    longer than this one moves the law of C.

    Parameters
    ----------
    pit : array_like, shape (n,)
        Probability integral transforms of returns, in (0, 1), in time order, n > `lags`: small
        is a large loss. For a short position pass ``1 - pit``.
    tail_probability : float
        Probability :math:`p` of the tail, in (0, 1), for example 0.025.
    lags : int
        Number of autocorrelations :math:`m`, >= 1.

    Returns
    -------
    TestResult
        ``statistic`` is C, ``df`` the number of lags. Without a breach there is nothing to see
        (the formula would take the constant for autocorrelation): statistic 0, p-value 1.

    Raises
    ------
    InputError
        If a value is not in (0, 1), an argument is out of range, or there are too few periods.

    References
    ----------
    Du and Escanciano (2017), "Backtesting Expected Shortfall: Accounting for Tail Risk",
    Management Science 63(4).
    """
    check_count("lags", lags, minimum=1)
    violation = _cumulative_violation(pit, tail_probability)
    check_longer_than("pit", violation, lags, f"{lags} lags")
    deviation = violation - tail_probability / 2.0
    variance = float(deviation @ deviation) / deviation.size
    if not violation.any() or variance == 0.0:
        return chi2_result(0.0, df=lags)
    covariance = [float((deviation[j:] * deviation[:-j]).mean()) for j in range(1, lags + 1)]
    correlation = np.array(covariance) / variance
    return chi2_result(deviation.size * float(correlation @ correlation), df=lags)


def _cumulative_violation(pit: ArrayLike, tail_probability: float) -> NDArray[np.float64]:
    values = as_pit(pit)
    check_probability("tail_probability", tail_probability)
    violation: NDArray[np.float64] = np.maximum(tail_probability - values, 0.0) / tail_probability
    return violation
