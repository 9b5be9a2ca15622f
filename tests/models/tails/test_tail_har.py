"""The volatility chosen for its tails: its likelihood, its level, with and without options."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from foremargin.backtest import fz0_loss
from foremargin.calibrate import with_tails
from foremargin.features import History, build_history
from foremargin.markets import Panel, load_panel
from foremargin.models import TailHar
from foremargin.models.tails import student_regression as module
from foremargin.models.tails.student_regression import fit_student_regression
from foremargin.training import walk_forward

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def drawn() -> tuple[Array, Array]:
    """Draw returns whose log variance is 0.3 + 0.8 x1 - 0.4 x2, with six degrees of freedom."""
    x = rng().normal(size=(20_000, 2)) * [1.0, 0.5]
    sigma = np.exp(0.5 * (0.3 + x @ [0.8, -0.4]))
    y = 0.05 + sigma * rng().standard_t(6, size=20_000) * np.sqrt(4 / 6)
    return x, y


def test_a_student_regression_finds_the_law_that_returns_were_drawn_from(
    drawn: tuple[Array, Array],
) -> None:
    fit = fit_student_regression(*drawn, prior=np.zeros(2))
    # Standard errors of about 0.012 (log variance) and 0.3 (degrees of freedom).
    np.testing.assert_allclose(fit.coefficient, [0.8, -0.4], atol=0.07)
    assert fit.intercept == pytest.approx(0.3, abs=0.06)
    assert fit.nu == pytest.approx(6.0, abs=1.0)
    assert fit.mu == pytest.approx(0.05, abs=0.03)


def test_few_returns_leave_the_coefficients_near_the_prior(drawn: tuple[Array, Array]) -> None:
    x, y = drawn[0][:60], drawn[1][:60]
    prior = np.array([0.2, 0.2])
    fit = fit_student_regression(x, y, prior=prior)
    assert (np.abs(fit.coefficient - prior) < 0.15 / x.std(axis=0)).all()


def test_the_gradient_is_the_slope_of_the_posterior_and_the_value_that_of_scipys_law(
    drawn: tuple[Array, Array],
) -> None:
    x, y = drawn[0][:300], drawn[1][:300]
    z, wanted = np.column_stack([np.ones(300), x]), np.array([0.5, -0.5])
    at = np.array([0.2, 0.6, -0.3, np.log(3.0), 0.02])
    value, gradient = module._negative(at, z, y, wanted)
    for j, step in enumerate(1e-6 * np.eye(5)):
        above, below = (module._negative(at + s, z, y, wanted)[0] for s in (step, -step))
        assert gradient[j] == pytest.approx((above - below) / 2e-6, rel=1e-5)
    nu = 2.1 + 3.0
    scale = np.exp(0.5 * z @ at[:3]) * np.sqrt((nu - 2) / nu)
    prior = 0.5 * np.sum(((at[1:3] - wanted) / 0.1) ** 2)
    by_scipy = -stats.t.logpdf(y, nu, loc=0.02, scale=scale).sum() + prior
    assert value == pytest.approx(by_scipy, rel=1e-10)


@pytest.fixture(scope="module")
def history(make_panel: MakePanel) -> History:
    return build_history(make_panel(n_periods=900).select(["INDEX", "COIN"]), horizons=(1, 5))


def test_the_implied_variance_is_used_where_it_is_known_and_done_without_where_not(
    history: History,
) -> None:
    fitted = TailHar().fit(history.upto(700), rng=rng())
    assert ("INDEX", 1, True) in fitted.fits
    assert ("COIN", 1, True) not in fitted.fits
    base = fitted.forecast(history, origins=slice(700, 800))
    at = history.features.names.index("log_implied_variance")
    values = history.features.values.copy()
    values[:, 0, at] += 1.0
    higher = replace(history, features=replace(history.features, values=values))
    moved = fitted.forecast(higher, origins=slice(700, 800)).variance
    traded = np.isfinite(base.variance[:, 0, 0])
    weight = fitted.fits["INDEX", 1, True]
    expected = 0.5 * (weight.variance.coefficient[-1] + weight.law.coefficient[-1])
    ratio = np.log(moved[traded, 0, 0] / base.variance[traded, 0, 0])
    np.testing.assert_allclose(ratio, expected, rtol=1e-8)
    np.testing.assert_array_equal(moved[:, 1], base.variance[:, 1])
    unknown = values.copy()
    unknown[:, 0, at] = np.nan
    unquoted = replace(history, features=replace(history.features, values=unknown))
    without = fitted.forecast(unquoted, origins=slice(700, 800)).variance
    np.testing.assert_array_equal(np.isfinite(without), np.isfinite(base.variance))


def test_the_level_is_that_of_the_realised_variance(history: History) -> None:
    fitted = TailHar().fit(history, rng=rng())
    variance = fitted.forecast(history, origins=slice(0, 900)).variance
    realized = history.targets.variance
    for k in range(2):
        known = np.isfinite(variance[..., k]) & np.isfinite(realized[..., k])
        # On its own data, up to the difference of two logs whose mean is taken out.
        assert (realized[..., k] / variance[..., k])[known].mean() == pytest.approx(1.0, abs=0.05)


def test_tails_of_the_sp500_are_better_than_those_of_a_garch_by_a_tenth(
    market_data: Path, tmp_path: Path
) -> None:
    """1 % FZ0 in percent returns, 2006-02 to 2018-04: research has 1.243 and 1.103 (FHS)."""
    realized = pd.read_parquet(
        market_data / "realized" / "spx_oxfordman_rv10_bv_2000_2021.parquet"
    ).drop(columns="bv_pct2")
    vix = pd.read_parquet(market_data / "vix_daily.parquet")
    vix = vix.assign(implied_vol=vix["close"] / 100.0)[["date", "implied_vol"]]
    path = tmp_path / "SPX.parquet"
    realized.merge(vix, on="date", how="left").to_parquet(path)
    history = build_history(load_panel(str(path), period="1D"), horizons=(1,))
    walked = walk_forward(history, [TailHar(refit_days=364)], first_row=500, seed=0)
    forecast = with_tails(walked.forecasts["tail-har"], history, first_row=500)
    # An origin is known at its midnight; the day after it is judged.
    test = (forecast.origin >= np.datetime64("2006-02-01")) & (
        forecast.origin < np.datetime64("2018-05-01")
    )
    loss = -100.0 * history.targets.log_return[500:, 0, 0]
    assert forecast.value_at_risk_lower is not None
    assert forecast.expected_shortfall_lower is not None
    value_at_risk = 100.0 * forecast.value_at_risk_lower[:, 0, 0, 0]
    shortfall = 100.0 * forecast.expected_shortfall_lower[:, 0, 0, 0]
    used = test & np.isfinite(loss) & np.isfinite(value_at_risk)
    assert used.sum() > 3_050
    fz0 = fz0_loss(loss[used], value_at_risk[used], shortfall[used], tail_probability=0.01)
    assert fz0.mean() < 1.11
    assert 0.008 < (loss[used] > value_at_risk[used]).mean() < 0.012
