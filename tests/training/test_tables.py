"""What stands beside the forecasts in ``forecasts.parquet`` is what the targets say."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.models import Forecast
from foremargin.training import FORECAST_COLUMNS, forecasts_table

HORIZONS = (1, 5)
FIRST_ROW, FROM_ROW = 400, 450
BESIDE = {  # column: field of the targets
    "realized_variance": "variance",
    "log_return": "log_return",
    "stress": "stress",
    "stress_now": "stress_now",
    "liquidity_stress": "liquidity_stress",
    "liquidity_stress_now": "liquidity_stress_now",
    "regime": "regime",
    "regime_now": "regime_now",
    "realized_liquidity_cost": "liquidity_cost",
    "liquidity_cost_level": "liquidity_cost_level",
    "liquidity_cost_now": "liquidity_cost_now",
}


@pytest.mark.parametrize("column", BESIDE)
def test_every_outcome_is_in_its_place(make_panel: Callable[..., Panel], column: str) -> None:
    history = build_history(make_panel(n_periods=700), horizons=HORIZONS)
    panel = history.panel
    forecast = Forecast(
        model="flat",
        origin=panel.time[FIRST_ROW:],
        instruments=panel.instruments,
        horizons=HORIZONS,
        variance=np.full((panel.n_periods - FIRST_ROW, panel.n_instruments, 2), 1e-4),
    )
    table = forecasts_table([forecast], history, first_row=FIRST_ROW, from_row=FROM_ROW)
    assert list(table.columns) == FORECAST_COLUMNS
    assert len(table) == 2 * panel.present[FROM_ROW:].sum()
    values = getattr(history.targets, BESIDE[column])
    for (instrument, horizon), own in table.groupby(["instrument", "horizon"]):
        i, k = panel.instruments.index(str(instrument)), HORIZONS.index(horizon)
        rows = np.searchsorted(pd.DatetimeIndex(panel.time, tz="UTC"), own.origin)
        np.testing.assert_array_equal(own[column], values[rows, i, k])
    assert table[column].notna().any()
