r"""The scores all others are made of: what a forecast costs a user with one threshold.

Every consistent score of a quantile, or of a value at risk with its expected shortfall, is a
sum of these over thresholds with weights that are not negative. :math:`L` is the realised loss
(positive means money lost), :math:`p` the tail probability.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .._checks import as_series, check_probability, check_same_shape
from ..losses import quantile_loss


def quantile_elementary_score(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    *,
    threshold: ArrayLike,
    tail_probability: float,
) -> NDArray[np.float64]:
    r"""Cost of a quantile forecast to a user who acts when it exceeds a threshold.

    .. math:: S_\theta(M, L) = p\,1\{L \le \theta < M\} + (1 - p)\,1\{M \le \theta < L\}

    Acting in vain costs :math:`p`, not acting when needed :math:`1 - p` [1]_. Over all
    thresholds, :math:`\frac1p \int S_\theta\,d\theta + L` is :func:`quantile_loss`.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss over the horizon, fraction of notional; positive means money lost.
    value_at_risk : array_like, shape (n,)
        Margin or value at risk for the same periods, same unit.
    threshold : array_like, shape (n_thresholds,)
        Values of :math:`\theta`, same unit, in any order.
    tail_probability : float
        Probability in (0, 1) that the loss exceeds the forecast, for example 0.01.

    Returns
    -------
    ndarray, shape (n, n_thresholds)
        Score, dimensionless: 0, :math:`p` or :math:`1 - p`; lower is better.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ or the probability is outside (0, 1).

    References
    ----------
    .. [1] Ehm, Gneiting, Jordan and Krüger (2016), "Of quantiles and expectiles", Journal of
       the Royal Statistical Society B 78(3); there :math:`\alpha = 1 - p`.

    Examples
    --------
    >>> quantile_elementary_score([0.05], [0.03], threshold=[0.02, 0.04], tail_probability=0.01)
    array([[0.  , 0.99]])
    """
    realised, margin = as_series("loss", loss), as_series("value_at_risk", value_at_risk)
    check_same_shape(loss=realised, value_at_risk=margin)
    check_probability("tail_probability", tail_probability)
    theta = as_series("threshold", threshold)
    needed = realised[:, None] > theta
    acted = margin[:, None] > theta
    score: NDArray[np.float64] = np.where(
        acted == needed, 0.0, np.where(acted, tail_probability, 1.0 - tail_probability)
    )
    return score


def shortfall_elementary_score(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    expected_shortfall: ArrayLike,
    *,
    threshold: ArrayLike,
    tail_probability: float,
) -> NDArray[np.float64]:
    r"""Cost of a pair of forecasts to a user who acts when the shortfall is below a threshold.

    .. math:: S_\eta(V, E, L) = 1\{E \le \eta\}\Big(V + \frac{(L - V)_+}{p} - \eta\Big)
              + (\eta - L)_+

    with the signs of losses; [1]_ writes returns. The bracket is :func:`quantile_loss` less the
    threshold, and its expectation at the right :math:`V` the expected shortfall less the
    threshold: negative exactly where acting is right. For :math:`L > 0`,
    :math:`\int_0^\infty \eta^{-2} S_\eta\,d\eta + \ln L` is :func:`fz0_loss`.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss over the horizon, fraction of notional; positive means money lost.
    value_at_risk, expected_shortfall : array_like, shape (n,)
        Forecasts as positive losses, same unit; ``value_at_risk <= expected_shortfall``.
    threshold : array_like, shape (n_thresholds,)
        Values of :math:`\eta`, same unit, in any order.
    tail_probability : float
        Tail probability of both forecasts in (0, 1), for example 0.025.

    Returns
    -------
    ndarray, shape (n, n_thresholds)
        Score per period and threshold, unit of the loss; lower is better on average.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, the probability is outside (0, 1), or a value
        at risk exceeds its expected shortfall.

    References
    ----------
    .. [1] Ziegel, Krüger, Jordan and Fasciati (2020), "Robust Forecast Evaluation of Expected
       Shortfall", Journal of Financial Econometrics 18(1).

    Examples
    --------
    >>> shortfall_elementary_score([0.05], [0.04], [0.06], threshold=[0.05, 0.07],
    ...                            tail_probability=0.1).round(3)
    array([[0.  , 0.09]])
    """
    realised, expected = (
        as_series("loss", loss),
        as_series("expected_shortfall", expected_shortfall),
    )
    check_same_shape(loss=realised, expected_shortfall=expected)
    cost = pair_cost(realised, value_at_risk, expected, tail_probability=tail_probability)
    eta = as_series("threshold", threshold)
    score: NDArray[np.float64] = np.where(
        expected[:, None] <= eta, cost[:, None] - eta, 0.0
    ) + np.maximum(eta - realised[:, None], 0.0)
    return score


def pair_cost(
    loss: NDArray[np.float64],
    value_at_risk: ArrayLike,
    expected_shortfall: NDArray[np.float64],
    *,
    tail_probability: float,
) -> NDArray[np.float64]:
    """Quantile loss of the first of a pair of forecasts; raise unless it is the smaller one."""
    quantile = as_series("value_at_risk", value_at_risk)
    cost = quantile_loss(loss, quantile, tail_probability=tail_probability)
    n_swapped = int(np.sum(quantile > expected_shortfall))
    if n_swapped:
        raise InputError(
            "value_at_risk must not exceed expected_shortfall, found "
            f"{n_swapped} of {quantile.size} that do; the arguments may be swapped"
        )
    return cost
