"""Measures of probabilities against scikit-learn, hand-made cases and simulated truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from foremargin.backtest import (
    brier_loss,
    brier_skill_score,
    expected_calibration_error,
    log_loss,
    pr_auc,
    reliability_curve,
    roc_auc,
)
from foremargin.errors import InputError, ShapeError

RNG = np.random.default_rng(11)
EVENT = RNG.random(500) < 0.2
PROBABILITY = np.clip(0.2 + 0.3 * EVENT + 0.2 * RNG.standard_normal(500), 0.0, 1.0)
TIED = np.round(PROBABILITY, 1)

MEASURES = [
    brier_loss,
    brier_skill_score,
    expected_calibration_error,
    log_loss,
    pr_auc,
    reliability_curve,
    roc_auc,
]


@pytest.mark.parametrize("said", [PROBABILITY, TIED], ids=["distinct", "tied"])
def test_the_measures_are_those_of_scikit_learn(said):
    assert pr_auc(EVENT, said) == pytest.approx(metrics.average_precision_score(EVENT, said))
    assert roc_auc(EVENT, said) == pytest.approx(metrics.roc_auc_score(EVENT, said))
    assert brier_loss(EVENT, said).mean() == pytest.approx(metrics.brier_score_loss(EVENT, said))
    inside = np.clip(said, 0.01, 0.99)
    assert log_loss(EVENT, inside).mean() == pytest.approx(metrics.log_loss(EVENT, inside))


def test_skill_is_measured_against_the_base_rate_or_a_reference():
    base = EVENT.mean() * (1 - EVENT.mean())
    expected = 1 - metrics.brier_score_loss(EVENT, PROBABILITY) / base
    assert brier_skill_score(EVENT, PROBABILITY) == pytest.approx(expected)
    assert brier_skill_score(EVENT, PROBABILITY, reference=PROBABILITY) == pytest.approx(0.0)
    assert np.isnan(brier_skill_score(EVENT, PROBABILITY, reference=EVENT))


def test_calling_impossible_what_happens_costs_infinitely_much():
    np.testing.assert_array_equal(log_loss([1, 0, 1], [0.0, 0.0, 1.0]), [np.inf, 0.0, 0.0])


def test_without_events_or_without_others_there_is_no_ranking():
    assert np.isnan(pr_auc([0, 0], [0.1, 0.2]))
    assert np.isnan(roc_auc([0, 0], [0.1, 0.2]))
    assert np.isnan(roc_auc([1, 1], [0.1, 0.2]))
    assert pr_auc([1, 1], [0.1, 0.2]) == 1.0


def test_a_ranking_without_skill_has_the_share_of_events_as_precision():
    happened, said = np.random.default_rng(3).random((2, 200_000))
    # The standard error of the rate is 0.0007.
    assert pr_auc(happened < 0.1, said) == pytest.approx(0.1, abs=0.004)
    assert roc_auc(happened < 0.1, said) == pytest.approx(0.5, abs=0.008)


@given(power=st.floats(0.2, 5.0))
def test_a_ranking_does_not_change_when_probabilities_are_bent(power):
    assert pr_auc(EVENT, PROBABILITY**power) == pytest.approx(pr_auc(EVENT, PROBABILITY))
    assert roc_auc(EVENT, PROBABILITY**power) == pytest.approx(roc_auc(EVENT, PROBABILITY))


def test_right_probabilities_are_calibrated_and_bent_ones_are_not():
    rng = np.random.default_rng(4)
    said = rng.beta(1, 4, 50_000)
    happened = rng.random(50_000) < said
    for equal_counts in (False, True):
        # Chance alone makes about 0.8 sqrt(p (1 - p) / n_bin), here 0.3 points.
        right = expected_calibration_error(happened, said, equal_counts=equal_counts)
        bent = expected_calibration_error(happened, np.sqrt(said), equal_counts=equal_counts)
        assert right < 0.006
        truth = float(np.mean(np.sqrt(said) - said))  # too high everywhere
        assert bent == pytest.approx(truth, abs=0.01)


def test_the_curve_holds_every_case_once_and_its_means():
    curve = reliability_curve(EVENT, PROBABILITY, n_bins=7)
    assert curve.n.sum() == len(EVENT)
    assert (curve.n * curve.rate).sum() == pytest.approx(EVENT.sum())
    assert (curve.n * curve.probability).sum() == pytest.approx(PROBABILITY.sum())
    assert curve.probability.is_monotonic_increasing
    width = np.floor(np.minimum(PROBABILITY, 1 - 1e-12) * 7)
    assert len(curve) == len(np.unique(width))


def test_bins_of_equal_counts_are_equal_and_never_split_a_tie():
    uneven = (RNG.permutation(500) / 500) ** 3
    equal = reliability_curve(EVENT, uneven, equal_counts=True)
    assert list(equal.n) == [50] * 10
    tied = reliability_curve([0, 1, 0, 1, 1, 0], [0.1, 0.1, 0.1, 0.1, 0.1, 0.9], equal_counts=True)
    assert list(tied.n) == [5, 1]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda f: f.__name__)
def test_what_is_not_an_event_or_a_probability_is_refused(measure):
    with pytest.raises(InputError, match="event must hold True/False or 0/1, found 1 other"):
        measure([0.0, 0.5], [0.1, 0.2])
    with pytest.raises(InputError, match="probability must be in"):
        measure([0, 1], [0.1, 20.0])
    with pytest.raises(InputError, match="probability must be finite, found 1 NaN"):
        measure([0, 1], [0.1, np.nan])
    with pytest.raises(ShapeError, match="must have the same shape"):
        measure([0, 1, 1], [0.1, 0.2])


def test_a_curve_needs_a_bin():
    with pytest.raises(InputError, match="n_bins must be a whole number >= 1"):
        reliability_curve([0, 1], [0.1, 0.2], n_bins=0)
