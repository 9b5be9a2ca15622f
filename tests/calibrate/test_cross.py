"""Margins of whole accounts: sums over positions, joint scenarios, coverage of every account."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.calibrate import Filtered, MarginMarket
from foremargin.calibrate.coverage import AdaptiveConformal
from foremargin.calibrate.policies import CrossMargin, account_loss, summed_margin
from foremargin.errors import ShapeError
from foremargin.markets import Panel

Array = NDArray[np.float64]

MODEL = "ewma-0.97"


@pytest.fixture(scope="module")
def market(
    make_market: Callable[..., MarginMarket], make_panel: Callable[..., Panel]
) -> MarginMarket:
    return make_market(make_panel(n_periods=900))


@pytest.fixture(scope="module")
def weight(market: MarginMarket) -> Array:
    n = market.history.panel.n_instruments
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(6, n))
    drawn[0] = np.eye(n)[0]
    drawn[1] = -np.eye(n)[0]
    drawn[2, 2:] = 0.0
    return np.asarray(drawn / np.abs(drawn).sum(axis=1, keepdims=True))


def test_one_position_loses_what_its_side_loses(market: MarginMarket, weight: Array) -> None:
    loss = account_loss(market, weight)
    np.testing.assert_array_equal(loss[:, 0], market.loss()[:, 0, 0])
    np.testing.assert_allclose(loss[:, 1], market.loss()[:, 0, 1], rtol=1e-12)


def test_losses_add_up_and_what_is_not_known_is_missing(
    market: MarginMarket, weight: Array
) -> None:
    loss, each = account_loss(market, weight), market.loss()[..., 0]
    known = np.isfinite(each).all(axis=1)
    np.testing.assert_allclose(loss[known], each[known] @ weight.T, rtol=1e-12)
    held = weight != 0.0
    for account in range(len(weight)):
        missing = ~np.isfinite(each[:, held[account]]).all(axis=1)
        np.testing.assert_array_equal(np.isnan(loss[:, account]), missing)


def test_the_sum_of_margins_takes_each_position_at_its_side(
    market: MarginMarket, weight: Array
) -> None:
    rate = Filtered(model=MODEL).margin(market)
    summed = summed_margin(rate, weight)
    row = np.flatnonzero(np.isfinite(rate).all(axis=(1, 2)))[-1]
    for account in range(len(weight)):
        wanted = sum(
            abs(w) * rate[row, i, 0 if w > 0 else 1] for i, w in enumerate(weight[account])
        )
        assert summed[row, account] == pytest.approx(wanted, rel=1e-12)


def test_margins_scale_with_volatility_now_and_not_with_the_unit_of_all(
    market: MarginMarket, weight: Array
) -> None:
    base = CrossMargin(model=MODEL).margin(market, weight)
    scaled = replace(market, variance={**market.variance, MODEL: 4.0 * market.variance[MODEL]})
    np.testing.assert_allclose(
        CrossMargin(model=MODEL).margin(scaled, weight), base, rtol=1e-9, equal_nan=True
    )


def test_no_account_asks_for_more_than_its_positions_alone(
    market: MarginMarket, weight: Array
) -> None:
    policy = CrossMargin(model=MODEL, diversification_cap=1.0)
    book = policy.margin(market, weight)
    n = market.history.panel.n_instruments
    alone = policy.margin(market, np.vstack([np.eye(n), -np.eye(n)]))
    rate = np.stack([alone[:, :n], alone[:, n:]], axis=-1)
    both = np.isfinite(book) & np.isfinite(summed_margin(rate, weight))
    # Value at risk is not coherent; in these drawn books it never exceeds the sum.
    assert both.sum() > 500
    assert (book[both] <= summed_margin(rate, weight)[both] * (1 + 1e-9)).all()


def test_a_cap_on_diversification_leaves_a_share_of_the_sum(
    market: MarginMarket, weight: Array
) -> None:
    free = CrossMargin(model=MODEL, diversification_cap=1.0).margin(market, weight)
    none = CrossMargin(model=MODEL, diversification_cap=0.0).margin(market, weight)
    half = CrossMargin(model=MODEL, diversification_cap=0.5).margin(market, weight)
    known = np.isfinite(free)
    np.testing.assert_allclose(half[known], np.maximum(free, 0.5 * none)[known], rtol=1e-9)


def test_coverage_control_brings_accounts_to_their_target(
    market: MarginMarket, weight: Array
) -> None:
    # A forecast three times too low in the second half of the past: residuals of before mislead.
    wrong = market.variance[MODEL].copy()
    wrong[600:] /= 9.0
    misled = replace(market, variance={**market.variance, MODEL: wrong})
    loss = account_loss(misled, weight)

    def rate(policy: CrossMargin) -> float:
        margin = policy.margin(misled, weight)
        known = np.isfinite(margin) & np.isfinite(loss)
        known[:600] = False
        return float((loss > margin)[known].mean())

    plain = rate(CrossMargin(model=MODEL))
    held = rate(CrossMargin(model=MODEL, coverage=AdaptiveConformal(gain=0.2)))
    target = misled.tail_probability
    assert plain > 1.5 * target
    assert held < 0.75 * plain


def test_nothing_after_an_origin_changes_its_margin(market: MarginMarket, weight: Array) -> None:
    at = 800
    targets = market.history.targets
    changed = np.where(targets.known_at > at, 0.7, targets.log_return)
    shocked = replace(
        market, history=replace(market.history, targets=replace(targets, log_return=changed))
    )
    policy = CrossMargin(model=MODEL, coverage=AdaptiveConformal())
    base, moved = policy.margin(market, weight), policy.margin(shocked, weight)
    np.testing.assert_array_equal(moved[: at + 1], base[: at + 1])
    assert not np.array_equal(moved, base, equal_nan=True)


def test_weights_that_do_not_fit_are_refused(market: MarginMarket) -> None:
    with pytest.raises(ShapeError, match=r"shape \(n_accounts, 4\)"):
        account_loss(market, np.ones((2, 3)))
    with pytest.raises(ShapeError, match="must hold something"):
        account_loss(market, np.zeros((1, 4)))
