"""How far the predictive margin follows its forecast is learned from known outcomes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.calibrate import MarginMarket, Predictive
from foremargin.calibrate.policies.predictive import RESPONSIVENESS, choose_candidate
from foremargin.features import build_history
from foremargin.markets import Panel

Array = NDArray[np.float64]

N, FIRST = 4_000, 500
EXPONENTS = RESPONSIVENESS


@pytest.fixture(scope="module")
def true_sigma() -> Array:
    """Log volatility that wanders slowly and widely."""
    rng = np.random.default_rng(12)
    log_sigma = np.zeros((N, 2))
    for t in range(1, N):
        log_sigma[t] = 0.98 * log_sigma[t - 1] + 0.12 * rng.normal(size=2)
    return 0.02 * np.exp(log_sigma)


@pytest.fixture(scope="module")
def market(true_sigma: Array) -> MarginMarket:
    """Two coins whose next return has a known volatility, and three forecasts of it."""
    rng = np.random.default_rng(13)
    log_return = np.full((N, 2), np.nan)
    log_return[1:] = true_sigma[:-1] * rng.normal(size=(N - 1, 2))
    panel = Panel(
        time=np.asarray(pd.date_range("2010-01-02", periods=N), dtype="datetime64[ns]"),
        period=pd.Timedelta(days=1),
        instruments=("A", "B"),
        close=100.0 * np.exp(np.nancumsum(log_return, axis=0)),
        log_return=log_return,
        missing=np.zeros((N, 2), dtype=np.int8),
        periods_per_year=np.array([365.0, 365.0]),
    )
    noise = 4e-4 * np.exp(0.8 * np.random.default_rng(14).normal(size=(N, 2)))
    return MarginMarket(
        history=build_history(panel, horizons=(1,)),
        horizon=1,
        tail_probability=0.02,
        first_row=FIRST,
        variance={"truth": true_sigma**2, "noise": noise},
    )


def followed(market: MarginMarket, model: str) -> Array:
    return Predictive(model=model).followed(market)


def test_a_true_forecast_is_followed_one_for_one_and_noise_hardly_at_all(
    market: MarginMarket,
) -> None:
    truth, noise = followed(market, "truth"), followed(market, "noise")
    assert truth[-1, 0] == 1.0
    assert truth[-1, 1] >= 0.75  # little is lost below the usual, and so little is learned
    np.testing.assert_array_equal(noise[-1], (0.0, 0.0))
    # The start, until a year of outcomes has been scored: 125 days of two coins and two sides.
    assert (truth[:125] == 0.75).all()
    assert (noise[:125] == 0.75).all()


def test_the_margin_is_that_of_the_exponents_in_force(market: MarginMarket) -> None:
    margin, exponent = Predictive(model="truth").margin(market), followed(market, "truth")
    for pair in np.unique(exponent, axis=0):
        rows = (exponent == pair).all(axis=1)
        single = Predictive(model="truth", exponents=(tuple(pair),)).margin(market)
        np.testing.assert_array_equal(margin[rows], single[rows])
    assert len(np.unique(exponent, axis=0)) > 1


def test_a_forecast_that_is_right_only_above_the_usual_is_followed_there(
    market: MarginMarket, true_sigma: Array
) -> None:
    rng = np.random.default_rng(15)
    low = 0.02 * np.exp(-np.abs(rng.normal(size=true_sigma.shape)))  # noise below
    half_right = np.where(true_sigma > 0.02, true_sigma, low)
    one = replace(market, variance={"half": half_right**2})
    above, below = followed(one, "half")[-1]
    assert above > below


def test_the_exponent_changes_at_most_every_four_weeks(market: MarginMarket) -> None:
    exponent = followed(market, "noise")
    changed = np.flatnonzero((np.diff(exponent, axis=0) != 0.0).any(axis=1)) + 1
    assert len(changed)
    assert (changed % 28 == 0).all()


def test_each_candidate_holds_the_breach_rate(market: MarginMarket) -> None:
    loss = market.loss()
    for exponent in EXPONENTS:
        margin = Predictive(model="truth", exponents=(exponent,)).margin(market)
        known = np.isfinite(margin) & np.isfinite(loss)
        rate = (loss > margin)[known].mean()
        # Breaches of an exponent below one cluster with volatility: four deviations of a
        # binomial count whose variance is doubled.
        assert abs(rate - 0.02) < 4.0 * np.sqrt(2 * 0.02 * 0.98 / known.sum())


def test_the_choice_uses_only_outcomes_that_were_known(market: MarginMarket) -> None:
    at = 2_016  # a row at which a choice is made: 72 times 28
    assert at % 28 == 0
    candidates = np.full((3, *market.shape), 0.06)
    candidates[2, at:] = 0.9
    handicap = np.array([1.001, 1.0, 1.001])
    base = choose_candidate(candidates, market, handicap=handicap, default=1)
    targets = market.history.targets
    changed = targets.log_return.copy()
    changed[targets.known_at > at] = 2.0  # shorts lose six times what they sold
    history = replace(market.history, targets=replace(targets, log_return=changed))
    shocked = replace(market, history=history)
    moved = choose_candidate(candidates, shocked, handicap=handicap, default=1)
    assert (base == 1).all()
    # The first of these losses is known one row after the choice at `at`.
    assert (moved[: at + 28] == 1).all()
    assert (moved[at + 28 :] == 2).all()


def test_the_choice_is_the_smallest_quantile_loss_so_far(market: MarginMarket) -> None:
    rng = np.random.default_rng(16)
    candidates = 0.03 + 0.05 * rng.uniform(size=(3, *market.shape))
    handicap = np.array([1.0, 1.002, 1.0])
    got = choose_candidate(candidates, market, handicap=handicap, default=2)
    # 250 days of two sides: two coins have shown as many outcomes after 125 days, and choices are
    # made every 28.
    assert (got[:140] == 2).all()
    loss, tail = market.loss(), market.tail_probability
    for at in (700, 1_500, 3_999):
        # The outcome of origin t is known at t + 1; choices stand for 28 days.
        scored = slice(0, at // 28 * 28)
        margin, lost = candidates[:, scored], loss[scored]
        # quantile loss = margin + excess / tail, up to what no margin changes
        total = np.nansum(margin + np.maximum(lost - margin, 0.0) / tail, axis=(1, 2, 3))
        assert got[at] == (handicap * total).argmin()


def test_a_handicap_keeps_an_equally_good_candidate_from_being_chosen(
    market: MarginMarket,
) -> None:
    same = np.full((3, *market.shape), 0.05)
    for best in range(3):
        handicap = np.full(3, 1.01)
        handicap[best] = 1.0
        got = choose_candidate(same, market, handicap=handicap, default=0)
        assert (got[600:] == best).all()
