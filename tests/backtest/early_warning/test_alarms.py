import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.backtest import Baseline, alarm_starts, alarm_strength, margin_baseline
from foremargin.errors import InputError, ShapeError

MARGIN = [1.0, 3.0, 2.0, 4.0, 6.0]


def test_strength_is_the_rise_over_the_median_or_the_minimum_of_the_window_before():
    np.testing.assert_allclose(
        alarm_strength(MARGIN, window=3), [np.nan, np.nan, np.nan, 4 / 2 - 1, 6 / 3 - 1]
    )
    np.testing.assert_allclose(
        alarm_strength(MARGIN, window=3, baseline=Baseline.MINIMUM),
        [np.nan, np.nan, np.nan, 4 / 1 - 1, 6 / 2 - 1],
    )


@given(scale=st.floats(0.01, 100.0))
def test_scaling_a_margin_changes_no_alarm(scale):
    scaled = alarm_strength(scale * np.array(MARGIN), window=2)
    np.testing.assert_allclose(scaled, alarm_strength(MARGIN, window=2), rtol=1e-9, atol=1e-12)


@given(cut=st.integers(10, 59), seed=st.integers(0, 20))
def test_the_future_changes_no_alarm(cut, seed):
    rng = np.random.default_rng(seed)
    margin = np.exp(0.3 * rng.standard_normal(60))
    other = np.concatenate([margin[:cut], 5.0 + rng.random(60 - cut)])
    one, two = (alarm_strength(x, window=5) for x in (margin, other))
    np.testing.assert_array_equal(one[:cut], two[:cut])
    before, after = (alarm_starts(x, rise=0.2, quiet=3)[:cut] for x in (one, two))
    np.testing.assert_array_equal(before, after)


def test_an_alarm_that_flickers_starts_once():
    strength = np.array([0.0, 0.3, 0.1, 0.3, 0.3, 0.0, 0.0, 0.2])
    assert list(np.flatnonzero(alarm_starts(strength, rise=0.2, quiet=2))) == [1, 7]
    assert list(np.flatnonzero(alarm_starts(strength, rise=0.2, quiet=3))) == [1]
    assert list(np.flatnonzero(alarm_starts(strength, rise=0.2, quiet=1))) == [1, 3, 7]


def test_an_alarm_can_start_in_the_first_period():
    assert alarm_starts(np.array([0.5, 0.5]), rise=0.2, quiet=4).tolist() == [True, False]


def test_an_unknown_strength_is_no_alarm():
    assert not alarm_starts(np.full(5, np.nan), rise=0.2, quiet=1).any()


def test_an_unknown_margin_makes_the_windows_around_it_unknown():
    margin = [1.0, 1.0, np.nan, 1.0, 1.0, 1.0]
    assert np.isfinite(margin_baseline(margin, window=2)).tolist() == [
        *(False, False, True, False, False, True)
    ]


def test_arguments_that_are_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"rise must be > 0, was 0.*0\.2 for \+20 %"):
        alarm_starts(np.ones(3), rise=0.0, quiet=1)
    with pytest.raises(InputError, match="quiet must be a whole number >= 1"):
        alarm_starts(np.ones(3), rise=0.1, quiet=0)
    with pytest.raises(InputError, match="margin must be positive and finite, or NaN"):
        margin_baseline([1.0, 0.0, 2.0], window=1)
    with pytest.raises(InputError, match="window must be a whole number >= 1"):
        margin_baseline(MARGIN, window=0)
    with pytest.raises(ShapeError, match=r"margin must have shape \(n,\)"):
        margin_baseline(np.ones((3, 2)), window=1)
