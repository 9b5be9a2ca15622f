r"""Losses that rank forecasts: elementwise, lower is better, averaged by the caller.

Each is *consistent*: its expectation is smallest at the truth.

==========================  ==========================================  =====================
function                    formula                                     smallest at
==========================  ==========================================  =====================
:func:`quantile_loss`       :math:`M + (L - M)_+ / p`                   the quantile of L
:func:`fz0_loss`            :math:`(L-v)_+/(p\,e) + v/e + \ln e - 1`    (quantile, shortfall)
:func:`qlike_loss`          :math:`y/f - \ln(y/f) - 1`                  the mean of y
:func:`absolute_log_error`  :math:`|\ln(y/f)|`                          the median of y
==========================  ==========================================  =====================

:math:`L` is a realised loss (positive means money lost), :math:`p` the tail probability.
All arguments have one shape, or are scalars; nothing else is broadcast.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ._checks import as_values, check_probability, check_same_shape


def quantile_loss(
    loss: ArrayLike, value_at_risk: ArrayLike, *, tail_probability: float
) -> NDArray[np.float64]:
    r"""Cost of holding the margin plus the shortfall beyond it, in units of the margin.

    .. math:: S(M, L) = M + \frac{\max(L - M, 0)}{p}

    This is the pinball loss :math:`\rho(M, L) = (1 - p - 1\{L < M\})(L - M)` divided by
    :math:`p`, plus :math:`L`: since :math:`\rho = (L - M)_+ - p (L - M)`, we have
    :math:`\rho / p + L = (L - M)_+ / p + M`. The added :math:`L` does not depend on the margin,
    so rankings, differences and tests are those of the pinball loss times :math:`1/p`, while
    the level reads as money: one unit of margin costs 1, one unit uncovered costs
    :math:`1/p` [1]_.

    Parameters
    ----------
    loss : array_like
        Realised loss over the horizon, fraction of notional; positive means money lost.
    value_at_risk : array_like
        Margin or value at risk for the same periods; same unit, positive means money set aside.
    tail_probability : float
        Probability in (0, 1) that the loss exceeds the margin, for example 0.01.

    Returns
    -------
    ndarray
        Loss per element, same unit; lower is better.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ or the probability is outside (0, 1).

    References
    ----------
    .. [1] Koenker and Bassett (1978), "Regression Quantiles", Econometrica 46(1);
       Rockafellar and Uryasev (2000), "Optimization of Conditional Value-at-Risk",
       Journal of Risk 2(3), for the scaled form, whose minimum is the expected shortfall.

    Examples
    --------
    >>> quantile_loss([0.01, 0.05], [0.04, 0.04], tail_probability=0.01)
    array([0.04, 1.04])
    """
    realised, margin = _pair("loss", loss, "value_at_risk", value_at_risk)
    check_probability("tail_probability", tail_probability)
    return margin + np.maximum(realised - margin, 0.0) / tail_probability


def fz0_loss(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    expected_shortfall: ArrayLike,
    *,
    tail_probability: float,
) -> NDArray[np.float64]:
    r"""Joint loss of a value at risk and an expected shortfall.

    .. math:: S(v, e, L) = \frac{\max(L - v, 0)}{p\,e} + \frac{v}{e} + \ln e - 1

    the zero-homogeneous Fissler-Ziegel loss [1]_ with the signs of losses: [1]_ writes returns
    :math:`y = -L` and negative :math:`v, e`. Differences do not change when the unit of all
    three changes. Some replications drop :math:`-1` or use a different indicator; the value at
    return -3, VaR -2, ES -2.5, tail 2.5 % tells them apart.

    Parameters
    ----------
    loss : array_like
        Realised loss, fraction of notional; positive means money lost.
    value_at_risk, expected_shortfall : array_like
        Forecasts as positive losses, same unit; ``0 < value_at_risk <= expected_shortfall``.
    tail_probability : float
        Tail probability of both forecasts in (0, 1), for example 0.025.

    Returns
    -------
    ndarray
        Loss per element, dimensionless up to the logarithm of the unit; lower is better.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, a forecast is not positive, or the value at
        risk exceeds the expected shortfall.

    References
    ----------
    .. [1] Patton, Ziegel and Chen (2019), "Dynamic semiparametric models for expected
       shortfall (and Value-at-Risk)", Journal of Econometrics 211(2).

    Examples
    --------
    >>> round(float(fz0_loss(3.0, 2.0, 2.5, tail_probability=0.025)), 10)
    16.7162907319
    """
    realised, quantile = _pair("loss", loss, "value_at_risk", value_at_risk)
    expected = as_values("expected_shortfall", expected_shortfall)
    check_same_shape(loss=realised, value_at_risk=quantile, expected_shortfall=expected)
    check_probability("tail_probability", tail_probability)
    _check_positive("value_at_risk", quantile, "FZ0 is defined for forecasts of a loss only")
    _check_positive("expected_shortfall", expected, "FZ0 is defined for forecasts of a loss only")
    if np.any(quantile > expected):
        raise InputError(
            "value_at_risk must not exceed expected_shortfall, found "
            f"{int(np.sum(quantile > expected))} that do; the arguments may be swapped"
        )
    excess = np.maximum(realised - quantile, 0.0)
    score: NDArray[np.float64] = (
        excess / (tail_probability * expected) + quantile / expected + np.log(expected) - 1.0
    )
    return score


def qlike_loss(realized_variance: ArrayLike, variance: ArrayLike) -> NDArray[np.float64]:
    r"""QLIKE: how far a variance forecast is from the realised variance, as a ratio.

    .. math:: S(f, y) = \frac{y}{f} - \ln\frac{y}{f} - 1 \ge 0

    zero only at :math:`f = y`; robust to noise in :math:`y` as long as its mean is right [1]_.
    Not to be confused with :math:`\ln f + y/f`, which ranks alike but has another level.

    Parameters
    ----------
    realized_variance : array_like
        Outcome over the horizon, decimal squared; > 0.
    variance : array_like
        Forecast of the same quantity, decimal squared; > 0.

    Returns
    -------
    ndarray
        Loss per element, dimensionless, >= 0; lower is better.

    Raises
    ------
    InputError
        If a value is not finite and positive, or shapes differ.

    References
    ----------
    .. [1] Patton (2011), "Volatility forecast comparison using imperfect volatility proxies",
       Journal of Econometrics 160(1).

    Examples
    --------
    >>> qlike_loss([0.0004, 0.0004], [0.0004, 0.0002]).round(4)
    array([0.    , 0.3069])
    """
    realised, forecast = _pair("realized_variance", realized_variance, "variance", variance)
    _check_positive("realized_variance", realised, "drop or floor zero realised variance first")
    _check_positive("variance", forecast, "floor the forecast in the model, not here")
    # The difference of logarithms does not overflow where the ratio would.
    log_ratio = np.log(realised) - np.log(forecast)
    score: NDArray[np.float64] = np.expm1(log_ratio) - log_ratio
    return score


def absolute_log_error(realized: ArrayLike, forecast: ArrayLike) -> NDArray[np.float64]:
    r"""Distance of a positive quantity from its forecast as a ratio, :math:`|\ln(y/f)|`.

    Twice as much as was said is as wrong as half as much. Smallest at the *median* of the
    outcome, while :func:`qlike_loss` is smallest at the mean: of two forecasts of a skewed
    quantity each may win one. One bad day weighs little in it.

    Parameters
    ----------
    realized : array_like
        Outcome, in any unit; > 0.
    forecast : array_like
        Forecast of it in the same unit; > 0.

    Returns
    -------
    ndarray
        Loss per element, log of a ratio, >= 0; 0.1 is about 10 %. Lower is better.

    Raises
    ------
    InputError
        If a value is not finite and positive, or shapes differ.

    Examples
    --------
    >>> absolute_log_error([0.002, 0.001], [0.001, 0.001]).round(4)
    array([0.6931, 0.    ])
    """
    realised, said = _pair("realized", realized, "forecast", forecast)
    _check_positive("realized", realised, "drop what has no logarithm first")
    _check_positive("forecast", said, "floor the forecast in the model, not here")
    return np.asarray(np.abs(np.log(realised) - np.log(said)))


def shortfall(loss: ArrayLike, margin: ArrayLike) -> NDArray[np.float64]:
    r"""Part of the loss that the margin does not cover, :math:`\max(L - M, 0)`.

    Parameters
    ----------
    loss : array_like
        Realised loss, fraction of notional; positive means money lost.
    margin : array_like
        Margin held against it, same unit.

    Returns
    -------
    ndarray
        Uncovered loss per element, same unit, >= 0; positive exactly where ``breach`` holds.

    Raises
    ------
    InputError
        If a value is not finite or shapes differ.

    Examples
    --------
    >>> shortfall([3.0, 1.0, 2.0], 2.0)
    array([1., 0., 0.])
    """
    realised, held = _pair("loss", loss, "margin", margin)
    return np.maximum(realised - held, 0.0)


def _pair(
    name_a: str, a: ArrayLike, name_b: str, b: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = as_values(name_a, a), as_values(name_b, b)
    check_same_shape(**{name_a: first, name_b: second})
    return first, second


def _check_positive(name: str, values: NDArray[np.float64], advice: str) -> None:
    if np.any(values <= 0.0):
        raise InputError(
            f"{name} must be > 0, found {int(np.sum(values <= 0.0))} of {values.size} "
            f"at or below zero; {advice}"
        )
