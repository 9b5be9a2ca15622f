import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import measure_responsiveness, responsiveness_ratio, volatility_moves
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

VOLATILITY = np.array([1.0, 1.0, 2.0, 4.0, 4.0, 2.0, 1.0])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_power_of_volatility_has_its_exponent_as_ratio_up_and_down(power):
    ratio = responsiveness_ratio(0.1 * VOLATILITY**power, VOLATILITY, window=2)
    moved = np.isfinite(ratio)
    # Between the fifth and the third value volatility doubled; nothing is known of the first two.
    assert moved.tolist() == [False, False, True, True, True, True, True]
    np.testing.assert_allclose(ratio[moved], power, atol=1e-12)


def test_where_volatility_did_not_change_there_is_no_ratio():
    ratio = responsiveness_ratio([1.0, 2.0, 3.0], [1.0, 1.0, 2.0], window=1)
    assert np.isnan(ratio[:2]).all()
    assert ratio[2] == pytest.approx(np.log(1.5) / np.log(2.0))


def test_events_are_the_largest_moves_no_two_in_one_window():
    log = np.zeros(40)
    log[10:] += 1.0  # up within one period, so that windows of 5 see it five times
    log[25:] -= 0.9
    log[35:] += 0.2  # too small
    events = volatility_moves(np.exp(log), window=5, smallest_move=1.5)
    assert events.tolist() == [10, 25]
    gradual = np.exp(np.interp(np.arange(40), [10, 20], [0.0, 2.0]))
    events = volatility_moves(gradual, window=5, smallest_move=1.5)
    assert np.diff(events).min() >= 5


def test_arguments_that_are_out_of_range_are_refused():
    with pytest.raises(InputError, match="volatility must be > 0, the smallest was 0"):
        responsiveness_ratio([1.0, 1.0], [1.0, 0.0], window=1)
    with pytest.raises(NotEnoughHistoryError, match="more than 5 periods for changes over 5"):
        responsiveness_ratio(np.ones(5), np.ones(5), window=5)
    with pytest.raises(ShapeError, match="arrays must have the same shape"):
        responsiveness_ratio(np.ones(5), np.ones(6), window=1)
    with pytest.raises(InputError, match=r"smallest_move must be > 1, was 1.*1\.5 for \+50 %"):
        volatility_moves(VOLATILITY, window=1, smallest_move=1.0)
    with pytest.raises(InputError, match="window must be a whole number >= 1"):
        volatility_moves(VOLATILITY, window=0)


def week_volatility(history):
    """Realised volatility of the last five days, as the measure takes it."""
    mean = pd.DataFrame(history.features.variance).rolling(5).mean()
    return np.sqrt(mean.to_numpy())


@pytest.fixture(scope="module")
def replayed(make_replay):
    return make_replay(
        {
            "follows": lambda history: 3.0 * week_volatility(history),
            "half": lambda history: np.sqrt(week_volatility(history)),
            "flat": lambda history: np.full(history.panel.close.shape, 0.1),
            "up-only": lambda history: np.maximum.accumulate(
                np.nan_to_num(week_volatility(history), nan=1e-3)
            ),
        }
    )


def test_policies_of_a_replay_follow_as_they_were_made(replayed):
    found = measure_responsiveness(replayed)
    table = found.table()
    assert table.index.tolist() == ["follows", "half", "flat", "up-only"]
    for name, ratio in {"follows": 1.0, "half": 0.5, "flat": 0.0}.items():
        measured = table.loc[name, ["low_up", "ratio_up", "high_up", "ratio_down"]]
        np.testing.assert_allclose(measured.astype(float), ratio, atol=1e-9)
    assert table.ratio_down["up-only"] == 0.0
    np.testing.assert_allclose(table.asymmetry, table.ratio_up - table.ratio_down)


def test_events_lie_in_the_test_period_and_are_large_enough(replayed):
    found = measure_responsiveness(replayed, policies=["follows"], smallest_move=2.0)
    frame = found.frame()
    assert frame.time.min() >= pd.Timestamp(replayed.origin[replayed.in_test][0], tz="UTC")
    up = frame.direction == "up"
    assert 0 < up.sum() < len(frame)
    assert (frame.volatility_change[up] >= np.log(2.0)).all()
    assert (frame.volatility_change[~up] <= -np.log(2.0)).all()
    table = found.table()
    assert table.events_up["follows"] == up.sum()
    assert set(frame.side) == {"long", "short"}


def test_a_market_without_moves_is_refused(replayed):
    with pytest.raises(InputError, match="must hold a move of volatility by 1000 in 5 days"):
        measure_responsiveness(replayed, smallest_move=1000.0)
