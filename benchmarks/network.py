"""The regime network on hourly crypto bars made daily: accuracy, ablations, and time.

Fourteen instruments (the perpetuals and the spot pairs of the data folder), horizons of 1, 5 and
10 days, expanding windows. Every line is one walk-forward run; the numbers are its QLIKE over that
of the plain pooled regression in the same window, and in brackets the Diebold-Mariano statistic of
the daily means (negative: better). Choices were made on the validation window alone.

Needs `FOREMARGIN_DATA`; give names of lines to print only these.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foremargin.backtest import diebold_mariano
from foremargin.features import History, build_history
from foremargin.markets import load_panel
from foremargin.models import (
    Forecaster,
    PooledHar,
    RegimeNetwork,
    WarmForecaster,
    join_forecasts,
)
from foremargin.models.regressions import QLIKE_PRIOR, CombinedHar
from foremargin.training import stream

Array = NDArray[np.float64]

HORIZONS = (1, 5, 10)
SETS = ("core", "news", "measurement", "illiquidity", "state")
WINDOWS = {"validation": ("2022-07-01", "2024-01-01"), "test": ("2024-01-01", "2025-07-01")}

NETWORK = RegimeNetwork()
PLAN = NETWORK.plan


def planned(**changes: Any) -> RegimeNetwork:
    """Return the network with another plan."""
    return replace(NETWORK, plan=replace(PLAN, **changes))


LINES: dict[str, tuple[tuple[str, ...], Forecaster]] = {
    "pooled HAR, all its features": (SETS[:4], PooledHar()),
    "pooled HAR, trained by QLIKE": (SETS[:4], PooledHar(qlike_prior=QLIKE_PRIOR)),
    "combined HAR": (SETS[:4], CombinedHar()),
    "network": (SETS, NETWORK),
    "skip alone": (SETS, planned(max_epochs=0, head_epochs=0)),
    "without the state": (SETS[:4], replace(NETWORK, wide_features=())),
    "core features only": (
        ("core",),
        replace(NETWORK, more_features=("core",), wide_features=()),
    ),
    "skip by least squares on logs": (SETS, planned(qlike_prior=1e9)),
    "penalty a tenth": (SETS, planned(penalty=PLAN.penalty / 10)),
    "one member": (SETS, planned(n_members=1)),
    "ten members": (SETS, planned(n_members=10)),
    "with the last 64 days": (SETS, planned(sequence_length=64)),
    "trunk without shrinkage": (SETS, planned(shrinkage=0.0, input_dropout=0.0)),
}


def main(names: list[str]) -> None:
    """Print a line per model."""
    folder = os.environ.get("FOREMARGIN_DATA")
    if not folder:
        print("FOREMARGIN_DATA names no folder of market data; nothing to measure")
        return
    whole = load_history(Path(folder))
    bases = {}
    for window in WINDOWS:
        losses, _ = walk(PooledHar(), with_sets(whole, ("core",)), window)
        bases[window] = losses
        print(f"{window}: {len(losses)} days, pooled HAR {means(losses, losses)}", flush=True)
    for name, (sets, forecaster) in LINES.items():
        if not names or name in names:
            show(name, partial(walk, forecaster, with_sets(whole, sets)), bases)
    if not names or "warm starts" in names:
        show("warm starts", lambda w: walk(NETWORK, whole, w, warm=True), bases)
    if not names or "each instrument by itself" in names:
        show("each instrument by itself", lambda w: walk_alone(NETWORK, whole, w), bases)


def load_history(folder: Path) -> History:
    """Load the perpetuals and the spot pairs under different names."""
    with tempfile.TemporaryDirectory() as both:
        for market in ("perp", "spot"):
            for path in sorted((folder / f"{market}_klines_1h").glob("*.parquet")):
                (Path(both) / f"{path.stem}-{market}.parquet").symlink_to(path.resolve())
        panel = load_panel(both, period="1D")
    return build_history(panel, horizons=HORIZONS, features=SETS)


def with_sets(history: History, sets: tuple[str, ...]) -> History:
    """Return the history with the features of some sets only."""
    names = build_history(history.panel.upto(2), horizons=HORIZONS, features=sets).features.names
    known = history.features
    values = np.stack([known.column(name) for name in names], axis=-1)
    return replace(history, features=replace(known, names=names, values=values))


def walk(
    forecaster: Forecaster, history: History, window: str, *, warm: bool = False
) -> tuple[Array, float]:
    """Return QLIKE, shape (n_days, n_instruments, n_horizons), and the seconds of all fits."""
    time_of = history.panel.time
    begin, end = (int(np.searchsorted(time_of, np.datetime64(day))) for day in WINDOWS[window])
    parts, fitted, seconds = [], None, 0.0
    for row in range(begin, end, forecaster.refit_days):
        rng = stream(0, f"{forecaster.name}/{row}")
        started = time.perf_counter()
        if warm and fitted is not None and isinstance(forecaster, WarmForecaster):
            fitted = forecaster.refit(history.upto(row), previous=fitted, rng=rng)
        else:
            fitted = forecaster.fit(history.upto(row), rng=rng)
        seconds += time.perf_counter() - started
        stop = min(end, row + forecaster.refit_days)
        parts.append(fitted.forecast(history, origins=slice(row, stop)))
    ratio = history.targets.variance[begin:end] / join_forecasts(parts).variance
    with np.errstate(divide="ignore"):
        return np.where(ratio > 0.0, ratio - np.log(ratio) - 1.0, np.nan), seconds


def walk_alone(forecaster: Forecaster, history: History, window: str) -> tuple[Array, float]:
    """Do the same with a model per instrument, which has seen no other."""
    losses, seconds = [], 0.0
    for name in history.panel.instruments:
        own = build_history(history.panel.select([name]), horizons=HORIZONS, features=SETS)
        try:
            loss, taken = walk(forecaster, own, window)
        except ValueError as error:  # too young in the first window
            print(f"  {name}: {error}")
            loss, taken = np.full((1, 1, len(HORIZONS)), np.nan), 0.0
        losses.append(loss)
        seconds += taken
    longest = max(len(loss) for loss in losses)
    filled = [np.broadcast_to(x, (longest, 1, len(HORIZONS))) for x in losses]
    return np.concatenate(filled, axis=1), seconds


def show(name: str, run: Callable[[str], tuple[Array, float]], bases: dict[str, Array]) -> None:
    """Print one line: both windows beside each other."""
    cells = []
    for window, base in bases.items():
        losses, seconds = run(window)
        cells.append(f"{means(losses, base)} {seconds:5.0f} s")
    print(f"{name:<32}{' | '.join(cells)}", flush=True)


def means(losses: Array, base: Array) -> str:
    """Return mean losses relative to the base on shared rows, and how far they differ."""
    cells = []
    for k, horizon in enumerate(HORIZONS):
        both = np.isfinite(losses[..., k]) & np.isfinite(base[..., k])
        ours, theirs = (np.where(both, x[..., k], np.nan) for x in (losses, base))
        if losses is base:
            cells.append(f"{np.nanmean(ours):.4f}")
            continue
        days = both.any(axis=1)
        test = diebold_mariano(
            np.nanmean(ours[days], axis=1), np.nanmean(theirs[days], axis=1), horizon=horizon
        )
        cells.append(f"{np.nanmean(ours) / np.nanmean(theirs):.3f} ({test.statistic:+.1f})")
    return "  ".join(cells)


if __name__ == "__main__":
    main(sys.argv[1:])
