"""Filtered historical simulation: tails of a forecast from the errors it made before.

Barone-Adesi, Giannopoulos and Vosper (1999), Journal of Futures Markets 19(5). The return over the
horizon is divided by the volatility that was forecast for it; the tails of these scores, smoothed
by a Pareto law (:mod:`.pareto`), times today's forecast, are today's tails. A model with tails of
its own is corrected in the same way: the return is divided by its own value at risk. Scores are
out-of-sample errors only.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..features import History
from ..models import TAIL_PROBABILITIES, Forecast
from .pareto import rolling_pareto_tails

WINDOW_SESSIONS = 1_000
"""Errors kept, in trading days."""

_NAMES = (
    "value_at_risk_lower",
    "expected_shortfall_lower",
    "value_at_risk_upper",
    "expected_shortfall_upper",
)

NEEDED = 250
"""Fewest errors before a tail is read from them."""


def with_tails(
    forecast: Forecast, history: History, *, first_row: int, from_row: int | None = None
) -> Forecast:
    """Give a forecast calibrated value at risk and expected shortfall on both sides.

    Parameters
    ----------
    forecast : Forecast
        Over consecutive panel rows; with or without tails of its own.
    history : History
        The panel and the outcomes.
    first_row : int
        Panel row of the first origin.
    from_row : int, optional
        Panel row from which tails are needed; NaN before it. By default all are.

    Returns
    -------
    Forecast
        The same variances; NaN tails until there are 250 errors.
    """
    shape = (*forecast.variance.shape, len(TAIL_PROBABILITIES))
    out: dict[str, Any] = {name: np.full(shape, np.nan) for name in _NAMES}
    origins = slice(first_row, first_row + len(forecast.origin))
    log_return = history.targets.log_return[origins]
    present = history.panel.present[origins]
    for i in range(len(forecast.instruments)):
        own = np.flatnonzero(present[:, i])
        first = 0 if from_row is None else int(np.searchsorted(own, from_row - first_row))
        window = WINDOW_SESSIONS * int(history.panel.periods_per_session[i])
        for k, horizon in enumerate(forecast.horizons):
            cell = (own, i, k)
            for sign, side in ((-1.0, "lower"), (1.0, "upper")):
                value_at_risk, expected_shortfall = _tails(
                    sign * log_return[cell],
                    *_scales(forecast, side, cell),
                    horizon=horizon,
                    window=window,
                    first=first,
                )
                out[f"value_at_risk_{side}"][cell] = value_at_risk
                out[f"expected_shortfall_{side}"][cell] = expected_shortfall
    return replace(forecast, **out)


def _scales(
    forecast: Forecast, side: str, cell: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return what losses are divided by, per tail, and the model's own shortfall over it."""
    own_risk = getattr(forecast, f"value_at_risk_{side}")
    if own_risk is None:
        sigma = forecast.sigma_horizon()[cell]
        return np.repeat(sigma[:, None], len(TAIL_PROBABILITIES), axis=1), None
    own_shortfall = getattr(forecast, f"expected_shortfall_{side}")
    return own_risk[cell], own_shortfall[cell] / own_risk[cell]


def _tails(
    loss: NDArray[np.float64],
    scale: NDArray[np.float64],
    shortfall_ratio: NDArray[np.float64] | None,
    *,
    horizon: int,
    window: int,
    first: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return value at risk and expected shortfall, each of shape (n, n_tails)."""
    value_at_risk, expected_shortfall = np.full((2, *scale.shape), np.nan)
    for p, tail in enumerate(TAIL_PROBABILITIES):
        score = loss / scale[:, p]
        quantile, beyond = rolling_pareto_tails(
            score, np.array([tail]), horizon, window, min(NEEDED, window), first
        )
        value_at_risk[:, p] = quantile[:, 0] * scale[:, p]
        if shortfall_ratio is None:
            expected_shortfall[:, p] = beyond[:, 0] * scale[:, p]
        else:
            own = value_at_risk[:, p] * shortfall_ratio[:, p]
            # Where the past has shown no loss, the corrected quantile is negative and so is its
            # multiple; a mean beyond a quantile is never below it.
            expected_shortfall[:, p] = np.maximum(own, value_at_risk[:, p])
    # Each tail is corrected by itself; a rarer one must still not lie below a more frequent one.
    return _no_crossing(value_at_risk), _no_crossing(expected_shortfall)


def _no_crossing(tails: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lift rarer tails (they come first) to the more frequent ones, shape (n, n_tails)."""
    return np.maximum.accumulate(tails[:, ::-1], axis=1)[:, ::-1]
