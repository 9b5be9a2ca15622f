"""Filtered historical simulation: tails of a forecast from the errors it made before.

Barone-Adesi, Giannopoulos and Vosper (1999), Journal of Futures Markets 19(5). The return over the
horizon is divided by the volatility that was forecast for it; the tails of these scores, times
today's forecast, are today's tails. Scores are out-of-sample errors only.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..features import History
from ..models import TAIL_PROBABILITIES, Forecast
from .empirical import rolling_tails

WINDOW_SESSIONS = 1_000
"""Errors kept, in trading days."""

NEEDED = 250
"""Fewest errors before a tail is read from them."""


def with_tails(forecast: Forecast, history: History, *, first_row: int) -> Forecast:
    """Fill value at risk and expected shortfall of a forecast that has none of its own.

    Parameters
    ----------
    forecast : Forecast
        Over consecutive panel rows.
    history : History
        The panel and the outcomes.
    first_row : int
        Panel row of the first origin.

    Returns
    -------
    Forecast
        The same forecast if it has its own tails; else with tails from its past errors.
    """
    if forecast.value_at_risk_lower is not None:
        return forecast
    shape = (*forecast.variance.shape, len(TAIL_PROBABILITIES))
    names = (
        "value_at_risk_lower",
        "expected_shortfall_lower",
        "value_at_risk_upper",
        "expected_shortfall_upper",
    )
    out: dict[str, Any] = {name: np.full(shape, np.nan) for name in names}
    sigma = forecast.sigma_horizon()
    origins = slice(first_row, first_row + len(forecast.origin))
    log_return = history.targets.log_return[origins]
    present = history.panel.present[origins]
    for i in range(len(forecast.instruments)):
        own = np.flatnonzero(present[:, i])
        window = int(history.panel.periods_per_session[i]) * WINDOW_SESSIONS
        for k, horizon in enumerate(forecast.horizons):
            score = log_return[own, i, k] / sigma[own, i, k]
            for sign, side in ((-1.0, "lower"), (1.0, "upper")):
                quantile, beyond = _tails(sign * score, horizon=horizon, window=window)
                scale = sigma[own, i, k][:, None]
                out[f"value_at_risk_{side}"][own, i, k] = quantile * scale
                out[f"expected_shortfall_{side}"][own, i, k] = beyond * scale
    return replace(forecast, **out)


def _tails(
    score: NDArray[np.float64], *, horizon: int, window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tails = np.array(TAIL_PROBABILITIES)
    return rolling_tails(score, tails, horizon, window, min(NEEDED, window))
