"""Whether one forecast is better than another for every user, or only for some."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks import as_series, check_probability, check_same_shape
from ._crossing import extremes_of_pairs, extremes_of_quantiles
from .elementary_scores import (
    pair_cost,
    quantile_elementary_score,
    shortfall_elementary_score,
)
from .murphy_diagram import MurphyDiagram

_N_THRESHOLDS = 201


def murphy_quantile(
    loss: ArrayLike,
    value_at_risk_a: ArrayLike,
    value_at_risk_b: ArrayLike,
    *,
    tail_probability: float,
    threshold: ArrayLike | None = None,
) -> MurphyDiagram:
    """Compare two quantile forecasts under all consistent scores at once.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss over the horizon, fraction of notional; positive means money lost.
    value_at_risk_a, value_at_risk_b : array_like, shape (n,)
        Two margins or values at risk for the same periods, same unit.
    tail_probability : float
        Probability in (0, 1) that the loss exceeds a right forecast, for example 0.01.
    threshold : array_like, shape (n_thresholds,), or None
        Where to draw the curve, same unit. None takes at most 201 quantiles of both forecasts,
        between which lies everything that differs.

    Returns
    -------
    MurphyDiagram
        Differences of :func:`quantile_elementary_score`, *a* minus *b*.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ or the probability is outside (0, 1).

    References
    ----------
    Ehm, Gneiting, Jordan and Krüger (2016), "Of quantiles and expectiles", Journal of the
    Royal Statistical Society B 78(3).

    Examples
    --------
    >>> loss, wise, blunt = [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.2, 0.2, 0.2]
    >>> murphy_quantile(loss, wise, blunt, tail_probability=0.05).dominant
    'a'
    """
    realised = as_series("loss", loss)
    a = as_series("value_at_risk_a", value_at_risk_a)
    b = as_series("value_at_risk_b", value_at_risk_b)
    check_same_shape(loss=realised, value_at_risk_a=a, value_at_risk_b=b)
    check_probability("tail_probability", tail_probability)
    at = _thresholds(threshold, a, b)
    score_a, score_b = (
        quantile_elementary_score(
            realised, forecast, threshold=at, tail_probability=tail_probability
        )
        for forecast in (a, b)
    )
    smallest, largest = extremes_of_quantiles(realised, a, b, tail_probability=tail_probability)
    return MurphyDiagram(
        threshold=at, difference=score_a - score_b, smallest=smallest, largest=largest
    )


def murphy_shortfall(
    loss: ArrayLike,
    forecast_a: tuple[ArrayLike, ArrayLike],
    forecast_b: tuple[ArrayLike, ArrayLike],
    *,
    tail_probability: float,
    threshold: ArrayLike | None = None,
) -> MurphyDiagram:
    """Compare two pairs of value at risk and expected shortfall, with stress on the shortfall.

    The value at risk enters as the quantile loss alone; :func:`murphy_quantile` compares it
    under all its scores.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss over the horizon, fraction of notional; positive means money lost.
    forecast_a, forecast_b : tuple of two array_like, shape (n,)
        Value at risk and expected shortfall as positive losses, same unit, the first not above
        the second.
    tail_probability : float
        Tail probability of all four in (0, 1), for example 0.025.
    threshold : array_like, shape (n_thresholds,), or None
        Where to draw the curve, same unit. None takes at most 201 quantiles of both expected
        shortfalls; above the largest the curve is the difference of mean quantile losses.

    Returns
    -------
    MurphyDiagram
        Differences of :func:`shortfall_elementary_score`, *a* minus *b*.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, the probability is outside (0, 1), or a value
        at risk exceeds its expected shortfall.

    References
    ----------
    Ziegel, Krüger, Jordan and Fasciati (2020), "Robust Forecast Evaluation of Expected
    Shortfall", Journal of Financial Econometrics 18(1).

    Examples
    --------
    >>> loss, truth = [0.1, 0.2, 0.3, 0.4], ([0.3] * 4, [0.4] * 4)
    >>> murphy_shortfall(loss, truth, ([0.3] * 4, [0.5] * 4), tail_probability=0.25).dominant
    'a'
    """
    realised = as_series("loss", loss)
    (cost_a, expected_a), (cost_b, expected_b) = (
        _cost_and_shortfall(realised, pair, tail_probability) for pair in (forecast_a, forecast_b)
    )
    at = _thresholds(threshold, expected_a, expected_b)
    score_a, score_b = (
        shortfall_elementary_score(realised, *pair, threshold=at, tail_probability=tail_probability)
        for pair in (forecast_a, forecast_b)
    )
    smallest, largest = extremes_of_pairs(cost_a, expected_a, cost_b, expected_b)
    return MurphyDiagram(
        threshold=at, difference=score_a - score_b, smallest=smallest, largest=largest
    )


def _cost_and_shortfall(
    loss: NDArray[np.float64], pair: tuple[ArrayLike, ArrayLike], tail_probability: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    value_at_risk, expected_shortfall = pair
    expected = as_series("expected_shortfall", expected_shortfall)
    check_same_shape(loss=loss, expected_shortfall=expected)
    cost = pair_cost(loss, value_at_risk, expected, tail_probability=tail_probability)
    return cost, expected


def _thresholds(
    threshold: ArrayLike | None, a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    if threshold is not None:
        return np.unique(as_series("threshold", threshold))
    share = np.linspace(0.0, 1.0, _N_THRESHOLDS)
    # Observed values, not values between them: the curve jumps exactly there.
    return np.unique(np.quantile(np.concatenate([a, b]), share, method="inverted_cdf"))
