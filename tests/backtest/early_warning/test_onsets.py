import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.backtest import find_onsets
from foremargin.errors import InputError, ShapeError

# Ten calm values, then what each test needs; their 95th percentile is 2.
CALM = [1.0, 2.0] * 5


def rows(measure, **options):
    return list(np.flatnonzero(find_onsets(measure, min_history=5, **options).onset))


def test_a_stress_that_flickers_begins_once():
    # Excesses at 10, 11 and 13: two calm periods do not lie between any two of them.
    assert rows([*CALM, 9.0, 9.0, 1.0, 9.9, 1.0, 1.0], quiet=2) == [10]


def test_a_stress_after_the_quiet_time_is_a_new_one():
    measure = [*CALM, 9.0, 1.0, 1.0, 30.0]
    assert rows(measure, quiet=2) == [10, 13]
    assert rows(measure, quiet=3) == [10]


def test_the_threshold_is_the_quantile_of_the_periods_before():
    measure = np.random.default_rng(0).random(60)
    found = find_onsets(measure, quiet=3, min_history=20, quantile=0.9)
    assert np.isnan(found.threshold[:20]).all()
    for t in (20, 37, 59):
        assert found.threshold[t] == pytest.approx(np.quantile(measure[:t], 0.9), rel=1e-12)


def test_it_is_calm_only_after_a_whole_quiet_time():
    found = find_onsets([*CALM, 9.0, 1.0, 1.0, 1.0], quiet=2, min_history=5)
    # No threshold before the fifth value, so that nothing is known of the first seven.
    assert list(np.flatnonzero(found.calm)) == [7, 8, 9, 13]


def test_a_missing_value_is_neither_calm_nor_an_onset():
    measure = [*CALM, np.nan, 9.0, 1.0, 1.0, 1.0, 20.0]
    assert rows(measure, quiet=2) == [15]
    assert not find_onsets(measure, quiet=2, min_history=5).calm[10:13].any()


def test_a_series_that_never_exceeds_has_no_onset():
    assert rows(np.ones(50), quiet=2) == []


@given(cut=st.integers(30, 99), seed=st.integers(0, 20))
def test_the_future_changes_nothing(cut, seed):
    rng = np.random.default_rng(seed)
    measure = np.exp(np.cumsum(0.3 * rng.standard_normal(100)))
    other = np.concatenate([measure[:cut], 100.0 * rng.random(100 - cut)])
    one, two = (find_onsets(x, quiet=3, min_history=20) for x in (measure, other))
    for name in ("threshold", "onset", "calm"):
        np.testing.assert_array_equal(getattr(one, name)[:cut], getattr(two, name)[:cut])


def test_onsets_are_as_far_apart_as_the_quiet_time():
    rng = np.random.default_rng(3)
    found = rows(np.exp(rng.standard_normal(3000)), quiet=10)
    assert len(found) > 20
    assert np.diff(found).min() > 10


def test_arguments_that_are_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"quantile must be in \(0, 1\), was 1"):
        find_onsets(CALM, quiet=2, min_history=5, quantile=1.0)
    with pytest.raises(InputError, match="quiet must be a whole number >= 1"):
        find_onsets(CALM, quiet=0, min_history=5)
    with pytest.raises(InputError, match="min_history must be a whole number >= 1"):
        find_onsets(CALM, quiet=1, min_history=0)
    with pytest.raises(InputError, match="measure must be finite or NaN, found 1 infinite"):
        find_onsets([*CALM, np.inf], quiet=1, min_history=5)
    with pytest.raises(ShapeError, match=r"measure must have shape \(n,\)"):
        find_onsets(np.ones((9, 2)), quiet=1, min_history=5)
