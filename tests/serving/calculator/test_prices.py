"""Prices inside a period only ever raise, and one venue alone cannot while the others agree."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.addons import LAPLACE_95, price_consensus, venue_consensus
from foremargin.errors import InputError
from foremargin.serving.calculator import Calculator
from foremargin.serving.observations import OraclePrice, Tick

TRAINED, SECOND = 640, 1_000_000_000


@pytest.fixture
def calculator(served):
    return Calculator.load(served.files)


@pytest.fixture(scope="module")
def close(served):
    return float(served.panel.close[TRAINED - 1, 0])


def _tick(calculator, price, after_s=1.0, venue=""):
    time = calculator.closed_until + int(after_s * SECOND)
    return Tick(instrument="COIN", time=time, price=price, venue=venue)


def _coin(calculator):
    return next(one for one in calculator.current() if one.instrument == "COIN")


def _bps(one):
    return np.array(
        [[side.initial_margin_bps, side.maintenance_margin_bps] for side in (one.long, one.short)]
    )


@settings(max_examples=10, deadline=None)
@given(moves=st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=12))
def test_no_price_ever_lowers_a_margin(served, close, moves):
    calculator = Calculator.load(served.files)
    before = _coin(calculator)
    for after, move in enumerate(moves, start=1):
        out = calculator.apply([_tick(calculator, close * math.exp(move), after)])
        now = _coin(calculator)
        assert (_bps(now) >= _bps(before)).all()
        assert now.sigma >= before.sigma
        assert out == ([now] if (_bps(now) > _bps(before)).any() else [])
        before = now


def test_a_crash_raises_to_what_the_recursion_says_of_it(calculator, served, close):
    before = _coin(calculator)
    (now,) = calculator.apply([_tick(calculator, 0.8 * close)])
    recursion: Any = Calculator.load(served.files)._margins.rungs[1].rung
    level = served.past["gjr-t"].variance[TRAINED - 1 - 250, 0, 0]
    rise = recursion.provisional(0, math.log(0.8))[0] / level
    assert rise > 2.0
    assert now.sigma == pytest.approx(before.sigma * math.sqrt(rise), rel=1e-12)
    assert now.sigma_upper == pytest.approx(before.sigma_upper * math.sqrt(rise), rel=1e-12)
    # The limit on rises holds inside the period too: at most three tenths above the last one.
    raised = _bps(now)[:, 0] / _bps(before)[:, 0]
    assert raised == pytest.approx([1.3, 1.3], abs=0.01)
    assert now.long.bound == ["rise_period", "maintenance_wait"]
    assert now.long.components["intraday"] > 0.0
    assert sum(now.long.components.values()) == pytest.approx(now.long.initial_margin_bps)
    assert now.observed_at == calculator.closed_until + SECOND


def test_what_was_raised_is_forgotten_at_the_close_and_later_prices_are_not(served, close):
    quiet, shaken = Calculator.load(served.files), Calculator.load(served.files)
    shaken.apply([_tick(shaken, 0.7 * close)])
    for calculator in (quiet, shaken):
        calculator.apply(served.bars(TRAINED))
        calculator.close_until(served.times()[TRAINED])
    assert shaken.current() == quiet.current()
    ahead = Calculator.load(served.files)
    late = Tick(instrument="COIN", time=served.times()[TRAINED] + 5, price=0.5 * close)
    ahead.apply([late])
    ahead.apply(served.bars(TRAINED))
    ahead.close_until(served.times()[TRAINED])
    assert (_bps(_coin(ahead)) > _bps(_coin(quiet))).any()


def test_one_dislocated_venue_changes_nothing_while_the_others_agree(calculator, close):
    agreeing = [_tick(calculator, close * (1 + x), 1, v) for v, x in (("a", 0.0), ("b", 1e-4))]
    calculator.apply([*agreeing, _tick(calculator, close, 1, "c")])
    before = calculator.current()
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert calculator.apply([_tick(calculator, factor * close, 2, "d")]) == []
    assert calculator.current() == before
    # Most of them together are the market.
    moved = [_tick(calculator, 0.8 * close, 3, venue) for venue in "abc"]
    assert calculator.apply(moved)


def test_an_oracle_is_charged_for_its_width_and_for_its_age(calculator, close):
    before, closed = _coin(calculator), calculator.closed_until

    def said(time, width):
        return OraclePrice(
            instrument="COIN", time=time, price=close, confidence=width, source="pyth"
        )

    (wide,) = calculator.apply([said(closed + SECOND, 0.01 * close)])
    charge = wide.long.components["oracle-price"]
    assert charge == pytest.approx(1e4 * 0.01 * LAPLACE_95)
    assert "oracle-age" not in wide.long.components
    assert _bps(wide)[0, 0] - _bps(before)[0, 0] == pytest.approx(charge, abs=1.0)
    hour = _tick(calculator, close, 3600)
    (old,) = calculator.apply([hour])
    z, sigma = 2.3263478740408408, before.sigma
    age = math.expm1(z * sigma * math.sqrt(3599 / 86_400))
    assert old.long.components["oracle-age"] == pytest.approx(1e4 * age)
    # Nothing is lowered, by less of a charge or by none.
    assert calculator.apply([said(closed + 3601 * SECOND, 0.001 * close)]) == []
    assert calculator.apply([said(closed + 3602 * SECOND, 0.0)]) == []


def test_prices_that_cannot_be_used_are_counted(calculator, close):
    closed = calculator.closed_until
    oracle = {"instrument": "COIN", "time": closed + 5, "source": "pyth"}
    calculator.apply(
        [
            _tick(calculator, math.nan),
            _tick(calculator, -1.0),
            Tick(instrument="COIN", time=closed, price=close),
            Tick(instrument="NOBODY", time=closed + 1, price=close),
            OraclePrice(**oracle, price=close, confidence=-1.0),
            OraclePrice(**oracle, price=close, confidence=0.0),
            OraclePrice(**{**oracle, "time": closed + 4}, price=close, confidence=0.0),
        ]
    )
    assert calculator.set_aside == {"invalid": 3, "late": 2, "unknown-instrument": 1}


@given(prices=st.lists(st.floats(0.5, 2.0), min_size=1, max_size=7), spread=st.floats(1.0, 6.0))
def test_the_consensus_of_one_moment_is_that_of_a_column(prices, spread):
    column = venue_consensus(np.array(prices)[:, None], spread=spread)
    found = price_consensus(prices, spread=spread)
    np.testing.assert_array_equal(found, (column.price[0], column.deviation[0]))


def test_a_consensus_of_nothing_is_refused():
    for prices in ([], [1.0, math.inf], [0.0]):
        with pytest.raises(InputError, match="prices must be some, positive and finite"):
            price_consensus(prices)
