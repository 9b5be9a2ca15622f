"""Laws that every law of scores obeys."""

import numpy as np
import pytest

from foremargin.calibrate.laws import SCORE_LAWS, ScoreLaw
from foremargin.errors import InputError, NotEnoughHistoryError

TAILS = (0.01, 0.025, 0.05)

every_law = pytest.mark.parametrize("law", SCORE_LAWS, ids=lambda law: law.name)


@pytest.fixture(scope="module")
def score() -> np.ndarray:
    return np.random.default_rng(1).standard_t(4, size=2_000)


@every_law
def test_rarer_tails_are_larger_and_means_lie_beyond(law: ScoreLaw, score) -> None:
    tail = law.fit(score, tail_probabilities=TAILS)
    assert (np.diff(tail.quantile) < 0.0).all()
    assert (np.diff(tail.mean_beyond) < 0.0).all()
    assert (tail.mean_beyond > tail.quantile).all()


@every_law
def test_the_tail_scales_with_the_scores(law: ScoreLaw, score) -> None:
    one = law.fit(score, tail_probabilities=TAILS)
    thrice = law.fit(3.0 * score, tail_probabilities=TAILS)
    # Maximum likelihood stops within its own tolerance.
    np.testing.assert_allclose(thrice.quantile, 3.0 * one.quantile, rtol=1e-4)
    np.testing.assert_allclose(thrice.mean_beyond, 3.0 * one.mean_beyond, rtol=1e-4)


@every_law
def test_order_does_not_matter(law: ScoreLaw, score) -> None:
    one = law.fit(score, tail_probabilities=TAILS)
    other = law.fit(score[::-1], tail_probabilities=TAILS)
    np.testing.assert_allclose(other.quantile, one.quantile, rtol=1e-4)  # as above


@every_law
def test_a_fit_to_many_normal_scores_has_the_normal_tail(law: ScoreLaw) -> None:
    score = np.random.default_rng(2).normal(size=100_000)
    tail = law.fit(score, tail_probabilities=(0.05,))
    # An empirical 5 % quantile of 100,000 has a standard error of .007; three of them. The shape
    # of the Pareto law is drawn to heavier tails than normal, which lifts the mean beyond it.
    assert tail.quantile[0] == pytest.approx(1.6449, abs=0.02)
    assert tail.mean_beyond[0] == pytest.approx(2.0627, abs=0.03)


@every_law
def test_what_cannot_be_fitted_is_refused(law: ScoreLaw) -> None:
    with pytest.raises(NotEnoughHistoryError, match="at least 100 scores, found 99"):
        law.fit(np.ones(99), tail_probabilities=TAILS)
    with pytest.raises(InputError, match="1 that are not finite"):
        law.fit(np.append(np.ones(200), np.nan), tail_probabilities=TAILS)
    with pytest.raises(InputError, match="stood still"):
        law.fit(np.zeros(200), tail_probabilities=TAILS)
    with pytest.raises(InputError, match=r"must be in \(0, 0.5\)"):
        law.fit(np.random.default_rng(3).normal(size=200), tail_probabilities=(0.99,))


def test_names_are_unique() -> None:
    names = [law.name for law in SCORE_LAWS]
    assert len(set(names)) == len(names)


@every_law
def test_tails_are_read_only(law: ScoreLaw, score) -> None:
    tail = law.fit(score, tail_probabilities=TAILS)
    with pytest.raises(ValueError, match="read-only"):
        tail.quantile[0] = 1.0
