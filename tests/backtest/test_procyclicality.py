import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.backtest.procyclicality import (
    large_increase_share,
    largest_increase,
    peak_to_trough,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

PUBLISHED = [1.0, 1.2, 0.9, 1.8, 1.5, 2.7]
margins = st.lists(st.floats(0.01, 1.0), min_size=7, max_size=30)

CALLS = {
    "peak_to_trough": peak_to_trough,
    "largest_increase": lambda m: largest_increase(m, periods=1),
    "large_increase_share": lambda m: large_increase_share(m, periods=1),
}
by_measure = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


def test_measures_give_the_published_values():
    assert peak_to_trough(PUBLISHED) == pytest.approx(3.0, rel=1e-12)
    assert peak_to_trough(PUBLISHED, ordered=True) == pytest.approx(3.0, rel=1e-12)
    assert largest_increase(PUBLISHED, periods=1) == pytest.approx(2.0, rel=1e-12)
    # 1.5 / 0.9
    assert largest_increase(PUBLISHED, periods=2) == pytest.approx(5 / 3, rel=1e-12)


def test_a_trough_after_the_peak_counts_only_unordered():
    falling_then_rising = [3.0, 1.0, 2.0]
    assert peak_to_trough(falling_then_rising) == 3.0
    assert peak_to_trough(falling_then_rising, ordered=True) == 2.0
    assert peak_to_trough([3.0, 2.0, 1.0], ordered=True) == 1.0


def test_the_share_counts_rises_strictly_above_the_threshold():
    # Ratios 1.25, 1.6, 0.5, 2.0
    margin = [1.0, 1.25, 2.0, 1.0, 2.0]
    assert large_increase_share(margin, periods=1, threshold=1.25) == 0.5
    assert large_increase_share(margin, periods=1, threshold=1.2) == 0.75


def test_the_share_looks_five_periods_and_a_quarter_ahead_by_default():
    margin = [1.0, 1.0, 1.0, 1.0, 1.0, 1.2, 1.3, 1.0]
    assert large_increase_share(margin) == pytest.approx(1 / 3, rel=1e-12)


@given(margin=margins, scale=st.floats(0.1, 10.0))
def test_measures_do_not_depend_on_the_unit(margin, scale):
    scaled = scale * np.array(margin)
    for ordered in (False, True):
        expected = peak_to_trough(margin, ordered=ordered)
        assert peak_to_trough(scaled, ordered=ordered) == pytest.approx(expected, rel=1e-12)
    expected = largest_increase(margin, periods=2)
    assert largest_increase(scaled, periods=2) == pytest.approx(expected, rel=1e-12)


@given(margin=margins, periods=st.integers(1, 6))
def test_no_rise_exceeds_the_ordered_and_this_not_the_unordered_range(margin, periods):
    ordered = peak_to_trough(margin, ordered=True)
    assert largest_increase(margin, periods=periods) <= ordered <= peak_to_trough(margin)


@by_measure
def test_a_margin_of_zero_is_refused(call):
    with pytest.raises(InputError, match="margin must be > 0, the smallest was 0"):
        call([0.1, 0.0, 0.2])


@by_measure
def test_a_missing_margin_is_refused(call):
    with pytest.raises(InputError, match="margin must be finite, found 1 NaN"):
        call([0.1, np.nan, 0.2])


@by_measure
def test_a_table_of_margins_is_refused(call):
    with pytest.raises(ShapeError, match=r"margin must have shape \(n,\)"):
        call(np.ones((3, 2)))


def test_a_series_no_longer_than_the_rise_is_refused():
    with pytest.raises(NotEnoughHistoryError, match="more than 5 periods for rises over 5"):
        largest_increase(np.ones(5), periods=5)


@pytest.mark.parametrize("periods", [0, -1, 1.0])
def test_a_rise_over_no_period_is_refused(periods):
    with pytest.raises(InputError, match="periods must be a whole number >= 1"):
        largest_increase(PUBLISHED, periods=periods)


@pytest.mark.parametrize("threshold", [0.0, np.nan])
def test_a_threshold_that_is_not_positive_is_refused(threshold):
    with pytest.raises(InputError, match=r"threshold must be > 0.*1\.25 for \+25 %"):
        large_increase_share(PUBLISHED, threshold=threshold)
