"""The as-of join: what was known at the end of a period, and nothing that came later."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foremargin.markets.assembly.joining import Series, as_of, within
from foremargin.markets.fields import Rule

PERIOD = 10
ENDS = np.arange(1, 13) * PERIOD

# (moment, delay, value): moments before, inside and after the axis, many of them equal.
observation = st.tuples(
    st.integers(-30, 130), st.integers(0, 60), st.sampled_from([math.nan, 1.0, -2.0, 3.5, 7.0])
)
observed = st.lists(observation, max_size=25)
ages = st.one_of(st.none(), st.integers(0, 80))


def series_of(rows):
    """Rows in any order: the join must not rely on one."""
    time, delay, values = (np.array([row[k] for row in rows]) for k in range(3))
    time = time.astype(np.int64)
    return Series(
        time=time, known_at=time + delay.astype(np.int64), values=values.astype(np.float64)
    )


def nanoseconds(age):
    return None if age is None else pd.Timedelta(age, unit="ns")


def last_by_hand(rows, end, max_age):
    """What a clerk with a list would write down at `end`."""
    known = [(t, t + d, v) for t, d, v in rows if t + d <= end and not math.isnan(v)]
    if not known:
        return math.nan, None
    moment, known_at, value = max(known, key=lambda row: (row[0], row[1]))
    if max_age is not None and end - known_at > max_age:
        return math.nan, None
    return value, end - moment


@given(rows=observed, max_age=ages)
@example(rows=[(-1, 0, 1.0)], max_age=None)
def test_the_join_is_what_a_clerk_would_have_written_down(rows, max_age):
    # Of equal moments known at the same time the clerk cannot tell which came last.
    rows = list({(t, t + d): (t, d, v) for t, d, v in rows}.values())
    joined = as_of(series_of(rows), ENDS, max_age=nanoseconds(max_age))
    expected = [last_by_hand(rows, end, max_age) for end in ENDS.tolist()]
    np.testing.assert_array_equal(joined.values, [value for value, _ in expected])
    ages_s = [math.nan if age is None else age / 1e9 for _, age in expected]
    np.testing.assert_allclose(joined.age_s(ENDS), ages_s, rtol=1e-12)


@given(rows=observed, rule=st.sampled_from([Rule.SUM, Rule.SUM_OF_KNOWN, Rule.MEAN]))
def test_a_flow_counts_in_the_period_in_which_it_became_known(rows, rule):
    expected = []
    for end in ENDS.tolist():
        inside = [v for t, d, v in rows if end - PERIOD < t + d <= end]
        known = [v for v in inside if not math.isnan(v)]
        if not known or (rule is Rule.SUM and len(known) < len(inside)):
            expected.append(math.nan)
        else:
            expected.append(math.fsum(known) / (len(known) if rule is Rule.MEAN else 1))
    got = within(series_of(rows), ENDS, period=PERIOD, rule=rule)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@given(rows=observed, row=st.integers(0, len(ENDS) - 1), later=observed, max_age=ages)
def test_a_shock_to_what_is_known_later_changes_nothing_before(rows, row, later, max_age):
    end = int(ENDS[row])
    before = [one for one in rows if one[0] + one[1] <= end]
    # Another future: other values, and moments of the past that become known only now.
    shocked = before + [(t, max(d, end + 1 - t), v) for t, d, v in later]
    kept = slice(0, row + 1)
    for changed in (before, shocked):
        old, new = (
            as_of(series_of(one), ENDS, max_age=nanoseconds(max_age)) for one in (rows, changed)
        )
        np.testing.assert_array_equal(new.values[kept], old.values[kept])
        np.testing.assert_array_equal(new.time[kept], old.time[kept])
        for rule in Rule:
            old_sum, new_sum = (
                within(series_of(one), ENDS, period=PERIOD, rule=rule) for one in (rows, changed)
            )
            np.testing.assert_array_equal(new_sum[kept], old_sum[kept])


def test_a_late_arrival_does_not_replace_what_is_newer_and_a_revision_does():
    rows = [(5, 0, 1.0), (15, 0, 2.0), (8, 20, 9.0), (15, 30, 3.0)]
    values = as_of(series_of(rows), ENDS[:5], max_age=None).values
    np.testing.assert_array_equal(values, [1.0, 2.0, 2.0, 2.0, 3.0])


def test_a_value_is_known_at_the_very_end_of_a_period_and_no_nanosecond_later():
    at_end = as_of(series_of([(0, 10, 1.0)]), ENDS[:2], max_age=None).values
    np.testing.assert_array_equal(at_end, [1.0, 1.0])
    after = as_of(series_of([(0, 11, 1.0)]), ENDS[:2], max_age=None).values
    np.testing.assert_array_equal(after, [np.nan, 1.0])


def test_a_value_stands_for_its_age_and_no_nanosecond_longer():
    one = series_of([(0, 10, 1.0)])
    values = as_of(one, ENDS[:3], max_age=nanoseconds(10)).values
    np.testing.assert_array_equal(values, [1.0, 1.0, np.nan])
    values = as_of(one, ENDS[:3], max_age=nanoseconds(9)).values
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan])


def test_what_became_known_between_the_rows_of_an_exchange_is_in_no_sum():
    ends = np.array([10, 20, 90])
    rows = [(5, 0, 1.0), (50, 0, 100.0), (85, 0, 2.0)]
    got = within(series_of(rows), ends, period=PERIOD, rule=Rule.SUM)
    np.testing.assert_array_equal(got, [1.0, np.nan, 2.0])


@pytest.mark.parametrize("rule", list(Rule))
def test_nothing_known_is_nan_by_every_rule(rule):
    empty = series_of([])
    assert np.isnan(within(empty, ENDS, period=PERIOD, rule=rule)).all()
    assert np.isnan(as_of(empty, ENDS, max_age=None).values).all()
