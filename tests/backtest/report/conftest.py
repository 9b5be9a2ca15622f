"""A small verdict made by hand: two instruments whose volatility alternates in known blocks."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import Replay, Verdict, judge
from foremargin.calibrate import Generation, MarginMarket, MarginSchedule
from foremargin.features import build_history
from foremargin.markets import Panel

N, FIRST, TEST = 500, 100, 200  # periods, first judged row, first test row
TAIL = 0.05


@pytest.fixture(scope="session")
def make_verdict() -> Callable[..., Verdict]:
    """Return a function that replays and judges; equal arguments give the same verdict."""
    return _make_verdict


@cache
def _make_verdict(
    *,
    ours: str = "sigma",
    controls: str = "right",
    horizon: int = 1,
    instruments: tuple[str, ...] = ("ALPHA", "BETA"),
) -> Verdict:
    """Judge a policy: `sigma` knows it, `same` is the reference, `constant` and `dear` are flat.

    `controls` is `right`, or `swapped`: foresight and shuffled forecast in each other's place.
    """
    panel, sigma = _market(instruments)
    market = MarginMarket(
        history=build_history(panel, horizons=(horizon,)),
        horizon=horizon,
        tail_probability=TAIL,
        first_row=FIRST,
        variance={},
    )
    rng = np.random.default_rng(3)
    loss = market.loss()
    ahead = np.repeat(np.roll(sigma, -1, axis=0)[..., None], 2, axis=2) * np.sqrt(horizon)
    reactive = 1.8 * np.repeat(_trailing(sigma, 20)[..., None], 2, axis=2) * np.sqrt(horizon)
    constant = np.full_like(reactive, 0.05)
    noise = np.exp(1e-3 * rng.standard_normal(reactive.shape))
    shuffled = 1.65 * rng.permutation(ahead, axis=0)
    foresight = np.where(np.isfinite(loss), np.maximum(loss, 0.002), np.nan)
    if controls == "swapped":
        shuffled, foresight = foresight, shuffled
    judged = {
        "sigma": 1.65 * ahead,
        "same": reactive * noise,
        "constant": constant,
        "dear": 1.6 * constant,
    }[ours]
    margins = {
        ("fixed", Generation.FIXED): np.full_like(reactive, 0.08),
        ("ewma-0.97-fhs", Generation.REACTIVE): reactive,
        ("ewma-0.97-fhs+buffer", Generation.REACTIVE): 1.25 * reactive,
        ("hs-500", Generation.REACTIVE): constant * np.linspace(1.1, 0.9, N)[:, None, None],
        ("predictive", Generation.PREDICTIVE): judged,
        ("control-shuffled-forecast", Generation.CONTROL): shuffled,
        ("control-perfect-foresight", Generation.CONTROL): foresight,
    }
    replayed = Replay(
        market=market,
        schedules=tuple(_schedule(panel, *key, horizon, rate) for key, rate in margins.items()),
        loss=loss[FIRST:],
        regime=np.full((N - FIRST, len(instruments)), "calm"),
        in_test=np.arange(FIRST, N) >= TEST,
        predictive="predictive",
    )
    return judge(replayed, rng=np.random.default_rng(4))


def _market(instruments: tuple[str, ...]) -> tuple[Panel, np.ndarray]:
    rng = np.random.default_rng(2)
    blocks = np.where(np.arange(N) // 25 % 2 == 0, 0.01, 0.03)
    sigma = np.repeat(blocks[:, None], len(instruments), axis=1)
    log_return = sigma * rng.standard_normal(sigma.shape)
    close = 100.0 * np.exp(np.cumsum(log_return, axis=0))
    log_return[0] = np.nan
    panel = Panel(
        time=pd.date_range("2020-01-02", periods=N).to_numpy(dtype="datetime64[ns]"),
        period=pd.Timedelta(days=1),
        instruments=instruments,
        close=close,
        log_return=log_return,
        missing=np.zeros(close.shape, dtype=np.int8),
        periods_per_year=np.full(len(instruments), 365.0),
        source="synthetic",
    )
    return panel, sigma


def _trailing(sigma: np.ndarray, periods: int) -> np.ndarray:
    out = pd.DataFrame(sigma).rolling(periods, min_periods=1).mean().to_numpy()
    return np.asarray(out)


def _schedule(
    panel: Panel, policy: str, generation: Generation, horizon: int, rate: np.ndarray
) -> MarginSchedule:
    return MarginSchedule(
        policy=policy,
        generation=generation,
        horizon=horizon,
        origin=panel.time[FIRST:],
        instruments=panel.instruments,
        initial_margin_rate=rate[FIRST:].copy(),
        present=panel.present[FIRST:],
    )
