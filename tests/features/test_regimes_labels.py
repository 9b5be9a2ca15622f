"""Stress labels: thresholds that were known, onsets that are counted once."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.errors import InputError
from foremargin.features import build_targets
from foremargin.features.measures import Measures
from foremargin.features.regimes import (
    EXTREME_VARIANCE_STRESS,
    LIQUIDITY_STRESS,
    TURBULENCE_STRESS,
    VARIANCE_STRESS,
    LabelRule,
    StressLabels,
    onsets,
    past_threshold,
    stress_ahead,
    stress_now,
)
from foremargin.features.targets import STRESS_QUANTILE
from foremargin.markets import Panel

Array = NDArray[np.float64]

RULE = LabelRule(probability=0.9, needed=50, quiet=3)
YEAR = LabelRule(probability=0.9, needed=50, window=120, quiet=3)


def simulate(n: int = 600, k: int = 3, *, seed: int = 0) -> tuple[Array, NDArray[np.bool_]]:
    """A persistent positive measure; column 1 rests on weekends, column 2 halts."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, k))
    for t in range(1, n):
        x[t] = 0.8 * x[t - 1] + rng.normal(size=k)
    present = np.ones((n, k), dtype=bool)
    present[np.arange(n) % 7 >= 5, 1] = False
    present[200:215, 2] = False
    return np.where(present, np.exp(x), np.nan), present


def run(kind: str, x: Array, present: NDArray[np.bool_], rule: LabelRule) -> StressLabels:
    if kind == "now":
        return stress_now(x, present, rule)
    return stress_ahead(x, present, rule, horizon=5)


@pytest.mark.parametrize("rule", [RULE, YEAR])
@pytest.mark.parametrize("kind", ["now", "ahead"])
def test_wild_data_at_the_end_change_no_earlier_threshold_and_no_complete_label(
    kind: str, rule: LabelRule
) -> None:
    x, present = simulate()
    base = run(kind, x, present, rule)
    wild = np.vstack([x, 1e6 * simulate(seed=1)[0]])
    after = run(kind, wild, np.vstack([present, simulate(seed=1)[1]]), rule)
    np.testing.assert_array_equal(after.threshold[:600], base.threshold)
    known = np.isfinite(base.label)
    np.testing.assert_array_equal(after.label[:600][known], base.label[known])
    np.testing.assert_array_equal(after.onset[:600][known], base.onset[known])
    # And the bar is not one number: a quantile of the whole sample would be.
    assert len(np.unique(base.threshold[np.isfinite(base.threshold[:, 0]), 0])) > 50


def test_the_threshold_of_a_row_in_stress_is_the_quantile_of_the_rows_before_it() -> None:
    x, present = simulate()
    labels = stress_now(x, present, RULE)
    own = x[present[:, 1], 1]
    rows = np.flatnonzero(present[:, 1])
    for position in (50, 137, 400):
        wanted = np.quantile(own[:position], 0.9)
        np.testing.assert_allclose(labels.threshold[rows[position], 1], wanted, rtol=1e-12)
        assert labels.label[rows[position], 1] == float(own[position] > wanted)
    assert np.isnan(labels.label[rows[:50], 1]).all()
    assert not np.isfinite(labels.label[~present]).any()


def test_stress_ahead_compares_the_next_own_periods_with_what_was_complete() -> None:
    x, present = simulate()
    labels = stress_ahead(x, present, YEAR, horizon=5)
    own, rows = x[present[:, 1], 1], np.flatnonzero(present[:, 1])
    means = np.array([own[t - 4 : t + 1].mean() for t in range(4, len(own))])
    for position in (150, 300):
        past = means[: position - 3]  # the last of these ends at the row itself
        wanted = np.quantile(past[-120:], 0.9)
        np.testing.assert_allclose(labels.threshold[rows[position], 1], wanted, rtol=1e-10)
        ahead = own[position + 1 : position + 6].mean()
        assert labels.label[rows[position], 1] == float(ahead > wanted)
    assert np.isnan(labels.label[rows[-5:], 1]).all()
    assert np.isfinite(labels.threshold[rows[-5:], 1]).all()
    assert labels.horizon == 5


def test_forward_variance_stress_is_that_of_the_targets(
    make_panel: Callable[..., Panel],
) -> None:
    panel = make_panel()
    m = Measures(panel=panel)
    assert VARIANCE_STRESS.probability == STRESS_QUANTILE
    # Targets wait for 250 own calendar days of sums, as the rule does; COIN trades every day.
    labels = stress_ahead(m.variance, m.present, VARIANCE_STRESS, horizon=3)
    targets = build_targets(panel, horizons=(3,))
    np.testing.assert_array_equal(labels.label[:, 0], targets.stress[:, 0, 0])
    np.testing.assert_allclose(
        3.0 * labels.threshold[:, 0], targets.stress_threshold[:, 0, 0], rtol=1e-9
    )


def test_stress_happens_about_as_often_as_its_quantile_says() -> None:
    x, present = simulate(4000)
    rules = (VARIANCE_STRESS, EXTREME_VARIANCE_STRESS, LIQUIDITY_STRESS, TURBULENCE_STRESS)
    for rule in rules:
        share = np.nanmean(stress_now(x, present, rule).label)
        # 10,000 rows, each worth about a ninth of an independent one: a deviation of 0.012.
        assert abs(share - (1.0 - rule.probability)) < 0.04


def test_stress_that_flickers_is_one_episode() -> None:
    label = np.array([0, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 1], dtype=float)[:, None]
    out = onsets(label, np.ones_like(label, dtype=bool), quiet=3)
    assert np.flatnonzero(out[:, 0] == 1.0).tolist() == [3, 13]
    one = onsets(label, np.ones_like(label, dtype=bool), quiet=1)
    assert np.flatnonzero(one[:, 0] == 1.0).tolist() == [3, 6, 9, 13]


def test_stress_at_the_very_start_is_no_onset() -> None:
    label = np.array([1, 1, 0, 0, 0, 1, 0], dtype=float)[:, None]
    out = onsets(label, np.ones_like(label, dtype=bool), quiet=3)
    assert np.flatnonzero(out[:, 0] == 1.0).tolist() == [5]
    early = np.array([0, 1, 0, 0, 0, 1], dtype=float)[:, None]
    out = onsets(early, np.ones_like(early, dtype=bool), quiet=3)
    assert np.flatnonzero(out[:, 0] == 1.0).tolist() == [5]


def test_weekends_and_unknown_rows_neither_count_as_quiet_nor_end_an_episode() -> None:
    label = np.array([0, 0, 0, 1, np.nan, np.nan, 1, 0, 0, 1], dtype=float)[:, None]
    present = np.ones_like(label, dtype=bool)
    present[4] = False
    out = onsets(label, present, quiet=3)[:, 0]
    assert np.flatnonzero(out == 1.0).tolist() == [3]
    np.testing.assert_array_equal(np.isnan(out), np.isnan(label[:, 0]))


def test_a_threshold_is_unknown_until_enough_has_been_seen() -> None:
    x, present = simulate()
    assert np.isnan(past_threshold(x, present, RULE)[:49, 0]).all()
    assert np.isfinite(past_threshold(x, present, RULE)[49, 0])


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match=r"write 0\.9 for 90 %"):
        LabelRule(probability=90.0)
    with pytest.raises(InputError, match="at least one period, were 250, None and 0"):
        LabelRule(probability=0.9, quiet=0)
    x, present = simulate()
    with pytest.raises(InputError, match="horizon must be a number of periods, at least 1, was 0"):
        stress_ahead(x, present, RULE, horizon=0)
