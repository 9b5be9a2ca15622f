"""Which law of scores gives the better tail: normal, t, skewed t, empirical or Pareto.

Forecasts of `har-pooled` on the eight perpetual futures by the day (bars of an hour in the folder
that FOREMARGIN_DATA names) and on the data sets inside `arch`. FZ0 in percent returns and the
quantile loss at 1 %, pooled over instruments and sides, and the share of larger losses; on the
validation period, and on what follows it. Then the tail over ten days of the S&P 500: by the square
root of time, and by simulation.
"""

import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foremargin.backtest import fz0_loss, quantile_loss
from foremargin.calibrate import with_tails
from foremargin.calibrate.laws import (
    SCORE_LAWS,
    Empirical,
    VarianceRecursion,
    law_tails,
    simulate_horizon,
    simulated_tails,
)
from foremargin.features import History, build_history
from foremargin.markets import load_panel
from foremargin.models import Forecast, PooledHar, fit_garch_batch
from foremargin.training import walk_forward

TAIL = 0.01
ROOT = os.environ.get("FOREMARGIN_DATA")


def rows_of(history: History, first: date, last: date) -> slice:
    """Return the panel rows from one day to another."""
    edges = np.array([first, last], dtype="datetime64[ns]")
    start, stop = np.searchsorted(history.panel.time, edges)
    return slice(int(start), int(stop))


def judged(
    forecast: Forecast, history: History, rows: slice, *, first_row: int, horizon: int
) -> dict[str, float]:
    """Score the tails of one forecast, both sides together."""
    k, column = forecast.horizons.index(horizon), history.targets.at(horizon)
    inside = slice(rows.start - first_row, rows.stop - first_row)
    moved = history.targets.log_return[rows, :, column]
    known = history.targets.known_at[rows, :, column] < rows.stop
    loss, risk, beyond = [], [], []
    for side, sign in (("lower", -1.0), ("upper", 1.0)):
        tails = [
            getattr(forecast, f"{name}_{side}") for name in ("value_at_risk", "expected_shortfall")
        ]
        own = [tail[inside, :, k, 0] for tail in tails]
        usable = known & np.isfinite(moved) & np.isfinite(own[0])
        loss.append(sign * moved[usable])
        risk.append(own[0][usable])
        beyond.append(own[1][usable])
    lost, at_risk, short = (np.concatenate(part) for part in (loss, risk, beyond))
    return {
        "quantile_loss_%": 100 * quantile_loss(lost, at_risk, tail_probability=TAIL).mean(),
        "FZ0": fz0_loss(100 * lost, 100 * at_risk, 100 * short, tail_probability=TAIL).mean(),
        "larger_%": 100 * np.mean(lost > at_risk),
        "loss/ES": lost[lost > at_risk].mean() / short[lost > at_risk].mean(),
        "n": len(lost),
    }


def compare(name: str, source: str, periods: tuple[date, date, date, date]) -> None:
    """Print one market's table."""
    panel = load_panel(source, period="1D")
    history = build_history(panel, horizons=(1, 5))
    first_row = int(np.searchsorted(history.panel.time, np.datetime64(periods[0])))
    model = PooledHar()
    walked = walk_forward(history, [model], first_row=first_row, seed=0)
    forecast = walked.forecasts[model.name]
    for label, rows in (
        ("validation", rows_of(history, periods[1], periods[2])),
        ("after", rows_of(history, periods[2], periods[3])),
    ):
        for horizon in (1, 5):
            table = {
                law.name: judged(
                    law_tails(forecast, history, law, first_row=first_row),
                    history,
                    rows,
                    first_row=first_row,
                    horizon=horizon,
                )
                for law in SCORE_LAWS
            }
            table["with_tails (every origin)"] = judged(
                with_tails(forecast, history, first_row=first_row),
                history,
                rows,
                first_row=first_row,
                horizon=horizon,
            )
            print(f"\n{name}, {label}, {horizon} day(s)")
            print(pd.DataFrame(table).T.round(4).to_string())


def ten_days() -> None:
    """Print tails over ten days of the S&P 500 by simulation and by the square root of time."""
    panel = load_panel("arch", period="1D")
    i = panel.instruments.index("SP500")
    log_return = panel.log_return[panel.present[:, i], i][1:]
    half = len(log_return) // 2
    fitted = fit_garch_batch(
        log_return[None, :half], volatility="gjr", distribution="t", mean="zero"
    )
    params = dict(zip(fitted.param_names, fitted.params[0], strict=True))
    recursion = VarianceRecursion(
        **{k: float(params[k]) for k in ("omega", "alpha", "gamma", "beta")}
    )
    variance = filtered(log_return, recursion, start=float(np.mean(log_return[:half] ** 2)))
    residual = log_return[:half] / np.sqrt(variance[:half])
    rows = np.arange(half, len(log_return) - 10)
    paths = simulate_horizon(
        variance[rows],
        residual,
        recursion=recursion,
        horizon=10,
        rng=np.random.default_rng(0),
        n_paths=10_000,
    )
    summed = np.convolve(log_return, np.ones(10))[9:][rows]
    one = Empirical().fit(-residual, tail_probabilities=[TAIL]).quantile[0]
    root = one * np.sqrt(10 * variance[rows])
    drawn = np.array([simulated_tails(p, tail_probabilities=[TAIL])[0].quantile[0] for p in paths])
    table = {
        name: {
            "quantile_loss_%": 100 * quantile_loss(-summed, risk, tail_probability=TAIL).mean(),
            "larger_%": 100 * np.mean(-summed > risk),
            "mean_%": 100 * risk.mean(),
        }
        for name, risk in (("square root of time", root), ("simulated", drawn))
    }
    print("\nS&P 500, ten days, GJR fitted to the first half, judged on the second")
    print(pd.DataFrame(table).T.round(3).to_string())


def filtered(
    log_return: NDArray[np.float64], recursion: VarianceRecursion, *, start: float
) -> NDArray[np.float64]:
    """Return the variance of each period given those before it."""
    out = np.full(len(log_return), start)
    for t in range(1, len(out)):
        e = log_return[t - 1]
        follow = recursion.alpha + recursion.gamma * (e < 0.0)
        out[t] = recursion.omega + follow * e * e + recursion.beta * out[t - 1]
    return out


def main() -> None:
    """Print every table."""
    compare(
        "data sets of arch",
        "arch",
        (date(2001, 6, 1), date(2003, 1, 1), date(2006, 1, 1), date(2018, 12, 31)),
    )
    if ROOT is None:
        print("\nno perpetual futures: FOREMARGIN_DATA names no folder")
    else:
        folder = str(Path(ROOT) / "perp_klines_1h")
        compare(
            "eight perpetual futures",
            folder,
            (date(2021, 6, 1), date(2022, 6, 1), date(2024, 1, 1), date(2025, 7, 1)),
        )
    ten_days()


if __name__ == "__main__":
    main()
