"""The two tables that others recompute every metric from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..backtest import Replay
from ..features import History
from ..models import REGIMES, TAIL_PROBABILITIES, Forecast

_TAIL_COLUMNS = [
    f"{kind}_{side}_{tail:g}"
    for tail in TAIL_PROBABILITIES
    for side in ("lower", "upper")
    for kind in ("var", "es")
]
FORECAST_COLUMNS = [
    "model",
    "instrument",
    "origin",
    "horizon",
    "variance",
    "realized_variance",
    "log_return",
    *_TAIL_COLUMNS,
    "stress_probability",
    "stress",
    "stress_now",
    "liquidity_stress_probability",
    "liquidity_stress",
    "liquidity_stress_now",
    *(f"regime_{regime}_probability" for regime in REGIMES),
    "regime",
    "regime_now",
    "liquidity_cost",
    "realized_liquidity_cost",
    "liquidity_cost_level",
    "liquidity_cost_now",
]
"""Columns of ``forecasts.parquet``, in order."""


def forecasts_table(
    forecasts: Sequence[Forecast], history: History, *, first_row: int, from_row: int
) -> pd.DataFrame:
    """Return one row per model, instrument, origin and horizon, outcomes beside forecasts.

    Parameters
    ----------
    forecasts : sequence of Forecast
        Over the same origins, which begin at panel row `first_row`.
    history : History
        For the outcomes; NaN where they are not known.
    first_row : int
        Panel row of the first origin of the forecasts.
    from_row : int
        Panel row of the first origin of the table.
    """
    outcomes = _outcomes(history, from_row=from_row)
    listed = np.repeat(history.panel.present[from_row:].ravel(), len(history.horizons))
    keys = ["origin", "instrument", "horizon"]
    tables = []
    for forecast in forecasts:
        table = forecast.frame().iloc[_n_rows(history, from_row - first_row) :]
        table = table.reset_index(drop=True)
        if not table[keys].equals(outcomes[keys]):
            raise AssertionError("forecasts and outcomes must have the same origins in order")
        tables.append(table.join(outcomes.drop(columns=keys))[listed])
    joined = pd.concat(tables, ignore_index=True)
    return joined[FORECAST_COLUMNS].sort_values(
        ["model", "instrument", "horizon", "origin"], ignore_index=True
    )


def margins_table(replays: Sequence[Replay]) -> pd.DataFrame:
    """Return the rows of ``margins.parquet`` for all margin periods of risk."""
    joined = pd.concat([one.frame() for one in replays], ignore_index=True)
    return joined.sort_values(
        ["horizon", "policy", "instrument", "side", "origin"], ignore_index=True
    )


def _n_rows(history: History, n_origins: int) -> int:
    return n_origins * history.panel.n_instruments * len(history.horizons)


def _outcomes(history: History, *, from_row: int) -> pd.DataFrame:
    panel, targets = history.panel, history.targets
    index = pd.MultiIndex.from_product(
        [
            pd.DatetimeIndex(panel.time[from_row:], tz="UTC"),
            list(panel.instruments),
            list(history.horizons),
        ],
        names=["origin", "instrument", "horizon"],
    )
    return pd.DataFrame(
        {
            "realized_variance": targets.variance[from_row:].ravel(),
            "log_return": targets.log_return[from_row:].ravel(),
            "stress": targets.stress[from_row:].ravel(),
            "stress_now": targets.stress_now[from_row:].ravel(),
            "liquidity_stress": targets.liquidity_stress[from_row:].ravel(),
            "liquidity_stress_now": targets.liquidity_stress_now[from_row:].ravel(),
            "regime": targets.regime[from_row:].ravel(),
            "regime_now": targets.regime_now[from_row:].ravel(),
            "realized_liquidity_cost": targets.liquidity_cost[from_row:].ravel(),
            "liquidity_cost_level": targets.liquidity_cost_level[from_row:].ravel(),
            "liquidity_cost_now": targets.liquidity_cost_now[from_row:].ravel(),
        },
        index=index,
    ).reset_index()
