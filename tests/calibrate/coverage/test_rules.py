"""Laws of every rule: scale, time, holes, ties, and the rate that it holds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from foremargin.calibrate import coverage
from foremargin.calibrate.coverage import (
    ALL_RULES,
    AdaptiveConformal,
    AggregatedConformal,
    ConformalPid,
    CoverageRule,
    Guard,
    QuantileTracking,
    RegimeWeightedConformal,
    SlidingConformal,
    TimeWeightedConformal,
)
from foremargin.calibrate.pooling import PooledTail
from foremargin.errors import InputError, ShapeError

Array = NDArray[np.float64]

TAIL = 0.05

by_rule = pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)


def small(rule: CoverageRule) -> Any:
    guard = Guard(excess=0.5, shortfall=1.0)
    rule = replace(rule, window=120, needed=30, guard=guard)  # type: ignore[type-var]
    return replace(rule, fewest=20.0) if isinstance(rule, RegimeWeightedConformal) else rule


def regimes(rule: CoverageRule, n: int) -> dict[str, Any]:
    return {"regime": np.sin(np.arange(float(n)))[:, None]} if rule.n_regimes else {}


@by_rule
@pytest.mark.parametrize("tail_probability", [0.01, 0.05])
def test_the_breach_rate_of_independent_scores_is_held(
    rule: CoverageRule, tail_probability: float
) -> None:
    score = np.random.default_rng(2).standard_t(4, size=12_000)
    run = rule.run(score, tail_probability=tail_probability, **regimes(rule, len(score)))
    judged = np.isfinite(run.quantile)
    breaches = (score > run.quantile)[judged].sum()
    # Breaches of independent scores; feedback leans against them, so that a binomial band with a
    # false-alarm rate of 1e-4 is wider than it needs to be. A window estimates the quantile anew
    # and the weighted rules round up, which a tenth of the target allows for.
    low, high = stats.binom.interval(1 - 1e-4, judged.sum(), tail_probability)
    assert 0.9 * low <= breaches <= high


@by_rule
def test_after_losses_double_the_breach_rate_comes_back(rule: CoverageRule) -> None:
    n, tail = 8_000, 0.05
    score = np.random.default_rng(4).standard_t(5, size=n)
    score[n // 2 :] *= 2.0
    run = rule.run(score, tail_probability=tail, **regimes(rule, n))
    breach = score > run.quantile
    late = breach[n // 2 + 1_500 :]
    low, high = stats.binom.interval(1 - 1e-4, len(late), tail)
    assert 0.85 * low <= late.sum() <= high  # weighted rules as above


@by_rule
@pytest.mark.parametrize("lag", [1, 5])
def test_a_score_moves_nothing_before_it_is_known(rule: CoverageRule, lag: int) -> None:
    rule = small(rule)
    score = np.random.default_rng(7).normal(size=400)
    given_regimes = regimes(rule, 400)
    base = rule.run(score, tail_probability=TAIL, lag=lag, **given_regimes)
    changed = score.copy()
    changed[250] = 100.0
    moved = rule.run(changed, tail_probability=TAIL, lag=lag, **given_regimes)
    until = 250 + lag
    for before, after in zip(base.frame().to_numpy().T, moved.frame().to_numpy().T, strict=True):
        np.testing.assert_array_equal(after[:until], before[:until])
    assert moved.quantile[until] > base.quantile[until]


@by_rule
def test_a_regime_or_a_pooled_quantile_moves_nothing_before_its_origin(rule: CoverageRule) -> None:
    rule = small(rule)
    rng = np.random.default_rng(8)
    score, table = rng.normal(size=300), np.tile(np.linspace(4.0, 2.0, 9), (300, 1))
    regime = rng.normal(size=(300, 1))

    def run(table: Array, regime: Array) -> Array:
        extra: dict[str, Any] = {"regime": regime} if rule.n_regimes else {}
        pooled = PooledTail(quantile=table, weight=50.0)
        return rule.run(score, tail_probability=TAIL, pooled=pooled, **extra).quantile

    base = run(table, regime)
    later, other = table.copy(), regime.copy()
    later[200:] += 3.0
    other[200:] += 5.0
    moved = run(later, other)
    np.testing.assert_array_equal(moved[:200], base[:200])
    if not isinstance(rule, QuantileTracking) and rule.name != "pi":  # they have started by then
        assert moved[200] > base[200]


def scaled(rule: CoverageRule, factor: float) -> CoverageRule:
    """The rule for scores in another unit."""
    assert rule.guard is not None
    rule = replace(rule, guard=replace(rule.guard, unit=factor * rule.guard.unit))  # type: ignore[type-var]
    if isinstance(rule, QuantileTracking):
        return replace(rule, rate=factor * rule.rate)
    if isinstance(rule, ConformalPid):
        return replace(rule, rate=factor * rule.rate, integral=factor * rule.integral)
    return rule


@by_rule
def test_scores_in_another_unit_give_the_same_in_that_unit(rule: CoverageRule) -> None:
    rule = small(rule)
    score = np.random.default_rng(9).standard_t(3, size=500)
    extra = regimes(rule, 500)
    base = rule.run(score, tail_probability=TAIL, **extra)
    other = scaled(rule, 4.0).run(4.0 * score, tail_probability=TAIL, **extra)
    np.testing.assert_array_equal(other.quantile, 4.0 * base.quantile)
    np.testing.assert_array_equal(other.correction, 4.0 * base.correction)
    assert base.correction[np.isfinite(base.correction)].any()


@by_rule
def test_scores_that_are_not_known_are_skipped(rule: CoverageRule) -> None:
    rule = small(rule)
    score = np.random.default_rng(10).standard_t(3, size=500)
    extra: dict[str, Any] = {"regime": np.ones((500, 1))} if rule.n_regimes else {}
    shorter: dict[str, Any] = {"regime": np.ones((440, 1))} if rule.n_regimes else {}
    holes = np.zeros(500, dtype=bool)
    holes[200:260] = True
    with_holes = rule.run(np.where(holes, np.nan, score), tail_probability=TAIL, **extra)
    closed_up = rule.run(score[~holes], tail_probability=TAIL, **shorter)
    np.testing.assert_array_equal(with_holes.quantile[261:], closed_up.quantile[201:])
    assert np.isfinite(with_holes.quantile[200:261]).all()  # a margin all the same


@by_rule
def test_there_is_no_quantile_before_there_are_enough_scores(rule: CoverageRule) -> None:
    rule = small(rule)
    score = np.random.default_rng(11).normal(size=60)
    score[5] = np.nan
    run = rule.run(score, tail_probability=TAIL, lag=3, **regimes(rule, 60))
    first = 3 + 30  # thirty known, one of them not; origin t knows those up to t - 3
    for array in (run.quantile, run.aimed_tail_probability, run.correction):
        assert np.isnan(array[:first]).all()
        assert np.isfinite(array[first:]).all()
    empty = rule.run(np.empty(0), tail_probability=TAIL, **regimes(rule, 0))
    assert empty.quantile.shape == (0,)


@by_rule
@settings(max_examples=15, deadline=None)
@given(
    ticks=st.lists(st.integers(-3, 3), min_size=60, max_size=150),
    lag=st.integers(1, 4),
)
def test_a_sample_quantile_lies_within_its_sample_and_its_level_within_bounds(
    rule: CoverageRule, ticks: list[int], lag: int
) -> None:
    rule = replace(small(rule), guard=None)
    score = np.array(ticks, dtype=np.float64)
    run = rule.run(score, tail_probability=TAIL, lag=lag, **regimes(rule, len(score)))
    known = np.isfinite(run.quantile)
    aimed = run.aimed_tail_probability[known]
    assert (aimed >= TAIL / 4 - 1e-15).all()  # rounding
    assert (aimed <= 3 * TAIL + 1e-15).all()
    if not isinstance(rule, QuantileTracking | ConformalPid):
        assert (run.quantile[known] <= score.max()).all()
        assert (run.quantile[known] >= score.min()).all()


def test_the_level_of_overlapping_outcomes_moves_as_far_as_that_of_separate_ones() -> None:
    # One move, seen at five origins, against the same move seen once.
    rule = AdaptiveConformal(window=500, needed=100, guard=None)
    calm = np.random.default_rng(12).uniform(size=300)
    once, five = np.append(calm, [9.0, 0.0]), np.append(calm, [9.0] * 5 + [0.0] * 5)
    alone = rule.run(once, tail_probability=TAIL).aimed_tail_probability
    seen = rule.run(five, tail_probability=TAIL, lag=5).aimed_tail_probability
    fall_alone = alone[301] - alone[300]
    fall_seen = seen[309] - seen[304]
    np.testing.assert_allclose(fall_seen, fall_alone, rtol=1e-10)


def test_what_is_public_is_listed_and_every_rule_is_tested() -> None:
    classes = {
        value
        for name in coverage.__all__
        if isinstance(value := getattr(coverage, name), type)
        and issubclass(value, CoverageRule)
        and value is not CoverageRule
    }
    assert {type(rule) for rule in ALL_RULES} == classes
    assert len({rule.name for rule in ALL_RULES}) == len(ALL_RULES)


def test_a_run_cannot_be_written_to_and_has_a_table() -> None:
    run = SlidingConformal(needed=2).run(np.arange(5.0), tail_probability=TAIL)
    with pytest.raises(ValueError, match="read-only"):
        run.quantile[0] = 1.0
    assert list(run.frame()) == ["quantile", "aimed_tail_probability", "correction"]
    assert len(run.frame()) == 5


@pytest.mark.parametrize("tail_probability", [0.0, 0.25, 0.99, np.nan])
def test_a_tail_probability_that_is_a_confidence_level_is_refused(tail_probability: float) -> None:
    with pytest.raises(InputError, match=r"write 0\.01 for 1 %"):
        SlidingConformal().run(np.zeros(3), tail_probability=tail_probability)


@pytest.mark.parametrize(
    ("rule", "lag"),
    [
        (SlidingConformal(), 0),
        (SlidingConformal(needed=0), 1),
        (SlidingConformal(window=50, needed=51), 1),
    ],
)
def test_numbers_out_of_range_are_refused(rule: CoverageRule, lag: int) -> None:
    with pytest.raises(InputError, match="lag must be at least 1 and 1 <= needed <= window"):
        rule.run(np.zeros(3), tail_probability=TAIL, lag=lag)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (AdaptiveConformal(gain=-0.1), "gain must be finite and not negative, was -0.1"),
        (QuantileTracking(rate=0.0), "rate must be finite and positive, was 0.0"),
        (ConformalPid(rate=np.nan), "rate must be finite and positive, was nan"),
        (ConformalPid(integral=-1.0), "integral must be finite and not negative"),
        (ConformalPid(saturation=0.0), "saturation finite and positive"),
        (AggregatedConformal(gains=()), "gains must be finite and positive, at least one"),
        (AggregatedConformal(gains=(0.1, 0.0)), "gains must be finite and positive"),
        (AggregatedConformal(interval=0), "interval must be at least 1, was 0"),
        (TimeWeightedConformal(half_life=0.0), "half_life must be positive"),
        (RegimeWeightedConformal(half_life=np.nan), "half_life must be positive"),
        (RegimeWeightedConformal(bandwidth=0.0), "bandwidth finite and positive"),
        (RegimeWeightedConformal(fewest=-1.0), "fewest finite and not negative"),
    ],
)
def test_constants_out_of_range_are_refused(rule: CoverageRule, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rule.run(np.zeros(3), tail_probability=TAIL, **regimes(rule, 3))


def test_arrays_that_do_not_match_are_refused() -> None:
    rule = SlidingConformal()
    pooled = PooledTail(quantile=np.ones((4, 9)), weight=1.0)
    with pytest.raises(ShapeError, match=r"one-dimensional, had shape \(3, 2\)"):
        rule.run(np.zeros((3, 2)), tail_probability=TAIL)
    with pytest.raises(ShapeError, match="a row for each of 3 scores, had 4"):
        rule.run(np.zeros(3), tail_probability=TAIL, pooled=pooled)
    with pytest.raises(ShapeError, match=r"sliding: regime must have shape \(3, 0\)"):
        rule.run(np.zeros(3), tail_probability=TAIL, regime=np.zeros((3, 1)))
    with pytest.raises(ShapeError, match=r"regime must have shape \(3, 1\), was none"):
        RegimeWeightedConformal().run(np.zeros(3), tail_probability=TAIL)
    infinite = np.full((3, 1), np.inf)
    with pytest.raises(InputError, match="regime must be finite or NaN"):
        RegimeWeightedConformal().run(np.zeros(3), tail_probability=TAIL, regime=infinite)


def test_an_infinite_score_is_refused() -> None:
    with pytest.raises(InputError, match="found 1 that are not; look for a volatility near zero"):
        SlidingConformal().run(np.array([0.0, np.inf, np.nan]), tail_probability=TAIL)


def test_a_pooled_weight_that_is_no_number_of_scores_is_refused() -> None:
    with pytest.raises(InputError, match="weight of a pooled tail must be finite and not negative"):
        SlidingConformal().start(tail_probability=TAIL, pooled_weight=-1.0)


def test_hourly_bitcoin_is_held_on_both_sides(market_data: Path) -> None:
    bars = pd.read_parquet(market_data / "perp_klines_1h" / "BTCUSDT.parquet")
    log_return = np.log(bars["close"]).diff()
    sigma = np.sqrt((log_return**2).ewm(halflife=24).mean()).shift()
    for side in (-1.0, 1.0):
        score = (side * log_return / sigma).to_numpy()
        run = AdaptiveConformal(window=24_000, needed=250).run(score, tail_probability=0.01)
        judged = np.isfinite(run.quantile) & np.isfinite(score)
        assert 0.009 < (score > run.quantile)[judged].mean() < 0.011
        assert not run.correction[judged].any()  # the guard has nothing to do
