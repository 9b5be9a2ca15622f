"""Joint scenarios: dates stay together, volatility is the forecast, nothing is filled with zero."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.calibrate.portfolio import (
    Accounts,
    JointPlan,
    MissingRule,
    ScenarioSet,
    joint_returns,
    linear_pnl,
    portfolio_margin,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

Array = NDArray[np.float64]


def history(n_periods: int = 300, n: int = 3, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    sigma = 0.02 * np.exp(0.5 * rng.normal(size=(n_periods, n)))
    common = rng.standard_t(5, size=(n_periods, 1))
    return sigma * (common + rng.standard_t(5, size=(n_periods, n))), sigma


def test_a_scenario_is_one_date_rescaled_to_the_forecast() -> None:
    log_return, sigma = history()
    found = joint_returns(log_return, sigma, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(
        found, (log_return / sigma * np.array([0.1, 0.2, 0.3])).T, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("overlapping", [True, False])
def test_a_longer_scenario_sums_neighbouring_dates(overlapping: bool) -> None:
    log_return, sigma = history(n_periods=302)
    plan = JointPlan(horizon=5, overlapping=overlapping)
    found = joint_returns(log_return, sigma, [0.1, 0.2, 0.3], plan=plan)
    summed = pd.DataFrame(log_return / sigma).rolling(5).sum().to_numpy()[4:] / np.sqrt(5)
    expected = (summed[:: 1 if overlapping else 5] * np.array([0.1, 0.2, 0.3])).T
    assert expected.shape == (3, 298 if overlapping else 60)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_mirror_images_make_both_sides_alike() -> None:
    log_return, sigma = history()
    plan = JointPlan(horizon=2, antithetic=True)
    found = joint_returns(log_return, sigma, [0.1, 0.2, 0.3], plan=plan)
    assert found.shape == (3, 2 * 299)
    np.testing.assert_array_equal(found[:, 299:], -found[:, :299])
    # Of a linear claim on log returns a long and a short now ask for the same.
    accounts = Accounts.from_positions([0, 1], [1, 1], [1.0, -1.0], n_accounts=2)
    long, short = portfolio_margin(accounts, ScenarioSet(pnl=found), confidence_level=0.97)
    np.testing.assert_allclose(long, short, rtol=1e-12)


def test_scenarios_move_with_the_forecast_and_not_with_past_volatility() -> None:
    log_return, sigma = history()
    base = joint_returns(log_return, sigma, [0.1, 0.2, 0.3])
    louder = joint_returns(7.0 * log_return, 7.0 * sigma, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(louder, base, rtol=1e-9, atol=1e-12)
    double = joint_returns(log_return, sigma, [0.2, 0.4, 0.6])
    np.testing.assert_allclose(double, 2.0 * base, rtol=1e-12)


def test_missing_residuals_are_refused_and_named() -> None:
    log_return, sigma = history()
    log_return[:100, 2] = np.nan
    with pytest.raises(InputError, match=r"columns \[2\] lack some; choose the rule"):
        joint_returns(log_return, sigma, [0.1, 0.2, 0.3])


def test_dropped_dates_do_not_make_their_neighbours_adjacent() -> None:
    log_return, sigma = history(n_periods=20)
    sigma[10, 1] = np.nan
    plan = JointPlan(horizon=3, missing="drop")
    found = joint_returns(log_return, sigma, [0.1, 0.2, 0.3], plan=plan)
    clean, _ = history(n_periods=20)
    z = clean / np.where(np.isnan(sigma), 1.0, sigma)
    starts = [s for s in range(18) if not s <= 10 < s + 3]
    expected = np.array([z[s : s + 3].sum(axis=0) for s in starts]) / np.sqrt(3)
    np.testing.assert_allclose(
        found, (expected * np.array([0.1, 0.2, 0.3])).T, rtol=1e-9, atol=1e-12
    )


def test_a_young_instrument_is_regressed_with_its_own_errors() -> None:
    log_return, sigma = history(n_periods=4_000)
    whole = joint_returns(log_return, sigma, [1.0, 1.0, 1.0])
    young = log_return.copy()
    young[:2_000, 2] = np.nan
    found = joint_returns(
        young,
        sigma,
        [1.0, 1.0, 1.0],
        plan=JointPlan(missing=MissingRule.REGRESS),
        rng=np.random.default_rng(1),
    )
    # What was known stays as it is.
    np.testing.assert_array_equal(found[:2], whole[:2])
    np.testing.assert_array_equal(found[2, 2_000:], whole[2, 2_000:])
    filled = found[:, :2_000]
    assert (filled[2] != 0.0).all()
    # Size and dependence of the true residuals; standard errors of 2,000 heavy-tailed dates.
    np.testing.assert_allclose(filled[2].std(), whole[2].std(), rtol=0.1)
    np.testing.assert_allclose(
        np.asarray(np.corrcoef(filled))[2, :2],
        np.asarray(np.corrcoef(whole))[2, :2],
        rtol=0.0,
        atol=0.08,
    )


def test_a_date_without_any_residual_is_left_out_by_the_regression() -> None:
    log_return, sigma = history()
    log_return[50] = np.nan
    found = joint_returns(
        log_return,
        sigma,
        [1.0, 1.0, 1.0],
        plan=JointPlan(missing="regress", horizon=2),
        rng=np.random.default_rng(1),
    )
    assert found.shape == (3, 299 - 2)
    assert np.isfinite(found).all()


def test_a_forecast_correlation_is_what_scenarios_have_and_history_changes_nothing() -> None:
    log_return, sigma = history(n_periods=1_000)
    base = joint_returns(log_return, sigma, [0.1, 0.2, 0.3])
    own: Array = base @ base.T
    own /= np.sqrt(np.outer(np.diag(own), np.diag(own)))
    same = joint_returns(log_return, sigma, [0.1, 0.2, 0.3], correlation=own)
    np.testing.assert_allclose(same, base, rtol=1e-8, atol=1e-10)
    wanted = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.2], [0.0, 0.2, 1.0]])
    moved = joint_returns(log_return, sigma, [0.1, 0.2, 0.3], correlation=wanted)
    squares = moved @ moved.T
    np.testing.assert_allclose(np.diag(squares), np.diag(base @ base.T), rtol=1e-9)
    np.testing.assert_allclose(
        squares / np.sqrt(np.outer(np.diag(squares), np.diag(squares))), wanted, atol=1e-9
    )


def test_a_linear_claim_makes_the_simple_return_of_its_price() -> None:
    found = linear_pnl([100.0, 2.0], [[np.log(1.1), np.log(0.5)], [0.0, np.log(2.0)]])
    np.testing.assert_allclose(found, [[10.0, -50.0], [0.0, 2.0]], rtol=1e-14, atol=1e-15)
    with pytest.raises(InputError, match="price must be positive and finite"):
        linear_pnl([0.0], [[0.1]])
    with pytest.raises(ShapeError, match="price and log_return must have shapes"):
        linear_pnl([1.0], [0.1])


def test_input_that_makes_no_sense_is_refused() -> None:
    log_return, sigma = history(n_periods=40)
    with pytest.raises(InputError, match="horizon must be at least 1 period, was 0"):
        JointPlan(horizon=0)
    with pytest.raises(InputError, match="missing must be one of"):
        JointPlan(missing="zero")
    with pytest.raises(ShapeError, match="must both have shape"):
        joint_returns(log_return, sigma[1:], [1.0, 1.0, 1.0])
    with pytest.raises(ShapeError, match=r"sigma_horizon must have shape \(3,\)"):
        joint_returns(log_return, sigma, [1.0, 1.0])
    with pytest.raises(InputError, match="without a forecast has no scenarios"):
        joint_returns(log_return, sigma, [1.0, np.nan, 1.0])
    with pytest.raises(InputError, match="1 sigmas that are not"):
        joint_returns(log_return, np.where(sigma == sigma[3, 1], 0.0, sigma), [1.0, 1.0, 1.0])
    with pytest.raises(InputError, match="1 infinite returns"):
        joint_returns(np.where(sigma == sigma[3, 1], -np.inf, log_return), sigma, [1.0, 1.0, 1.0])
    with pytest.raises(NotEnoughHistoryError, match="at least 50 complete dates in a row"):
        joint_returns(log_return, sigma, [1.0, 1.0, 1.0], plan=JointPlan(horizon=50))
    late = log_return.copy()
    late[:20, 0] = np.nan
    with pytest.raises(NotEnoughHistoryError, match="column 0 must share at least 30 dates"):
        joint_returns(
            late,
            sigma,
            [1.0, 1.0, 1.0],
            plan=JointPlan(missing="regress"),
            rng=np.random.default_rng(0),
        )
    with pytest.raises(InputError, match="needs an rng"):
        joint_returns(late, sigma, [1.0, 1.0, 1.0], plan=JointPlan(missing="regress"))
    with pytest.raises(NotEnoughHistoryError, match="more complete dates than instruments"):
        joint_returns(log_return[:3], sigma[:3], [1.0, 1.0, 1.0], correlation=np.eye(3))


@pytest.mark.slow
def test_a_hedged_book_of_real_coins_asks_for_less_and_covers_the_losses(market_data: Path) -> None:
    close = pd.concat(
        {
            path.stem: pd.read_parquet(path).set_index("open_time")["close"]
            for path in sorted((market_data / "perp_klines_1h").glob("*.parquet"))
        },
        axis=1,
        sort=True,
    )
    daily = close.resample("1D").last().apply(np.log).diff().dropna()
    sigma = (daily**2).ewm(alpha=0.06).mean().shift(1).iloc[60:] ** 0.5
    log_return = daily.loc[sigma.index]
    split = len(daily) - 60 - 250
    plan = JointPlan(missing=MissingRule.REFUSE)
    n = log_return.shape[1]
    losses, margins = [], []
    quantity = np.r_[1.0, -np.ones(n - 1) / (n - 1)]  # one coin against the rest
    book = Accounts.from_positions([0] * n + [1], [*range(n), 0], [*quantity, 1.0], n_accounts=2)
    for t in range(split, len(log_return)):
        past = slice(t - 500, t)
        moves = joint_returns(
            log_return.to_numpy()[past], sigma.to_numpy()[past], sigma.to_numpy()[t], plan=plan
        )
        scenarios = ScenarioSet(pnl=np.expm1(moves))
        margins.append(portfolio_margin(book, scenarios, confidence_level=0.975))
        losses.append(-float(quantity @ np.expm1(log_return.to_numpy()[t])))
    margin = np.array(margins)
    assert (margin[:, 0] < margin[:, 1] * 1.2).mean() > 0.9
    # A 97.5 % shortfall is breached about 1 % of the time; more than 3.2 % of 250 days would be
    # an event of probability 1e-3.
    assert np.mean(np.array(losses) > margin[:, 0]) <= 0.032
