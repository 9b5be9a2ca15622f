"""Binance: brackets by hand, and every contract of a real table where there is one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foremargin.calibrate.venues import Position
from foremargin.calibrate.venues.binance_tiers import Brackets, brackets_from_table
from foremargin.errors import InputError

TABLE = pd.DataFrame(
    {
        "symbol": ["A"] * 3 + ["B"] * 2,
        "tier": [1, 2, 3, 2, 1],
        "min_notional": [0.0, 1e5, 1e6, 5e4, 0.0],
        "max_notional": [1e5, 1e6, 1e7, 1e5, 5e4],
        "maintenance_margin_rate": [0.01, 0.025, 0.05, 0.1, 0.05],
        "max_leverage": [50.0, 20.0, 10.0, 5.0, 10.0],
        "cum_maintenance_amount": [0.0, 1_500.0, 26_500.0, 2_500.0, 0.0],
    }
)


def at(notional: object) -> Position:
    return Position(size=np.asarray(notional, dtype=float), price=1.0)


@pytest.fixture
def brackets() -> Brackets:
    return brackets_from_table(TABLE)["A"]


def test_margins_by_hand(brackets: Brackets) -> None:
    margin = brackets.margin(at([5e4, 1e5, 5e5, 2e6]))
    np.testing.assert_allclose(margin.maintenance, [500.0, 1_000.0, 11_000.0, 73_500.0])
    np.testing.assert_allclose(margin.initial, [1_000.0, 2_000.0, 25_000.0, 200_000.0])


def test_a_table_is_read_in_the_order_of_tiers() -> None:
    read = brackets_from_table(TABLE)
    assert list(read) == ["A", "B"]
    assert read["B"].floor == (0.0, 5e4)
    assert read["B"].leverage == (10.0, 5.0)


def test_a_forecast_lifts_the_lower_rates_and_keeps_the_distance(brackets: Brackets) -> None:
    ahead = brackets.with_forecast(0.03)
    assert ahead.rate == (0.03, 0.03, 0.05)
    assert ahead.cumulative == pytest.approx((0.0, 0.0, 20_000.0))
    # 50 * 0.01 / 0.03 = 16.7 and 20 * 0.025 / 0.03 = 16.7
    assert ahead.leverage == (16.0, 16.0, 10.0)


def test_a_position_beyond_the_last_cap_is_refused(brackets: Brackets) -> None:
    assert brackets.margin(at(1e7)).maintenance == pytest.approx(473_500.0)
    with pytest.raises(InputError, match=r"last bracket ends at a notional of 1e\+07"):
        brackets.margin(at(1.01e7))


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("min_notional", 1, 2e5, "A: every cap must be the floor of the next"),
        ("max_notional", 2, 1e6, "A: every cap must be the floor of the next"),
        ("cum_maintenance_amount", 2, 26_501.0, "A: cumulative amounts must make the margin cont"),
        ("maintenance_margin_rate", 2, 0.02, "A: maintenance rates must be positive and must not"),
        ("maintenance_margin_rate", 2, 0.2, "A: maintenance must not exceed initial"),
        ("maintenance_margin_rate", 0, np.nan, "A: rate must be finite"),
        ("max_leverage", 2, 30.0, "A: leverage must be at least 1 and must not rise"),
        ("max_leverage", 2, 0.5, "A: leverage must be at least 1 and must not rise"),
        ("tier", 1, 3, "tiers of A must count from 1 without a gap"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    column: str, row: int, value: float, message: str
) -> None:
    table = TABLE.copy()
    table.loc[row, column] = value
    with pytest.raises(InputError, match=message):
        brackets_from_table(table)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match=r"needs the columns \['max_leverage'\]"):
        brackets_from_table(TABLE.drop(columns="max_leverage"))


@pytest.fixture(scope="module")
def real(market_data: Path) -> dict[str, Brackets]:
    table = pd.read_parquet(market_data / "binance_margin_tiers_202410.parquet")
    return dict(brackets_from_table(table))


def test_every_real_contract_is_continuous_at_its_edges(real: dict[str, Brackets]) -> None:
    assert len(real) == 349
    for symbol, brackets in real.items():
        edge = np.array(brackets.floor[1:])
        below = brackets.margin(at(edge)).maintenance
        above = brackets.margin(at(np.nextafter(edge, np.inf))).maintenance
        np.testing.assert_allclose(above, below, rtol=1e-9, err_msg=symbol)


def test_no_margin_of_a_real_contract_falls_with_size(real: dict[str, Brackets]) -> None:
    for symbol, brackets in real.items():
        edges = np.array(brackets.cap)
        sizes = np.unique(np.concatenate([edges, np.nextafter(edges[:-1], np.inf), edges / 1.7]))
        for rule in (brackets, brackets.with_forecast(0.11)):
            margin = rule.margin(at(sizes))
            # A step of one ulp in size may move a difference of large numbers by as much.
            slack = 1e-12 * margin.notional[1:]
            assert np.all(np.diff(margin.maintenance) >= -slack), symbol
            assert np.all(np.diff(margin.initial) >= 0.0), symbol
            assert np.all(margin.maintenance <= margin.initial), symbol


def test_every_real_contract_gives_its_own_brackets_back(real: dict[str, Brackets]) -> None:
    for symbol, brackets in real.items():
        again = brackets.with_forecast(brackets.rate[0], may_lower=True)
        assert (again.rate, again.leverage) == (brackets.rate, brackets.leverage), symbol
        np.testing.assert_allclose(again.cumulative, brackets.cumulative, rtol=1e-9)


def test_a_forecast_lifts_every_real_contract_to_itself(real: dict[str, Brackets]) -> None:
    for symbol, brackets in real.items():
        sizes = np.geomspace(1e-3, 1.0, 30) * brackets.cap[-1]
        own, ahead = (r.margin(at(sizes)) for r in (brackets, brackets.with_forecast(0.04)))
        assert np.all(ahead.rate("maintenance") >= 0.04 * (1.0 - 1e-12)), symbol
        assert np.all(ahead.maintenance >= own.maintenance * (1.0 - 1e-12)), symbol
        assert np.all(ahead.initial >= own.initial), symbol
