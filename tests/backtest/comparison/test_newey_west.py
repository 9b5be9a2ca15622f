import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.backtest.comparison import newey_west_t
from foremargin.errors import InputError, NotEnoughHistoryError


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_newey_west_agrees_with_an_independent_panel_computation(horizon):
    rng = np.random.default_rng(1)
    index = pd.MultiIndex.from_product(
        [pd.date_range("2020-01-01", periods=300, tz="UTC"), ["a", "b", "c"]],
        names=["origin", "instrument"],
    )
    difference = pd.Series(rng.standard_t(4, 900) + 0.05, index=index)
    mean = difference.groupby(level="origin").mean()
    centred = mean - mean.mean()
    long_run = (centred**2).mean()
    for lag in range(1, horizon + 1):
        product = (centred * centred.shift(lag)).sum() / len(mean)
        long_run += 2.0 * (1.0 - lag / (horizon + 1)) * product
    expected = mean.mean() / np.sqrt(long_run / len(mean))
    assert newey_west_t(mean, lags=horizon) == pytest.approx(expected, rel=1e-10)


def test_newey_west_gives_the_hand_value():
    # Deviations -1, 0, 1: variance 2/3, first autocovariance 0, second -1/3.
    # Lags 2: 2/3 + 2 * (1/3) * (-1/3) = 4/9; t = 2 / sqrt(4/9 / 3).
    assert newey_west_t([1.0, 2.0, 3.0], lags=2) == pytest.approx(3.0 * np.sqrt(3.0), rel=1e-12)


@given(series=st.lists(st.integers(-5, 5), min_size=6, max_size=40), lags=st.integers(0, 5))
def test_newey_west_is_a_number_that_changes_sign_with_its_series(series, lags):
    values = np.array(series, dtype=float)
    if np.ptp(values) == 0.0:
        return
    t = newey_west_t(values, lags=lags)
    assert np.isfinite(t)
    assert newey_west_t(-values, lags=lags) == pytest.approx(-t, rel=1e-10)
    # Rounding of the mean of -values may differ in the last digit.
    assert newey_west_t(8.0 * values, lags=lags) == pytest.approx(t, rel=1e-10)


def test_newey_west_of_no_difference_is_zero():
    assert newey_west_t(np.zeros(10), lags=3) == 0.0


def test_newey_west_refuses_a_constant_difference():
    with pytest.raises(InputError, match=r"must vary, was 0\.5 in every period"):
        newey_west_t(np.full(10, 0.5), lags=3)


def test_newey_west_refuses_as_many_lags_as_periods():
    with pytest.raises(NotEnoughHistoryError, match="more than 10 periods for a variance with 10"):
        newey_west_t(np.arange(10.0), lags=10)


def test_newey_west_refuses_missing_values():
    with pytest.raises(InputError, match="difference must be finite, found 1 NaN"):
        newey_west_t([1.0, np.nan, 2.0], lags=1)
