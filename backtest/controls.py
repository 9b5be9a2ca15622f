"""Negative controls: forecasts that must lose, and one that nobody could have.

A gain that survives a shuffled forecast is an artefact of the calibration; perfect foresight
bounds what any forecast could gain. Both go through the same calibration as the real forecast,
taken at their word (responsiveness one), so that it cannot learn to ignore them.
"""

import numpy as np
from numpy.typing import NDArray

from ..calibrate import Generation, MarginMarket, Predictive

SHUFFLED = "shuffled"
FORESIGHT = "foresight"

_FLOOR = 0.02  # fraction of its mean at which a foreseen variance is floored

CONTROL_POLICIES = (
    Predictive(
        model=SHUFFLED,
        name="control-shuffled-forecast",
        generation=Generation.CONTROL,
        exponents=((1.0, 1.0),),
    ),
    Predictive(
        model=FORESIGHT,
        name="control-perfect-foresight",
        generation=Generation.CONTROL,
        exponents=((1.0, 1.0),),
    ),
)
"""The two controls, as policies."""


def control_variances(
    market: MarginMarket, *, model: str, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Return the variances of the two control forecasts.

    Parameters
    ----------
    market : MarginMarket
        With the forecasts of `model`.
    model : str
        Whose forecasts are shuffled.
    rng : numpy.random.Generator
        Source of the permutation.

    Returns
    -------
    dict of str to ndarray, shape (n_periods, n_instruments)
        ``shuffled``: each instrument's own forecasts in random order; ``foresight``: the variance
        that came. Decimal squared over the horizon.
    """
    shuffled = market.variance[model].copy()
    for i in range(shuffled.shape[1]):
        rows = np.flatnonzero(np.isfinite(shuffled[:, i]))
        shuffled[rows, i] = shuffled[rng.permutation(rows), i]
    targets = market.history.targets
    realized = targets.variance[:, :, targets.at(market.horizon)]
    # A day without a move has a realised variance of zero, with which no margin can be scaled.
    floor = _FLOOR * np.nanmean(realized, axis=0, keepdims=True)
    known = np.isfinite(realized) & np.isfinite(market.variance[model])
    foresight = np.where(known, np.maximum(realized, floor), np.nan)
    return {SHUFFLED: shuffled, FORESIGHT: foresight}
