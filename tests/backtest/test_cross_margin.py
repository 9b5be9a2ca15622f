"""Accounts judged as instruments are: the same table, the same cases for every policy."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.backtest import quantile_loss
from foremargin.backtest.cross_margin import AccountReplay, draw_accounts
from foremargin.calibrate import MarginMarket
from foremargin.calibrate.policies import account_loss
from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.markets import Panel

Array = NDArray[np.float64]

TEST_ROW = 500


@pytest.fixture(scope="module")
def market(make_panel: Callable[..., Panel]) -> MarginMarket:
    return MarginMarket(
        history=build_history(make_panel(n_periods=700), horizons=(1, 2)),
        horizon=2,
        tail_probability=0.05,
        first_row=300,
        variance={},
    )


@pytest.fixture(scope="module")
def weight(market: MarginMarket) -> Array:
    n = market.history.panel.n_instruments
    return np.vstack([np.eye(n)[0], -np.eye(n)[0], np.full(n, 1.0 / n)])


def replayed(market: MarginMarket, weight: Array, **margin: Array | float) -> AccountReplay:
    shape = (market.history.panel.n_periods, len(weight))
    return AccountReplay(
        market=market,
        weight=weight,
        margin={name: np.broadcast_to(m, shape).copy() for name, m in margin.items()},
        test_row=TEST_ROW,
    )


def test_the_table_has_the_numbers_of_the_verdict(market: MarginMarket, weight: Array) -> None:
    table = replayed(market, weight, low=0.03, high=0.06).table(reference="low")
    loss = account_loss(market, weight)[TEST_ROW:]
    known = loss[np.isfinite(loss)]
    assert table.loc["low", "breach_rate"] == pytest.approx(np.mean(known > 0.03))
    score = quantile_loss(known, np.full(known.shape, 0.06), tail_probability=0.05)
    assert table.loc["high", "quantile_loss"] == pytest.approx(score.mean())
    # At the reference's cost, what only costs twice as much is the same margin.
    assert table.loc["high", "matched_shortfall"] == pytest.approx(
        table.loc["low", "matched_shortfall"]
    )


def test_a_policy_that_is_silent_takes_its_cases_from_all(
    market: MarginMarket, weight: Array
) -> None:
    quiet = np.full((market.history.panel.n_periods, len(weight)), 0.05)
    quiet[::2] = np.nan
    whole = replayed(market, weight, a=0.05).cells(test=True)
    both = replayed(market, weight, a=0.05, b=quiet).cells(test=True)
    assert len(whole.loss) > 1.9 * len(both.loss) > 0
    assert (both.origin % 2 == 1).all()


def test_validation_and_test_do_not_share_outcomes(market: MarginMarket, weight: Array) -> None:
    accounts = replayed(market, weight, a=0.05)
    validation, test = accounts.cells(test=False), accounts.cells(test=True)
    assert validation.origin.min() >= 300
    assert validation.origin.max() + 2 <= TEST_ROW
    assert test.origin.min() == TEST_ROW


def test_drawn_accounts_have_gross_one_and_four_kinds() -> None:
    weight = draw_accounts(64, 8, rng=np.random.default_rng(1))
    np.testing.assert_allclose(np.abs(weight).sum(axis=1), 1.0, rtol=1e-12)
    held = (weight != 0.0).sum(axis=1)
    net = np.abs(weight.sum(axis=1))
    assert (held[::4] == 1).all()
    assert (held[2::4] == 2).all()
    assert ((held[1::4] >= 3) & (held[1::4] <= 6)).all()
    np.testing.assert_allclose(net[1::4], 1.0, rtol=1e-12)
    np.testing.assert_allclose(net[2::4], 0.0, atol=1e-12)
    np.testing.assert_allclose(net[3::4], 0.0, atol=1e-12)
    assert (weight.sum(axis=1)[::4][1::2] < 0.0).all()


def test_what_does_not_fit_is_refused(market: MarginMarket, weight: Array) -> None:
    with pytest.raises(InputError, match="margins must each have shape"):
        AccountReplay(
            market=market, weight=weight, margin={"a": np.ones((3, 3))}, test_row=TEST_ROW
        )
    with pytest.raises(InputError, match=r"reference must be one of \['a'\], was 'b'"):
        replayed(market, weight, a=0.05).table(reference="b")
    with pytest.raises(InputError, match="at least 6 instruments, were 4"):
        draw_accounts(8, 4, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="the test period holds no origin"):
        replayed(market, weight, a=np.nan).cells(test=True)
