"""Oracle add-ons: the conservative side, the root of time, one dislocated venue, the matrix."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foremargin.calibrate.addons import (
    ALLOWED,
    LAPLACE_95,
    Action,
    Addons,
    OracleLimits,
    Validity,
    allowed,
    confidence_addon,
    conservative_price,
    oracle_validity,
    staleness_addon,
    venue_consensus,
)
from foremargin.errors import InputError, ShapeError

moderate = settings(max_examples=50, deadline=None)

YEAR_S = 365.0 * 86_400.0

# All within the tolerance of 0.2 % of each other.
agreeing = st.lists(st.floats(99.9, 100.09), min_size=3, max_size=6)


def test_the_default_width_holds_95_percent_of_a_laplace_law() -> None:
    law = stats.laplace(scale=1.0 / np.sqrt(2.0))
    assert law.std() == pytest.approx(1.0)
    assert law.cdf(LAPLACE_95) - law.cdf(-LAPLACE_95) == pytest.approx(0.95, abs=1e-12)


def test_a_long_is_valued_low_and_a_short_high() -> None:
    price = conservative_price(100.0, 1.0, size=[2.0, -3.0, 0.0], multiple=2.0)
    np.testing.assert_array_equal(price, [98.0, 102.0, 100.0])
    assert conservative_price(1.0, 5.0, size=1.0) == 0.0


@moderate
@given(price=st.floats(0.01, 1e6), share=st.floats(0.0, 0.4), size=st.sampled_from([-2.0, 3.0]))
def test_the_confidence_charge_is_the_loss_at_the_conservative_price(price, share, size) -> None:
    confidence = share * price
    loss = size * (price - conservative_price(price, confidence, size=size))
    charge = confidence_addon(price, confidence).rate * abs(size) * price
    np.testing.assert_allclose(charge, loss, rtol=1e-9, atol=1e-9 * price)


def test_staleness_is_the_short_side_loss_at_the_quantile() -> None:
    addon = staleness_addon(60.0, sigma_ann=0.8, year_s=YEAR_S, tail_probability=0.01)
    sigma = 0.8 * np.sqrt(60.0 / YEAR_S)
    worst = stats.lognorm(s=sigma).ppf(0.99) - 1.0
    assert addon.rate == pytest.approx(worst, rel=1e-12)


def test_staleness_grows_with_the_root_of_age_and_with_volatility() -> None:
    one, four = np.log1p(staleness_addon([30.0, 120.0], sigma_ann=0.6, year_s=YEAR_S).rate)
    assert four == pytest.approx(2.0 * one, rel=1e-10)
    doubled = np.log1p(staleness_addon(30.0, sigma_ann=1.2, year_s=YEAR_S).rate)
    assert doubled == pytest.approx(2.0 * one, rel=1e-10)
    assert staleness_addon(0.0, sigma_ann=0.6, year_s=YEAR_S).rate == 0.0


@moderate
@given(prices=agreeing, dislocated=st.one_of(st.floats(1e-3, 90.0), st.floats(110.0, 1e9)))
def test_one_dislocated_venue_changes_nothing_where_the_others_agree(prices, dislocated) -> None:
    alone = venue_consensus(np.array(prices)[:, None])
    joined = venue_consensus(np.array([*prices, dislocated])[:, None])
    assert not joined.kept[-1, 0]
    assert joined.price == alone.price
    assert joined.deviation == alone.deviation


def test_the_charge_is_the_largest_distance_of_venues_that_stay() -> None:
    consensus = venue_consensus(np.array([[100.0], [101.0], [99.0], [50.0]]))
    assert consensus.kept.ravel().tolist() == [True, True, True, False]
    assert consensus.price == 100.0
    assert consensus.addon(single_venue_rate=0.2).rate == pytest.approx(0.01)


def test_two_camps_are_a_deviation_and_no_outlier() -> None:
    consensus = venue_consensus(np.array([[100.0], [100.0], [110.0], [110.0]]))
    assert consensus.kept.all()
    assert consensus.deviation == pytest.approx(5.0 / 105.0)


@moderate
@given(
    prices=st.lists(st.floats(1.0, 1e4), min_size=1, max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_at_least_half_stay_and_their_order_does_not_matter(prices, order) -> None:
    consensus = venue_consensus(np.array(prices)[:, None])
    assert 2 * consensus.kept.sum() >= len(prices)
    shuffled = order.sample(prices, len(prices))
    again = venue_consensus(np.array(shuffled)[:, None])
    np.testing.assert_array_equal(again.price, consensus.price)
    np.testing.assert_array_equal(again.deviation, consensus.deviation)


def test_a_silent_venue_is_left_out_and_a_lonely_one_is_charged() -> None:
    consensus = venue_consensus(np.array([[100.0, 100.0], [np.nan, 102.0]]))
    np.testing.assert_allclose(consensus.addon(single_venue_rate=0.2).rate, [0.2, 1.0 / 101.0])
    assert consensus.frame()["kept"].tolist() == [1, 2]


def test_confidence_and_deviation_are_one_risk_and_staleness_another() -> None:
    confidence = confidence_addon(100.0, 1.0, multiple=3.0)
    deviation = venue_consensus(np.array([[100.0], [102.0]])).addon(single_venue_rate=1.0)
    stale = staleness_addon(60.0, sigma_ann=1.0, year_s=YEAR_S)
    total = Addons(parts=(confidence, deviation, stale)).total
    assert total[0] == pytest.approx(0.03 + float(stale.rate), rel=1e-12)


@pytest.mark.parametrize(
    ("fault", "validity"),
    [
        ({}, Validity.VALID),
        ({"age_s": 61.0}, Validity.STALE),
        ({"confidence": 2.01}, Validity.UNCERTAIN),
        ({"age_s": 1_801.0}, Validity.EXPIRED),
        ({"average": 501.0}, Validity.TOO_VOLATILE),
        ({"average": 19.9}, Validity.TOO_VOLATILE),
        ({"price": 0.0}, Validity.NO_PRICE),
        ({"price": np.nan}, Validity.NO_PRICE),
        ({"price": np.inf, "age_s": 1e9}, Validity.NO_PRICE),
        ({"age_s": 61.0, "confidence": 2.01}, Validity.UNCERTAIN),
        ({"age_s": 1_801.0, "confidence": 2.01}, Validity.EXPIRED),
        ({"age_s": 1_801.0, "average": 501.0}, Validity.TOO_VOLATILE),
    ],
)
def test_the_worst_fault_is_named(fault: dict[str, Any], validity: Validity) -> None:
    good = {"price": 100.0, "confidence": 2.0, "age_s": 60.0, "average": 500.0}
    given = {**good, **fault}
    price = given.pop("price")
    assert oracle_validity(price, **given) == validity


def test_validity_broadcasts_over_markets() -> None:
    got = oracle_validity([1.0, -1.0], confidence=0.0, age_s=[[0.0], [100.0]], average=1.0)
    assert got.tolist() == [["valid", "no-price"], ["stale", "no-price"]]


def test_a_worse_price_never_allows_more() -> None:
    assert list(ALLOWED) == list(Validity)
    assert all(worse <= better for better, worse in pairwise(ALLOWED.values()))
    assert ALLOWED[Validity.VALID] == set(Action)
    assert not ALLOWED[Validity.NO_PRICE]


def test_actions_are_looked_up_per_market() -> None:
    validity = np.array([v.value for v in Validity])
    assert allowed(validity, "increase").tolist() == [True] + 5 * [False]
    assert allowed(validity, "withdraw").tolist() == [True] + 5 * [False]
    assert allowed(validity, "liquidate").tolist() == [True] * 3 + [False] * 3
    assert allowed(validity, Action.REDUCE).tolist() == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: confidence_addon(0.0, 1.0), "price must be positive"),
        (lambda: confidence_addon(1.0, -1.0), "confidence must be finite and at least 0"),
        (lambda: conservative_price(1.0, np.nan, size=1.0), "confidence must be finite"),
        (lambda: staleness_addon(-1.0, sigma_ann=1.0, year_s=1.0), "age_s must be finite and at"),
        (lambda: staleness_addon(1e9, sigma_ann=9.0, year_s=1.0), "staleness must be finite"),
        (
            lambda: staleness_addon(1.0, sigma_ann=1.0, year_s=1.0, tail_probability=0.99),
            "tail_probability must be in",
        ),
        (lambda: venue_consensus(np.array([[np.inf]])), "prices must be finite"),
        (lambda: venue_consensus(np.array([[0.0]])), "prices must be positive"),
        (lambda: venue_consensus(np.array([[np.nan]])), "needs a venue that quotes, 1 have none"),
        (lambda: venue_consensus(np.ones((1, 1)), spread=0.5), "spread must be at least 1"),
        (lambda: venue_consensus(np.ones((1, 1))).addon(single_venue_rate=2.0), "must be in"),
        (lambda: oracle_validity(1.0, confidence=0.0, age_s=np.nan, average=1.0), "age_s must be"),
        (lambda: allowed(np.array(["fine"]), "reduce"), r"found \['fine'\]"),
        (lambda: OracleLimits(stale_s=10.0, expired_s=5.0), "0 <= stale_s <= expired_s"),
        (lambda: OracleLimits(volatile_ratio=0.5), "volatile_ratio at least 1"),
    ],
)
def test_what_makes_no_price_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_prices_have_a_row_for_each_venue() -> None:
    with pytest.raises(ShapeError, match=r"shape \(n_venues, n\)"):
        venue_consensus(np.ones(3))
