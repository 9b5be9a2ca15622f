"""Hyperliquid: reference values, and maintenance as an integral over slices of size."""

from typing import Any

import numpy as np
import pytest

from foremargin.calibrate.venues import Position
from foremargin.calibrate.venues.hyperliquid import TIERS, MarginTiers
from foremargin.errors import InputError


def at(notional: object) -> Position:
    return Position(size=np.asarray(notional, dtype=float), price=1.0)


def test_two_hundred_million_of_bitcoin_need_the_published_maintenance() -> None:
    margin = TIERS["BTC"].margin(at(200e6))
    assert margin.maintenance == 3.125e6
    assert margin.initial == 10e6
    assert TIERS["BTC"].deduction.tolist() == [0.0, 1.875e6]


@pytest.mark.parametrize("coin", TIERS)
def test_maintenance_is_the_integral_of_the_rate_over_size(coin: str) -> None:
    tiers = TIERS[coin]
    edges = np.linspace(0.0, 300e6, 3_001)  # every floor is a multiple of 1e5
    rate = tiers.maintenance_rate[np.searchsorted(tiers.floor, edges[:-1], side="right") - 1]
    slices = np.cumsum(rate * np.diff(edges))
    np.testing.assert_allclose(tiers.margin(at(edges[1:])).maintenance, slices, rtol=1e-12)


@pytest.mark.parametrize("coin", TIERS)
def test_maintenance_is_continuous_at_the_edge_and_initial_margin_steps_up(coin: str) -> None:
    edge = TIERS[coin].floor[1]
    margin = TIERS[coin].margin(at([edge, np.nextafter(edge, np.inf)]))
    assert margin.maintenance[1] == pytest.approx(margin.maintenance[0], rel=1e-14)
    low, high = TIERS[coin].leverage
    np.testing.assert_allclose(margin.initial, [edge / low, edge / high], rtol=1e-14)


def test_a_withdrawal_leaves_a_tenth_or_the_initial_margin() -> None:
    margin = TIERS["BTC"].margin(
        Position(size=1e6, price=1.0, leverage=np.array([40.0, 10.0, 5.0]))
    )
    np.testing.assert_array_equal(margin.levels["transfer"], [1e5, 1e5, 2e5])


def test_a_forecast_lowers_leverage_only_where_it_is_higher() -> None:
    assert TIERS["BTC"].with_forecast(0.03).leverage == (33, 20)
    assert TIERS["BTC"].with_forecast(0.08).leverage == (12, 12)
    assert TIERS["BTC"].with_forecast(0.02, may_lower=True).leverage == (50, 20)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"leverage": (20, 40)}, "must not rise with size"),
        ({"leverage": (40, 0)}, "whole numbers of at least 1"),
        ({"leverage": (40.5, 20)}, "whole numbers of at least 1"),
        ({"leverage": (40,)}, "equally long"),
        ({"floor": (1.0, 2.0)}, "start at 0 and rise"),
        ({"floor": (0.0, np.nan)}, "floors must be finite"),
        ({"transfer_rate": 1.5}, "transfer_rate must be in"),
    ],
)
def test_parameters_that_make_no_tiers_are_refused(
    parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        MarginTiers(**{"floor": (0.0, 1e6), "leverage": (40, 20), **parameters})
