"""Probabilities of ordered classes: closed forms, order, propriety, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from foremargin.backtest import (
    brier_loss,
    class_accuracy_score,
    class_log_loss,
    log_loss,
    ranked_probability_loss,
    ranked_probability_skill_score,
)
from foremargin.errors import InputError, ShapeError

RNG = np.random.default_rng(3)
SAID = RNG.dirichlet([2.0, 1.0, 1.0], 200)
CAME = (RNG.random((200, 1)) > SAID.cumsum(axis=1)[:, :-1]).sum(axis=1)

MEASURES = [
    ranked_probability_loss,
    ranked_probability_skill_score,
    class_log_loss,
    class_accuracy_score,
]
weights = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3)


def test_with_two_classes_it_is_the_brier_loss_and_the_log_loss():
    event, p = RNG.random(100) < 0.3, RNG.random(100)
    both = np.column_stack([1 - p, p])
    np.testing.assert_allclose(
        ranked_probability_loss(event, both), brier_loss(event, p), rtol=1e-12
    )
    np.testing.assert_allclose(class_log_loss(event, both), log_loss(event, p), rtol=1e-12)


def test_three_classes_by_hand():
    said = [0.5, 0.3, 0.2]  # at most calm 0.5, at most elevated 0.8
    expected = [
        ((0.5 - 1) ** 2 + (0.8 - 1) ** 2) / 2,  # calm came
        ((0.5 - 0) ** 2 + (0.8 - 1) ** 2) / 2,
        ((0.5 - 0) ** 2 + (0.8 - 0) ** 2) / 2,
    ]
    assert expected == pytest.approx([0.145, 0.145, 0.445])
    np.testing.assert_allclose(ranked_probability_loss([0, 1, 2], [said] * 3), expected, rtol=1e-12)


def test_it_is_the_mean_brier_loss_of_at_most_each_class():
    said = RNG.dirichlet(np.ones(5), 50)
    came = RNG.integers(0, 5, 50)
    parts = [brier_loss(came <= k, np.clip(said[:, : k + 1].sum(axis=1), 0, 1)) for k in range(4)]
    np.testing.assert_allclose(
        ranked_probability_loss(came, said), np.mean(parts, axis=0), rtol=1e-10
    )


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_certain_and_right_is_zero_and_as_wrong_as_can_be_is_one(n_classes):
    certain = np.eye(n_classes)
    assert (ranked_probability_loss(np.arange(n_classes), certain) == 0.0).all()
    assert (class_log_loss(np.arange(n_classes), certain) == 0.0).all()
    assert ranked_probability_loss([n_classes - 1], certain[:1]) == pytest.approx(1.0)
    assert np.isinf(class_log_loss([n_classes - 1], certain[:1])).all()


def test_a_class_further_away_costs_more():
    certain = np.eye(3)
    far, near, right = ranked_probability_loss([2, 2, 2], certain)
    assert far == 1.0
    assert near == 0.5
    assert right == 0.0
    # A loss per class does not tell the first two apart.
    assert ((certain[0] - certain[2]) ** 2).sum() == ((certain[1] - certain[2]) ** 2).sum()


def test_counting_classes_from_the_other_end_changes_nothing():
    np.testing.assert_allclose(
        ranked_probability_loss(2 - CAME, SAID[:, ::-1]),
        ranked_probability_loss(CAME, SAID),
        rtol=1e-9,  # sums in another order
    )


@given(truth=weights, other=weights)
def test_nobody_gains_by_saying_something_else_than_the_truth(truth, other):
    p, q = (np.array(w) / np.sum(w) for w in (truth, other))
    for loss in (ranked_probability_loss, class_log_loss):
        honest, bent = (p @ loss([0, 1, 2], np.tile(said, (3, 1))) for said in (p, q))
        assert honest <= bent + 1e-12


def test_skill_is_against_the_shares_or_a_reference():
    shares = np.bincount(CAME, minlength=3) / len(CAME)
    loss = ranked_probability_loss(CAME, SAID).mean()
    base = ranked_probability_loss(CAME, np.tile(shares, (200, 1))).mean()
    assert ranked_probability_skill_score(CAME, SAID) == pytest.approx(1 - loss / base)
    assert ranked_probability_skill_score(CAME, SAID, reference=SAID) == 0.0
    right = np.eye(3)[CAME]
    assert ranked_probability_skill_score(CAME, right) == 1.0
    assert np.isnan(ranked_probability_skill_score(CAME, SAID, reference=right))


def test_accuracy_and_log_loss_are_those_of_scikit_learn():
    expected = metrics.accuracy_score(CAME, SAID.argmax(axis=1))
    assert class_accuracy_score(CAME, SAID) == pytest.approx(expected)
    assert class_log_loss(CAME, SAID).mean() == pytest.approx(metrics.log_loss(CAME, SAID))


def test_a_tie_counts_its_share():
    assert class_accuracy_score([0, 1, 2], [[1 / 3, 1 / 3, 1 / 3]] * 3) == pytest.approx(1 / 3)
    assert class_accuracy_score([2, 2], [[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]]) == 0.25


@pytest.mark.parametrize("measure", MEASURES, ids=lambda f: f.__name__)
def test_what_is_not_a_class_or_not_its_probability_is_refused(measure):
    good = [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]
    with pytest.raises(InputError, match="outcome must be finite, found 1 NaN"):
        measure([0, np.nan], good)
    with pytest.raises(InputError, match="probability must be finite, found 1 NaN"):
        measure([0, 1], [[0.5, 0.3, 0.2], [np.nan, 0.5, 0.5]])
    with pytest.raises(InputError, match="outcome must be a class from 0 to 2, found 2 other"):
        measure([0.5, 3], good)
    with pytest.raises(InputError, match=r"probability must be in \[0, 1\], found 2 outside of 6"):
        measure([0, 1], [[0.5, 0.3, 0.2], [-0.2, 0.0, 1.2]])
    with pytest.raises(InputError, match="must sum to one in every row, found 1 of 2 rows"):
        measure([0, 1], [[0.5, 0.3, 0.2], [0.5, 0.8, 1.0]])
    with pytest.raises(ShapeError, match=r"must have shape \(3, n_classes\)"):
        measure([0, 1, 1], good)
    with pytest.raises(ShapeError, match="at least 2 classes"):
        measure([0, 0], [[1.0], [1.0]])


def test_probabilities_of_single_precision_sum_to_one():
    assert np.isfinite(ranked_probability_loss(CAME, SAID.astype(np.float32))).all()
