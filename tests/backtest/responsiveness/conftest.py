"""Replays of margins made by hand on a market whose volatility changes in blocks."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.backtest import Replay
from foremargin.calibrate import Generation, MarginMarket, MarginSchedule
from foremargin.features import History, build_history
from foremargin.markets import Panel

Array = NDArray[np.float64]
Rule = Callable[[History], Array]

N, FIRST, TEST = 400, 100, 200


@pytest.fixture(scope="session")
def make_replay() -> Callable[..., Replay]:
    """Return a function that replays rules which give both sides of an instrument one margin."""
    return _make_replay


def _make_replay(rules: Mapping[str, Rule], *, period: str = "1D", days: int = N) -> Replay:
    rng = np.random.default_rng(2)
    length = pd.Timedelta(period)
    sigma = np.where(np.arange(days) // 25 % 2 == 0, 0.01, 0.03)[:, None]
    log_return = sigma * rng.standard_normal((days, 2))
    panel = Panel(
        time=pd.date_range("2020-01-02", periods=days, freq=length).to_numpy("datetime64[ns]"),
        period=length,
        instruments=("ALPHA", "BETA"),
        close=100.0 * np.exp(np.cumsum(log_return, axis=0)),
        log_return=np.where(np.arange(days)[:, None] == 0, np.nan, log_return),
        missing=np.zeros((days, 2), dtype=np.int8),
        periods_per_year=np.full(2, 365.0 * pd.Timedelta(days=1) / length),
        source="synthetic",
    )
    history = build_history(panel, horizons=(1,))
    market = MarginMarket(
        history=history, horizon=1, tail_probability=0.05, first_row=FIRST, variance={}
    )
    return Replay(
        market=market,
        schedules=tuple(
            MarginSchedule(
                policy=name,
                generation=Generation.PREDICTIVE if k == 0 else Generation.REACTIVE,
                horizon=1,
                origin=panel.time[FIRST:],
                instruments=panel.instruments,
                initial_margin_rate=np.repeat(rule(history)[FIRST:, :, None], 2, axis=2),
                present=panel.present[FIRST:],
            )
            for k, (name, rule) in enumerate(rules.items())
        ),
        loss=market.loss()[FIRST:],
        regime=np.full((days - FIRST, 2), "calm"),
        in_test=np.arange(FIRST, days) >= TEST,
        predictive=next(iter(rules)),
    )
