import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import (
    Episode,
    clock_increase,
    large_increase_share,
    largest_increase,
    margin_movements,
    peak_to_trough,
    typical_movements,
)
from foremargin.errors import InputError


def steps(history):
    """Margin 0.1, twice that for ten periods from row 250 on, and half of it from row 350 on."""
    row = np.arange(history.panel.n_periods)
    margin = np.where((row >= 250) & (row < 260), 0.2, np.where(row >= 350, 0.05, 0.1))
    return np.repeat(margin[:, None], 2, axis=1)


def flat(history):
    return np.full(history.panel.close.shape, 0.1)


def at(replayed, row):
    return pd.Timestamp(replayed.market.history.panel.time[row], tz="UTC")


@pytest.fixture(scope="module")
def daily(make_replay):
    return make_replay({"steps": steps, "flat": flat})


def test_the_test_period_and_every_episode_are_measured_apart(daily):
    surge = Episode(name="surge", first=at(daily, 240), last=at(daily, 270))
    quiet = Episode(name="quiet", first=at(daily, 270), last=at(daily, 300))
    table = margin_movements(daily, episodes=[surge, quiet])
    own = table[(table.policy == "steps") & (table.instrument == "BETA") & (table.side == "long")]
    own = own.set_index("episode")
    assert own.n.to_dict() == {"test": 199, "surge": 31, "quiet": 31}  # the last has no loss yet
    assert own.peak_to_trough.to_dict() == pytest.approx({"test": 4.0, "surge": 2.0, "quiet": 1.0})
    assert own.peak_to_trough_ordered["test"] == pytest.approx(2.0)  # the trough came after
    assert own.largest_increase_5.to_dict() == pytest.approx(
        {"test": 2.0, "surge": 2.0, "quiet": 1.0}
    )
    # Five of the 26 rises over five days, all of one call; 31 days of 365.
    assert own.large_increase_share["surge"] == pytest.approx(5 / 26)
    assert own.large_calls_per_year.to_dict() == pytest.approx(
        {"test": 365 / 199, "surge": 365 / 31, "quiet": 0.0}
    )


def test_measures_are_those_of_the_plain_functions(daily):
    table = margin_movements(daily)
    margin = daily.margin("steps")[100:-1, 0, 0]
    chosen = (table.policy == "steps") & (table.instrument == "ALPHA") & (table.side == "long")
    row = table[chosen].iloc[0]
    assert row.peak_to_trough == peak_to_trough(margin)
    assert row.largest_increase_20 == largest_increase(margin, periods=20)
    assert row.large_increase_share == large_increase_share(margin)
    assert (table[table.policy == "flat"].peak_to_trough == 1.0).all()


def test_hours_shorter_than_the_period_are_not_known(daily):
    row = margin_movements(daily).iloc[0]
    assert np.isnan([row.largest_increase_1h, row.largest_increase_4h]).all()
    assert row.largest_increase_24h == row.largest_increase_1


def test_within_the_day_hours_are_those_of_the_clock(make_replay):
    hourly = make_replay({"steps": steps, "flat": flat}, period="30min")
    row = margin_movements(hourly, hours=(1.0, 4.0, 24.0)).iloc[0]
    margin = hourly.margin("steps")[100:-1, 0, 0]
    for hours, periods in {1: 2, 4: 8, 24: 48}.items():
        assert row[f"largest_increase_{hours}h"] == largest_increase(margin, periods=periods)


def test_a_rise_over_a_gap_is_not_a_rise_in_so_many_hours():
    time = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 06:00"], tz="UTC")
    margin = np.array([1.0, 1.1, 3.0])
    assert clock_increase(margin, time, hours=1) == pytest.approx(1.1)
    assert clock_increase(margin, time, hours=6) == 3.0
    assert np.isnan(clock_increase(margin, time, hours=2))


def test_an_episode_shorter_than_a_rise_does_not_know_it(daily):
    short = Episode(name="short", first=at(daily, 250), last=at(daily, 253))
    table = margin_movements(daily, episodes=[short])
    row = table[table.episode == "short"].iloc[0]
    assert row.n == 4
    assert np.isnan([row.largest_increase_5, row.large_calls_per_year]).all()


def test_typical_movements_are_medians_over_the_series(daily):
    table = margin_movements(daily)
    typical = typical_movements(table)
    assert typical.index.tolist() == [("test", "steps"), ("test", "flat")]
    assert typical.peak_to_trough["test", "steps"] == pytest.approx(4.0)


def test_episodes_that_cannot_be_measured_are_refused(daily):
    before = Episode(name="before", first=at(daily, 0), last=at(daily, 150))
    with pytest.raises(InputError, match="an episode must hold judged origins"):
        margin_movements(daily, episodes=[before])
    with pytest.raises(InputError, match='have a name other than "test"'):
        margin_movements(
            daily, episodes=[Episode(name="test", first=at(daily, 240), last=at(daily, 270))]
        )
    with pytest.raises(InputError, match="first and last must have a time zone"):
        Episode(name="naive", first=pd.Timestamp("2024-01-01"), last=pd.Timestamp("2024-01-02"))
    with pytest.raises(InputError, match="last must not be before first"):
        Episode(name="back", first=at(daily, 10), last=at(daily, 5))
    with pytest.raises(InputError, match="hours must be > 0, was 0"):
        clock_increase(np.ones(2), pd.date_range("2024", periods=2, tz="UTC"), hours=0.0)
