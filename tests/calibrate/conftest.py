"""Markets for the policies: a panel, its outcomes, and a forecast for every model they name."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.calibrate import ALL_POLICIES, MarginMarket
from foremargin.features import build_history
from foremargin.markets import Panel

Array = NDArray[np.float64]


@pytest.fixture(scope="session")
def make_market() -> Callable[..., MarginMarket]:
    """Return a function that builds a market; forecasts see the past of the panel only."""
    return _make_market


def _make_market(
    panel: Panel,
    *,
    horizon: int = 2,
    tail_probability: float = 0.05,
    first_row: int = 500,
    variance: Mapping[str, Array] | None = None,
) -> MarginMarket:
    history = build_history(panel, horizons=(1, horizon) if horizon > 1 else (1,))
    if variance is None:
        names = sorted({name for policy in ALL_POLICIES for name in policy.models})
        averages = [0.9 + 0.01 * k for k in range(len(names))]  # every model differs a little
        variance = {
            name: horizon * _past_variance(panel, decay)
            for name, decay in zip(names, averages, strict=True)
        }
    return MarginMarket(
        history=history,
        horizon=horizon,
        tail_probability=tail_probability,
        first_row=first_row,
        variance=variance,
    )


def _past_variance(panel: Panel, decay: float) -> Array:
    """Average past squared returns in own time."""
    out = np.full(panel.close.shape, np.nan)
    for i in range(panel.n_instruments):
        rows = np.flatnonzero(panel.present[:, i])
        squared = pd.Series(panel.log_return[rows, i] ** 2)
        out[rows, i] = squared.ewm(alpha=1 - decay, min_periods=20).mean()
    return out
