from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import StepMarket, impulse_response, impulse_responses
from foremargin.calibrate import Filtered, Generation, Predictive
from foremargin.errors import InputError
from foremargin.models import Distribution, Ewma, Garch, PooledHar, Volatility

STEP, AFTER = 100, 500

# After 1, 5 and 20 days: sqrt(4 - 3 * 0.97 ** k), published for a margin on EWMA variance.
PUBLISHED = {1: 1.044031, 5: 1.193230, 20: 1.539031}


@dataclass(frozen=True, kw_only=True)
class Multiple:
    """A fixed multiple of the volatility that a model forecasts."""

    model: str

    @property
    def name(self):
        return f"{self.model}-multiple"

    @property
    def generation(self):
        return Generation.REACTIVE

    @property
    def models(self):
        return (self.model,)

    def margin(self, market):
        return market.each_side(lambda one: one.rate(2.0 * one.sigma(self.model)))


def ewma_path(decay):
    """Margin on the average of squared returns of exactly one volatility, then two."""
    variance = pd.Series(np.where(np.arange(STEP + AFTER) < STEP, 1.0, 4.0))
    return np.sqrt(variance.ewm(alpha=1.0 - decay, adjust=False).mean().to_numpy())


def test_ewma_follows_its_closed_form_to_every_published_digit():
    found = impulse_response(ewma_path(0.97), step=STEP)
    for k, ratio in PUBLISHED.items():
        assert found.response[k] == pytest.approx(ratio, abs=5e-7)
    seen = np.arange(AFTER + 1)
    np.testing.assert_allclose(found.response, np.sqrt(4.0 - 3.0 * 0.97**seen), rtol=1e-12)


@pytest.mark.parametrize("decay", [0.94, 0.97, 0.98])
def test_half_life_of_ewma_is_where_three_sevenths_of_the_variance_is_forgotten(decay):
    # Half of the move: sqrt(4 - 3 d^k) = 1.5, so d^k = 7/12.
    expected = np.ceil(np.log(7.0 / 12.0) / np.log(decay))
    found = impulse_response(ewma_path(decay), step=STEP)
    assert found.half_life == expected
    assert found.overshoot == pytest.approx(0.0, abs=1e-4)


def test_peak_and_overshoot_of_a_path_by_hand():
    path = np.concatenate([np.ones(100), [1.2, 1.4, 2.5, 2.2], np.full(100, 2.0)])
    found = impulse_response(path, step=100)
    assert found.final == pytest.approx(2.0)
    assert (found.peak, found.peak_period) == (2.5, 3)
    assert found.overshoot == pytest.approx(0.25)
    assert found.half_life == 3.0


def test_a_fall_has_a_half_life_and_no_overshoot():
    found = impulse_response(np.concatenate([np.ones(100), [0.8], np.full(100, 0.5)]), step=100)
    assert found.half_life == 2.0
    assert found.overshoot == pytest.approx(1.0)  # it starts above where it settles


def test_a_margin_that_does_not_move_has_neither():
    found = impulse_response(np.ones(300), step=100)
    assert np.isnan([found.half_life, found.overshoot]).all()


def test_paths_are_averaged_geometrically_each_over_its_own_level():
    one, two = ewma_path(0.97), 7.0 * ewma_path(0.9)
    both = impulse_response(np.stack([one, two]), step=STEP)
    each = [impulse_response(path, step=STEP).response for path in (one, two)]
    np.testing.assert_allclose(both.response, np.sqrt(each[0] * each[1]), rtol=1e-12)


def test_paths_that_are_too_short_or_not_positive_are_refused():
    with pytest.raises(InputError, match="step must be a whole number >= 50, was 49"):
        impulse_response(np.ones(200), step=49)
    with pytest.raises(InputError, match="go on for 50 periods after the step, found 49"):
        impulse_response(np.ones(149), step=100)
    with pytest.raises(InputError, match="margin must be > 0, the smallest was 0"):
        impulse_response(np.append(np.ones(199), 0.0), step=100)


MARKET = StepMarket(n_instruments=6, n_fit=700, n_ordinary=300, n_calm=280, n_after=300)


@pytest.fixture(scope="module")
def replayed():
    policies = (
        Multiple(model="ewma-0.97"),
        Filtered(model="ewma-0.97"),
        Filtered(model="gjr-t"),
        Predictive(model="har-pooled"),
    )
    models = (
        Ewma(decay=0.97),
        Garch(volatility=Volatility.GJR, distribution=Distribution.T),
        PooledHar(),
    )
    return impulse_responses(
        policies, models, market=MARKET, n_markets=3, rng=np.random.default_rng(4)
    )


def test_a_replayed_multiple_of_ewma_follows_the_closed_form():
    many = StepMarket(n_instruments=30, n_fit=50, n_ordinary=20, n_calm=300, n_after=260)
    found = impulse_responses(
        (Multiple(model="ewma-0.97"),),
        (Ewma(decay=0.97),),
        market=many,
        n_markets=4,
        rng=np.random.default_rng(4),
    ).of("ewma-0.97-multiple")
    # Realised variance of 24 moves: the mean log of 120 paths has a standard error of 0.002.
    for k, ratio in PUBLISHED.items():
        assert found.response[k] == pytest.approx(ratio, rel=0.008)
    assert found.final == pytest.approx(2.0, rel=0.008)
    assert found.half_life == pytest.approx(18, abs=1)


def test_a_forecast_that_has_learned_how_long_volatility_lasts_moves_sooner(replayed):
    table = replayed.table()
    assert table.half_life["predictive"] <= 3
    assert table.half_life["predictive"] < table.half_life["gjr-t-fhs"] < 30
    assert 14 <= table.half_life["ewma-0.97-fhs"] <= 20  # 18 in closed form
    assert (table.final.between(1.7, 2.4)).all()
    assert (table.overshoot_error > 0.0).all()


def test_all_policies_see_the_same_markets(replayed):
    alone = impulse_responses(
        (Multiple(model="ewma-0.97"),),
        (Ewma(decay=0.97),),
        market=MARKET,
        n_markets=3,
        rng=np.random.default_rng(4),
    )
    name = "ewma-0.97-multiple"
    np.testing.assert_array_equal(alone.by_market[name], replayed.by_market[name])


def test_the_frame_has_a_row_per_policy_and_period(replayed):
    frame = replayed.frame()
    assert len(frame) == 4 * (MARKET.n_after + 1)
    one = frame[frame.policy == "gjr-t-fhs"]
    np.testing.assert_array_equal(one.response, replayed.of("gjr-t-fhs").response)
    assert (one.standard_error > 0.0).all()


def test_a_market_is_calm_then_takes_its_step():
    market = StepMarket(n_instruments=40, n_after=100)
    panel = market.panel(np.random.default_rng(2))
    variance = panel.values("realized_variance")
    calm = variance[market.calm_row : market.step_row]
    # 12,000 days of 24 moves: a relative standard error of 0.003.
    assert calm.mean() == pytest.approx(0.02**2, rel=0.01)
    assert variance[market.step_row :].mean() == pytest.approx(4 * 0.02**2, rel=0.02)
    np.testing.assert_allclose(np.diff(np.log(panel.close), axis=0), panel.log_return[1:])
    # Realised variance is of the returns' own moves: unbiased for their square.
    squared = panel.log_return[market.calm_row : market.step_row] ** 2
    assert squared.mean() == pytest.approx(calm.mean(), rel=0.05)
    assert market.panel(np.random.default_rng(2)).close[-1, 0] == panel.close[-1, 0]


def test_a_policy_without_a_margin_before_the_step_is_refused():
    short = StepMarket(n_instruments=2, n_fit=100, n_ordinary=20, n_calm=60, n_after=60)
    with pytest.raises(InputError, match=r"ewma-0\.97-fhs must have a margin from 50 days before"):
        impulse_responses(
            (Filtered(model="ewma-0.97"),),
            (Ewma(decay=0.97),),
            market=short,
            n_markets=1,
            rng=np.random.default_rng(0),
        )


def test_a_market_needs_positive_numbers():
    with pytest.raises(InputError, match="sigma and factor must be > 0, were 0"):
        StepMarket(sigma=0.0)
    with pytest.raises(InputError, match="n_calm must be a whole number >= 1"):
        StepMarket(n_calm=0)
