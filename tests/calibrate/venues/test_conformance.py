"""Laws that hold for every venue's rule."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foremargin.calibrate.venues import Position, Requirement, VenueRule, compare_with_forecast
from foremargin.calibrate.venues.dydx import LiquidityTier
from foremargin.calibrate.venues.venue import as_words, least_parts, most_leverage
from foremargin.errors import InputError

moderate = settings(max_examples=50, deadline=None)

# Drift and dYdX count in 1e-6 USD: a rounded margin differs by less than one such unit, and Drift
# rounds the value as well.
UNIT_USD = 2e-6

notionals = st.floats(1.0, 9.9e6)
rates = st.floats(1e-4, 1.0)

# The rule is a constant; nothing has to be made anew for every example.
quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

LADDER = np.concatenate([[0.0], np.geomspace(1.0, 9.9e6, 400)])


def held(notional: Any, **more: Any) -> Position:
    return Position(size=np.asarray(notional) / 100.0, price=100.0, open_interest=35e6, **more)


def without_leverage(rule: VenueRule) -> bool:
    return rule.venue == "vega"


def test_the_parts_add_up_to_the_initial_margin(rule: VenueRule) -> None:
    margin = rule.margin(held(LADDER))
    total = sum(margin.components.values())
    np.testing.assert_allclose(total, margin.initial, rtol=1e-12, atol=1e-9)
    assert all(np.all(part >= 0.0) for part in margin.components.values())


def test_maintenance_is_positive_and_not_above_initial(rule: VenueRule) -> None:
    margin = rule.margin(held(LADDER))
    assert np.all(margin.maintenance[1:] > 0.0)
    assert np.all(margin.maintenance <= margin.initial)


def test_no_position_needs_no_margin_and_has_no_rate(rule: VenueRule) -> None:
    margin = rule.margin(held([0.0, 100.0]))
    assert margin.initial[0] == margin.maintenance[0] == 0.0
    for requirement in Requirement:
        np.testing.assert_array_equal(np.isnan(margin.rate(requirement)), [True, False])


def test_no_positions_at_all_give_an_empty_table(rule: VenueRule) -> None:
    assert len(rule.margin(held([])).frame()) == 0


@quick
@given(a=notionals, b=notionals)
def test_margins_and_their_rates_do_not_fall_with_size(rule: VenueRule, a: float, b: float) -> None:
    margin = rule.margin(held(sorted([a, b])))
    for amount in (margin.initial, margin.maintenance):
        assert amount[0] <= amount[1]
        # One unit of money at the smaller position is what rounding may do to a rate.
        rate = amount / margin.notional
        assert rate[0] <= rate[1] + UNIT_USD / margin.notional[0] + 1e-12


@quick
@given(notional=notionals, margin_rate=rates)
def test_with_a_forecast_the_requirement_covers_it_at_every_size(
    rule: VenueRule, notional: float, margin_rate: float
) -> None:
    margin = rule.with_forecast(margin_rate).margin(held(notional))
    covered = getattr(margin, rule.meets)
    assert covered >= margin_rate * notional * (1.0 - 1e-12) - UNIT_USD


@quick
@given(notional=notionals, margin_rate=rates)
def test_with_a_forecast_nothing_falls_below_the_venues_own(
    rule: VenueRule, notional: float, margin_rate: float
) -> None:
    own = rule.margin(held(notional))
    ahead = rule.with_forecast(margin_rate).margin(held(notional))
    # The cumulative amounts of Binance are sums anew: they differ in their last digits.
    assert ahead.initial >= own.initial * (1.0 - 1e-12)
    assert ahead.maintenance >= own.maintenance * (1.0 - 1e-12)


@quick
@given(notional=notionals, a=rates, b=rates)
def test_a_higher_forecast_never_gives_a_lower_margin(
    rule: VenueRule, notional: float, a: float, b: float
) -> None:
    low, high = (rule.with_forecast(r).margin(held(notional)) for r in sorted([a, b]))
    assert low.initial <= high.initial * (1.0 + 1e-12)
    assert low.maintenance <= high.maintenance * (1.0 + 1e-12)


def small_rate(rule: VenueRule) -> float:
    """Rate that a small position needs, without what open interest adds."""
    margin = rule.margin(Position(size=1.0, price=1_000.0, open_interest=0.0))
    return float(margin.rate(rule.meets))


def test_the_venues_own_margin_gives_back_the_venues_own_parameters(rule: VenueRule) -> None:
    again = rule.with_forecast(small_rate(rule), may_lower=True)
    if rule.venue == "vega":
        # Sigma comes from an inverse normal law; near 1e-13 is all that it can give.
        assert again.model.sigma_ann == pytest.approx(rule.model.sigma_ann, rel=1e-10)  # type: ignore[attr-defined]
    else:
        assert again == rule


@quick
@given(margin_rate=st.floats(0.2, 0.9))
def test_parameters_for_a_margin_give_that_margin_and_then_themselves(
    rule: VenueRule, margin_rate: float
) -> None:
    fitted = rule.with_forecast(margin_rate)
    given_back = small_rate(fitted)
    # The grid of each venue: ppm, 1e-4, whole leverage, or none.
    grid = {"dydx": 1e-6, "drift": 1e-4, "hyperliquid": 0.5, "binance": 0.0, "vega": 1e-9}
    assert margin_rate - 1e-9 <= given_back <= margin_rate + grid[rule.venue] + 1e-12
    if rule.venue in ("dydx", "drift", "hyperliquid"):  # the others' parameters are floats
        assert fitted.with_forecast(given_back) == fitted


def test_a_small_forecast_lowers_only_when_asked(rule: VenueRule) -> None:
    rate = 0.9 * small_rate(rule)
    position = Position(size=1.0, price=1_000.0, open_interest=0.0)
    kept, lowered = rule.with_forecast(rate), rule.with_forecast(rate, may_lower=True)
    assert kept.margin(position).initial == rule.margin(position).initial
    fallen = lowered.margin(position)
    assert getattr(fallen, rule.meets) < getattr(rule.margin(position), rule.meets)
    assert getattr(fallen, rule.meets) >= rate * 1_000.0 * (1.0 - 1e-12)
    assert fallen.maintenance <= fallen.initial


def test_lowering_leaves_what_size_adds(rule: VenueRule) -> None:
    rate = 0.9 * small_rate(rule)
    lowered = rule.with_forecast(rate, may_lower=True).margin(held(LADDER))
    assert np.all(np.diff(lowered.initial) >= 0.0)
    assert np.all(np.diff(lowered.maintenance) >= 0.0)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.01, 5.0, np.nan, np.inf])
def test_a_forecast_that_is_no_fraction_is_refused(rule: VenueRule, rate: float) -> None:
    with pytest.raises(InputError, match=r"margin_rate must be in \(0, 1\], was .*; write 0.05"):
        rule.with_forecast(rate)


def test_leverage_that_an_account_chose_raises_initial_margin_alone(rule: VenueRule) -> None:
    if without_leverage(rule):
        with pytest.raises(InputError, match="no chosen leverage"):
            rule.margin(held(1e4, leverage=2.0))
        return
    free, chosen = rule.margin(held(1e4)), rule.margin(held(1e4, leverage=1.25))
    assert chosen.initial == 8_000.0
    assert chosen.components["chosen"] == pytest.approx(8_000.0 - free.initial, rel=1e-12)
    assert chosen.maintenance == free.maintenance
    assert rule.margin(held(1e4, leverage=1e4)).initial == free.initial


def test_a_short_costs_what_a_long_costs_but_on_vega(rule: VenueRule) -> None:
    longs, shorts = rule.margin(held(LADDER[1:])), rule.margin(held(-LADDER[1:]))
    if rule.venue == "vega":
        assert np.all(shorts.initial > longs.initial)
    else:
        np.testing.assert_array_equal(shorts.initial, longs.initial)
        np.testing.assert_array_equal(shorts.maintenance, longs.maintenance)


def test_the_comparison_is_both_rules_side_by_side(rule: VenueRule) -> None:
    position = held([1e3, 1e5, 5e6])
    table = compare_with_forecast(rule, position, margin_rate=0.3)
    now, ahead = rule.margin(position), rule.with_forecast(0.3).margin(position)
    np.testing.assert_array_equal(table["initial_now"], now.initial)
    np.testing.assert_array_equal(table["initial_forecast"], ahead.initial)
    np.testing.assert_array_equal(table["maintenance_now"], now.maintenance)
    np.testing.assert_array_equal(table["maintenance_forecast"], ahead.maintenance)
    assert set(table["venue"]) == {rule.venue}


def test_a_scalar_and_a_grid_of_positions_give_the_same_numbers(rule: VenueRule) -> None:
    grid = rule.margin(held(LADDER[1:].reshape(20, 20)))
    assert grid.initial.shape == (20, 20)
    one = rule.margin(held(LADDER[7]))
    assert one.initial.shape == ()
    assert one.initial == grid.initial.ravel()[6]


def test_results_cannot_be_written_to(rule: VenueRule) -> None:
    margin = rule.margin(held(LADDER))
    for array in (margin.initial, margin.maintenance, *margin.components.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Position(size=np.nan, price=1.0), "size must be finite, found 1"),
        (lambda: Position(size=1.0, price=[1.0, np.inf]), "price must be finite, found 1"),
        (lambda: Position(size=1.0, price=0.0), "price must be above 0, was 0.0"),
        (lambda: Position(size=1.0, price=1.0, leverage=0.5), "leverage must be at least 1"),
        (lambda: Position(size=1.0, price=1.0, open_interest=-1.0), "open_interest must be at"),
        (lambda: Position(size=1e300, price=1e300), "size times price must be finite"),
        (lambda: Position(size=[1.0, 2.0], price=[1.0, 2.0, 3.0]), "must broadcast, were"),
    ],
)
def test_what_is_no_position_is_refused(make: Callable[[], Position], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@moderate
@given(parts=st.integers(1, 1_000_000))
def test_a_rate_made_of_parts_gives_these_parts_back(parts: int) -> None:
    assert least_parts(parts / 1_000_000, 1_000_000) == parts


@moderate
@given(leverage=st.integers(1, 1_000))
def test_a_rate_made_of_a_leverage_gives_that_leverage_back(leverage: int) -> None:
    assert most_leverage(1.0 / leverage) == leverage


@moderate
@given(rate=st.floats(1e-6, 1.0))
def test_whole_parameters_are_the_nearest_that_cover_the_rate(rate: float) -> None:
    parts, leverage = least_parts(rate, 1_000_000), most_leverage(rate)
    # But for the last two digits of the rate, which are rounding.
    assert parts / 1_000_000 >= rate * (1.0 - 1e-15) > (parts - 1) / 1_000_000
    assert 1.0 / leverage >= rate * (1.0 - 1e-15) > 1.0 / (leverage + 1)


@moderate
@given(units=st.integers(0, 10**15))
def test_an_amount_made_of_units_gives_these_units_back(units: int) -> None:
    assert as_words(np.array([units / 1e6]), 1_000_000).tolist() == [units]


def test_amounts_beyond_64_bits_stay_exact() -> None:
    tier = LiquidityTier(base_ppm=1, maintenance_ppm=1_000_000)
    margin = tier.margin(Position(size=[2.0**70, 1.0], price=1.0))
    np.testing.assert_array_equal(margin.initial, [2.0**70 * 1e-6, 1e-6])
    assert tier.margin(Position(size=2.0**70, price=1.0)).initial == 2.0**70 * 1e-6
