"""Many controllers at once say what each says alone."""

import numpy as np
import pytest

from foremargin.calibrate.coverage import ALL_RULES, StackedController
from foremargin.errors import InputError, ShapeError

TAIL = 0.05
by_rule = pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)


def _small(rule):
    return rule.resized(window=60, needed=20)


def _drive(stack, singles, rng, *, n_steps, n_regimes):
    """Move random series by random scores, and compare every answer."""
    issued = 0
    for _ in range(n_steps):
        turn = np.flatnonzero(rng.random(len(singles)) < 0.7)
        score = rng.standard_t(3, size=len(turn)).round(1)
        score[rng.random(len(turn)) < 0.1] = np.nan
        pooled = np.sort(rng.standard_t(3, size=9))[::-1]
        regime = rng.normal(size=(len(turn), n_regimes))
        said = stack.update(turn, score, pooled=pooled, regime=regime if n_regimes else None)
        for j, k in enumerate(turn):
            singles[k].update(
                float(score[j]), pooled=pooled, regime=regime[j] if n_regimes else None
            )
            np.testing.assert_array_equal(said[j], singles[k].quantile())
            issued += np.isfinite(said[j])
    return issued


@by_rule
@pytest.mark.parametrize("lag", [1, 5])
def test_every_series_says_to_the_last_bit_what_its_own_controller_says(rule, lag):
    rule, rng = _small(rule), np.random.default_rng(lag)
    options = {"tail_probability": TAIL, "lag": lag, "pooled_weight": 30.0}
    stack = StackedController.fresh(rule, n_series=4, **options)
    singles = [rule.start(**options) for _ in range(4)]
    assert _drive(stack, singles, rng, n_steps=150, n_regimes=rule.n_regimes) > 100
    other = StackedController.fresh(rule, n_series=4, **options)
    other.restore(stack.state())
    assert _drive(other, singles, rng, n_steps=50, n_regimes=rule.n_regimes) > 100


def test_a_state_is_a_copy_and_refused_by_another_rule():
    rule, other = _small(ALL_RULES[0]), _small(ALL_RULES[1])
    stack = StackedController.fresh(rule, n_series=2, tail_probability=TAIL)
    saved = stack.state()
    stack.update(np.array([0, 1]), np.array([1.0, 2.0]), pooled=np.empty(0))
    np.testing.assert_array_equal(saved["place"], 0)
    wrong = StackedController.fresh(other, n_series=2, tail_probability=TAIL)
    with pytest.raises(InputError, match="must be that of AdaptiveConformal"):
        wrong.restore(saved)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("order", lambda a: np.full_like(a, 10**6), "places of a saved state"),
        ("place", lambda a: a - 1, "places of a saved state"),
        ("queue", lambda a: a[:1], "queue of a saved state must be float64"),
        ("queue", lambda a: a * np.nan, "scores of a saved state must be finite"),
        ("pending", lambda a: a.astype(np.float32), "pending of a saved state must be float64"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(name, damage, message):
    rule = _small(ALL_RULES[1])
    stack = StackedController.fresh(rule, n_series=2, tail_probability=TAIL)
    for _ in range(30):
        stack.update(np.array([0, 1]), np.array([1.0, 2.0]), pooled=np.empty(0))
    saved = stack.state()
    with pytest.raises(InputError, match=message):
        stack.restore({**saved, name: damage(saved[name])})
    for key, array in stack.state().items():
        np.testing.assert_array_equal(array, saved[key])


def test_scores_that_no_loss_could_make_and_wrong_places_are_refused():
    stack = StackedController.fresh(_small(ALL_RULES[1]), n_series=2, tail_probability=TAIL)
    with pytest.raises(InputError, match="at most 1e"):
        stack.update(np.array([0]), np.array([np.inf]), pooled=np.empty(0))
    with pytest.raises(ShapeError, match="places of 2 series"):
        stack.update(np.array([2]), np.array([1.0]), pooled=np.empty(0))
    with pytest.raises(ShapeError, match="one for each of 1 series"):
        stack.update(np.array([0]), np.array([1.0, 2.0]), pooled=np.empty(0))
