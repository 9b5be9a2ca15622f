"""What a window that moves, or a warm start, does to QLIKE: the table of the page on training.

Eight perpetuals, daily from hourly bars, origins from 2022-01 to 2023-12, on data that end there;
changes are against the expanding window of the same model, with Diebold-Mariano p-values on means
per day. Needs ``FOREMARGIN_DATA``; some minutes.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from foremargin.backtest import diebold_mariano, qlike_loss
from foremargin.features import History, build_history
from foremargin.markets import load_panel
from foremargin.models import ALL_FORECASTERS, Forecaster
from foremargin.training import Schedule, Window, forecasts_table, walk_forward

FIRST, END = np.datetime64("2022-01-01"), np.datetime64("2024-01-01")
HORIZONS = (1, 5, 10)
MODELS = ("gjr-t", "log-har", "har-pooled", "regime-network")
SCHEDULES: Mapping[str, Schedule] = {
    "1000 sessions": Schedule(window=Window(sessions=1_000)),
    "500 sessions": Schedule(window=Window(sessions=500)),
    "250 sessions": Schedule(window=Window(sessions=250)),
    "warm starts": Schedule(warm_starts=True),
}


def main() -> None:
    """Print the table."""
    data = os.environ.get("FOREMARGIN_DATA")
    if not data:
        print("FOREMARGIN_DATA names no folder of market data")
        return
    panel = load_panel(str(Path(data) / "perp_klines_1h"), period="1D")
    # Later data take no part in a choice that could be made from this table.
    panel = panel.upto(int(np.searchsorted(panel.time, END)))
    history = build_history(panel, horizons=HORIZONS)
    print(f"{'model':<16}{'schedule':<15}" + "".join(f"{f'{h} ahead':>22}" for h in HORIZONS))
    for forecaster in (f for f in ALL_FORECASTERS if f.name in MODELS):
        base = losses(history, forecaster, Schedule())
        print_row(forecaster.name, "expanding", [f"{base[h].mean():.4f}" for h in HORIZONS])
        for name, schedule in SCHEDULES.items():
            other = losses(history, forecaster, schedule)
            print_row(forecaster.name, name, [compared(other[h], base[h], h) for h in HORIZONS])


def losses(history: History, forecaster: Forecaster, schedule: Schedule) -> pd.Series:
    """QLIKE by horizon, origin and instrument."""
    first = int(np.searchsorted(history.panel.time, FIRST))
    walked = walk_forward(history, [forecaster], first_row=first, seed=0, schedule=schedule)
    forecasts = list(walked.forecasts.values())
    table = forecasts_table(forecasts, history, first_row=first, from_row=first)
    known = table[(table.realized_variance > 0.0) & table.variance.notna()]
    index = pd.MultiIndex.from_frame(known[["horizon", "origin", "instrument"]])
    return pd.Series(qlike_loss(known.realized_variance, known.variance), index=index)


def compared(loss: pd.Series, base: pd.Series, horizon: int) -> str:
    """Relative change of the mean on shared rows, and its p-value."""
    both = pd.DataFrame({"loss": loss, "base": base}).dropna()
    day = both.groupby("origin").mean()
    p_value = diebold_mariano(day.loss, day.base, horizon=horizon).p_value
    return f"{both.loss.mean() / both.base.mean() - 1.0:+.1%} (p {p_value:.2f})"


def print_row(model: str, schedule: str, cells: list[str]) -> None:
    """Print one line of the table."""
    print(f"{model:<16}{schedule:<15}" + "".join(f"{cell:>22}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
