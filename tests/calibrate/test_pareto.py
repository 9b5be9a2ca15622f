"""Tails by extreme value theory against `scipy`, a loop, and the empirical ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from foremargin.calibrate.empirical import rolling_tails
from foremargin.calibrate.pareto import (
    PRIOR_EXCESSES,
    USUAL_SHAPE,
    pareto_tail,
    rolling_pareto_tails,
)
from foremargin.calibrate.upper_end import read_tail

Array = NDArray[np.float64]

TAILS = np.array([0.01, 0.025, 0.05])


def by_formula(score: Array, tail: float) -> tuple[float, float]:
    """Fit the largest tenth as Hosking and Wallis do; read the tail off scipy's Pareto law."""
    ordered = np.sort(score)
    k = int(np.ceil(0.1 * len(ordered)))
    threshold, excess = ordered[-k - 1], ordered[-k:] - ordered[-k - 1]
    share_above = (np.arange(1, k + 1) - 0.35) / k
    a0, a1 = excess.mean(), np.mean((1 - share_above) * excess)
    # Hosking and Wallis (1987): k = a0 / (a0 - 2 a1) - 2, the shape being -k
    raw = 2 - a0 / (a0 - 2 * a1)
    shape = np.clip((k * raw + PRIOR_EXCESSES * USUAL_SHAPE) / (k + PRIOR_EXCESSES), -0.25, 0.5)
    law = stats.genpareto(shape, scale=a0 * (1 - shape))
    beyond = law.isf(tail * len(ordered) / k)
    mean_excess = (law.kwds["scale"] + shape * beyond) / (1 - shape)
    return threshold + beyond, threshold + beyond + mean_excess


@pytest.mark.parametrize("nu", [3.0, 8.0])
@pytest.mark.parametrize("tail", TAILS)
def test_a_tail_is_that_of_the_pareto_law_of_the_largest_tenth(nu: float, tail: float) -> None:
    score = np.random.default_rng(3).standard_t(nu, size=730)
    got = pareto_tail(np.sort(score), score, tail)
    np.testing.assert_allclose(got, by_formula(score, tail), rtol=1e-10)


def test_the_tail_of_an_exponential_law_is_known_in_closed_form() -> None:
    # P(X > x) = exp(-x): the quantile is -ln p, and the mean beyond it one more.
    score = stats.expon.ppf((np.arange(20_000) + 0.5) / 20_000)
    quantile, beyond = pareto_tail(score, score, 0.01)
    # The prior shape of 0.1 counts for 100 of 2,100 excesses: a shape of 0.005.
    np.testing.assert_allclose([quantile, beyond], [-np.log(0.01), 1 - np.log(0.01)], rtol=0.01)


def test_it_is_nearer_to_the_truth_than_the_empirical_tail() -> None:
    rng = np.random.default_rng(4)
    nu, tail = 4.0, 0.01
    truth = stats.t(nu).isf(tail)
    beyond = stats.t(nu).pdf(truth) / tail * (nu + truth**2) / (nu - 1)
    samples = np.sort(rng.standard_t(nu, size=(400, 500)), axis=1)
    smooth = np.array([pareto_tail(row, row, tail) for row in samples])
    raw = np.array([read_tail(row, row, tail) for row in samples])
    error = {
        name: np.sqrt(np.mean((tails / [truth, beyond] - 1) ** 2, axis=0))
        for name, tails in (("smooth", smooth), ("raw", raw))
    }
    assert (error["smooth"] < 0.8 * error["raw"]).all()


def test_scores_whose_threshold_is_tied_have_their_empirical_tail() -> None:
    still = np.sort(np.where(np.arange(400) % 50 == 0, 1.0, 0.0))
    for tail in TAILS:
        assert pareto_tail(still, still, tail) == read_tail(still, still, tail)


def test_a_tail_that_is_not_rarer_than_the_threshold_is_the_empirical_one() -> None:
    score = np.sort(np.random.default_rng(5).normal(size=300))
    assert pareto_tail(score, score, 0.1) == read_tail(score, score, 0.1)
    assert pareto_tail(score, score, 0.3) == read_tail(score, score, 0.3)


@pytest.mark.parametrize(("lag", "window", "needed"), [(1, 50, 10), (5, 60, 60), (3, 400, 100)])
def test_rolling_tails_are_those_of_the_scores_known_at_each_origin(
    lag: int, window: int, needed: int
) -> None:
    score = np.random.default_rng(6).standard_t(4, size=300)
    score[::7] = np.nan
    quantile, beyond = rolling_pareto_tails(score, TAILS, lag, window, needed)
    for t in range(300):
        past = score[: max(0, t - lag + 1)]
        kept = np.sort(past[np.isfinite(past)][-window:])
        if len(kept) < needed:
            assert np.isnan(quantile[t]).all()
            continue
        wanted = np.array([pareto_tail(kept, kept, tail) for tail in TAILS])
        np.testing.assert_allclose(quantile[t], wanted[:, 0], rtol=1e-12)
        np.testing.assert_allclose(beyond[t], wanted[:, 1], rtol=1e-12)


def test_a_single_score_is_no_tail() -> None:
    quantile, _ = rolling_pareto_tails(np.ones(5), TAILS, 1, 10, 1)
    assert np.isnan(quantile[:2]).all()
    assert np.isfinite(quantile[2:]).all()


scores = st.lists(st.floats(-1e3, 1e3), min_size=30, max_size=80).map(np.array)


@given(score=scores)
def test_rarer_tails_are_never_smaller_and_the_mean_beyond_never_less_than_the_quantile(
    score: Array,
) -> None:
    quantile, beyond = rolling_pareto_tails(score, TAILS, 1, 40, 5)
    quantile, beyond = quantile[10:], beyond[10:]
    slack = 1e-9 * np.abs(score).max()  # sums of a thousandfold range are rounded
    assert (np.diff(quantile, axis=1) <= slack).all()
    assert (np.diff(beyond, axis=1) <= slack).all()
    assert (beyond >= quantile - slack).all()


def test_a_smooth_quantile_has_the_breach_rate_of_the_empirical_one_on_independent_scores() -> None:
    score = np.random.default_rng(7).standard_t(5, size=60_000)
    for tails in (rolling_pareto_tails, rolling_tails):
        quantile = tails(score, TAILS, 1, 1_000, 1_000)[0][1_000:]
        rate = (score[1_000:, None] > quantile).mean(axis=0)
        # Four binomial deviations, widened by the error of a quantile of 1,000 scores.
        allowed = 4.0 * np.sqrt(TAILS / 59_000) + 0.06 * TAILS
        assert (np.abs(rate - TAILS) < allowed).all()
