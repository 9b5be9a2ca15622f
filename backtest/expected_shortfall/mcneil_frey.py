"""The test of McNeil and Frey: the mean loss beyond the value at risk is the shortfall."""

import numpy as np
from numpy.typing import ArrayLike

from .._results import TestResult
from ._resampling import bootstrap_mean_p_value, t_statistic
from ._tail import as_tail, as_volatility


def mcneil_frey(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    expected_shortfall: ArrayLike,
    *,
    tail_probability: float | None = None,
    volatility: ArrayLike | None = None,
    n_resamples: int = 5_000,
    rng: np.random.Generator | int = 0,
) -> TestResult:
    r"""Bootstrap test that losses beyond the value at risk average to the expected shortfall.

    The exceedance residuals :math:`r_t = (L_t - e_t) / \sigma_t` of the :math:`x` periods with
    :math:`L_t > v_t` have mean zero if the forecasts are right. Against a positive mean,

    .. math:: t = \sqrt{x}\; \bar r / s_r

    is compared with the same statistic of resamples of :math:`r_t - \bar r`. One-sided: a
    shortfall that is too high never fails. Blind to the number of breaches; test it beside.
    McNeil and Frey divide by the volatility, so that the residuals have one law. Dividing by the
    shortfall itself does the same: that is :func:`acerbi_szekely_z1`.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss, fraction of notional; positive means money lost.
    value_at_risk, expected_shortfall : array_like, shape (n,) or a number
        Forecasts as positive losses, same unit; ``0 < value_at_risk <= expected_shortfall``.
    tail_probability : float, optional
        Checked if given, so that all tests can be called alike; the test does not need it.
    volatility : array_like, shape (n,) or a number, optional
        Volatility forecast :math:`\sigma_t` over the same horizon, same unit, > 0; None leaves the
        residuals in money, and stormy periods dominate.
    n_resamples : int
        Bootstrap resamples, >= 1. P-values are multiples of about its inverse.
    rng : numpy.random.Generator or int
        Source of randomness, or its seed; the default repeats exactly.

    Returns
    -------
    TestResult
        ``statistic`` is :math:`t`, dimensionless, positive where risk is understated; ``df`` is
        None. Fewer than two breaches: 0 and p-value 1, there is no spread to compare with.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, a forecast or volatility is not positive, the
        value at risk exceeds the expected shortfall, or all residuals are equal but not zero.

    References
    ----------
    McNeil and Frey (2000), "Estimation of tail-related risk measures for heteroscedastic financial
    time series: an extreme value approach", Journal of Empirical Finance 7(3-4).

    Examples
    --------
    >>> round(mcneil_frey([1.0, 3.0, 4.0, 5.0], 2.0, 3.0).statistic, 6)
    1.732051
    """
    tail = as_tail(loss, value_at_risk, expected_shortfall, tail_probability=tail_probability)
    residual = tail.loss - tail.expected_shortfall
    if volatility is not None:
        residual = residual / as_volatility(volatility, tail.loss.size)
    residual = residual[tail.breach]
    if residual.size < 2:
        return TestResult(statistic=0.0, p_value=1.0, df=None)
    p_value = bootstrap_mean_p_value(
        residual, n_resamples=n_resamples, rng=np.random.default_rng(rng)
    )
    return TestResult(statistic=t_statistic(residual), p_value=p_value, df=None)
