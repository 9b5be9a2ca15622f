"""A table of forecasts made by hand: the true variance is known, models differ in their noise."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

TAILS = (0.01, 0.025, 0.05)
NOISE = {"sharp": 0.1, "log-har": 0.4, "blunt": 0.8}  # of the log variance


@pytest.fixture(scope="session")
def make_forecasts() -> Callable[..., pd.DataFrame]:
    """Return a function that makes a table with the columns of ``forecasts.parquet``."""
    return _make_forecasts


def _make_forecasts(
    *,
    n_origins: int = 300,
    instruments: tuple[str, ...] = ("ALPHA", "BETA"),
    horizons: tuple[int, ...] = (1, 5),
    noise: dict[str, float] | None = None,
    liquidity: tuple[str, ...] = ("sharp",),
    state: tuple[str, ...] = ("sharp", "blunt"),
    seed: int = 1,
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    state_rng = np.random.default_rng([seed, 1])  # what follows leaves the other columns alone
    origin = pd.date_range("2020-01-01", periods=n_origins, freq="D", tz="UTC")
    tables = []
    for i, instrument in enumerate(instruments):
        for horizon in horizons:
            truth = horizon * _variance(n_origins, rng) * (1 + i)
            log_return = np.sqrt(truth) * rng.standard_normal(n_origins)
            realized = truth * rng.chisquare(20, n_origins) / 20
            threshold = np.quantile(realized, 0.8)
            outcome = {
                "instrument": instrument,
                "origin": origin,
                "horizon": horizon,
                "realized_variance": realized,
                "log_return": log_return,
                "stress": (realized > threshold).astype(float),
                "stress_now": (np.roll(realized, horizon) > threshold).astype(float),
                "liquidity_stress": (rng.random(n_origins) < 0.1).astype(float),
                "liquidity_stress_now": (rng.random(n_origins) < 0.1).astype(float),
            }
            edges = np.quantile(realized, [0.6, 0.8])
            usual_cost = 1e-3 * np.exp(0.3 * state_rng.standard_normal(n_origins))
            cost = usual_cost * np.exp(0.2 * state_rng.standard_normal(n_origins))
            outcome |= {
                "regime": (realized > edges[0]) + (realized > edges[1]).astype(float),
                "realized_liquidity_cost": cost,
                "liquidity_cost_level": np.full(n_origins, 1e-3),
                "liquidity_cost_now": np.roll(cost, horizon),
            }
            outcome["regime_now"] = np.roll(outcome["regime"], horizon)
            for model, spread in (noise or NOISE).items():
                said = truth * np.exp(spread * rng.standard_normal(n_origins))
                tables.append(pd.DataFrame({"model": model, **outcome, **_said(said, threshold)}))
                chance = rng.uniform(0.05, 0.15, n_origins)
                tables[-1]["liquidity_stress_probability"] = (
                    chance if model in liquidity else np.nan
                )
                error = np.exp(spread * state_rng.standard_normal(n_origins))
                if model in state:
                    tables[-1] = tables[-1].assign(
                        **_regimes(said, edges), liquidity_cost=usual_cost * error
                    )
    return pd.concat(tables, ignore_index=True)


def _variance(n: int, rng: np.random.Generator) -> np.ndarray:
    log_variance = np.zeros(n)
    for t in range(1, n):
        log_variance[t] = 0.95 * log_variance[t - 1] + 0.3 * rng.standard_normal()
    return 1e-4 * np.exp(log_variance)


def _said(variance: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    said = {"variance": variance}
    for tail in TAILS:
        quantile = stats.norm.ppf(1 - tail)
        for side in ("lower", "upper"):
            said[f"var_{side}_{tail:g}"] = quantile * np.sqrt(variance)
            said[f"es_{side}_{tail:g}"] = stats.norm.pdf(quantile) / tail * np.sqrt(variance)
    said["stress_probability"] = stats.chi2.sf(20 * threshold / variance, 20)
    return said


def _regimes(variance: np.ndarray, edges: np.ndarray) -> dict[str, np.ndarray]:
    elevated, stressed = (stats.chi2.sf(20 * edge / variance, 20) for edge in edges)
    return {
        "regime_calm_probability": 1 - elevated,
        "regime_elevated_probability": elevated - stressed,
        "regime_stressed_probability": stressed,
    }
