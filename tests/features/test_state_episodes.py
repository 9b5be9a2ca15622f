"""The state of a real market around known stress: what was known, and nothing that came later."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.features.regimes import TURBULENCE_STRESS, stress_now
from foremargin.features.state import Absorption, Turbulence
from foremargin.markets import Panel, load_panel

pytestmark = pytest.mark.slow

Array = NDArray[np.float64]

EPISODES = ("2021-05-19", "2022-05-09", "2022-06-13", "2022-11-08", "2024-08-05")
"""First days of episodes of stress."""


@pytest.fixture(scope="module")
def coins(market_data: Path) -> Panel:
    return load_panel([market_data / "perp_klines_1h"], period="1D")


@pytest.fixture(scope="module")
def turbulence(coins: Panel) -> Array:
    part = Turbulence.fresh(coins.n_instruments, half_life=180.0)
    return part.advance(coins.log_return).turbulence


def row_of(panel: Panel, day: str) -> int:
    # Rows are stamped with their end.
    return int(np.searchsorted(panel.time, np.datetime64(pd.Timestamp(day) + pd.Timedelta(days=1))))


def test_turbulence_of_real_coins_is_about_one_on_average(turbulence: Array) -> None:
    known = turbulence[np.isfinite(turbulence)]
    assert len(known) > 1900
    # Tails are heavy: one day in March 2020 alone adds 0.05 to the mean.
    assert 0.7 < known.mean() < 1.3
    assert np.median(known) < 0.8


def test_the_crash_of_may_2021_exceeds_what_its_past_called_much(
    coins: Panel, turbulence: Array
) -> None:
    everyone = np.ones((coins.n_periods, 1), dtype=bool)
    labels = stress_now(turbulence[:, None], everyone, TURBULENCE_STRESS)
    assert labels.label[row_of(coins, "2021-05-19"), 0] == 1.0


@pytest.mark.parametrize("day", EPISODES)
def test_what_was_known_on_the_eve_does_not_change_when_the_day_is_known(
    day: str, coins: Panel, turbulence: Array
) -> None:
    eve = row_of(coins, day)
    n = coins.n_instruments
    cut = Turbulence.fresh(n, half_life=180.0).advance(coins.log_return[:eve]).turbulence
    np.testing.assert_array_equal(cut, turbulence[:eve])
    ratio = Absorption.fresh(n, half_life=90.0).advance(coins.log_return)
    before = Absorption.fresh(n, half_life=90.0).advance(coins.log_return[:eve])
    np.testing.assert_array_equal(before, ratio[:eve])
