"""A controller, tick by tick: it says what the pass says, remembers all of it, and no more."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.calibrate.coverage import (
    ALL_RULES,
    AdaptiveConformal,
    CoverageController,
    CoverageRule,
    Guard,
    RegimeWeightedConformal,
    SlidingConformal,
)
from foremargin.calibrate.pooling import PooledTail
from foremargin.errors import InputError, ShapeError

Array = NDArray[np.float64]

N, TAIL = 420, 0.05

by_rule = pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)


def small(rule: CoverageRule) -> Any:
    guard = Guard(excess=0.2, shortfall=0.5)
    rule = replace(rule, window=90, needed=30, guard=guard)  # type: ignore[type-var]
    return replace(rule, fewest=20.0) if isinstance(rule, RegimeWeightedConformal) else rule


def stream() -> tuple[Array, Array, Array]:
    """Scores with holes, ties and a time without losses; regimes; pooled quantiles with a hole."""
    rng = np.random.default_rng(3)
    score = np.round(rng.standard_t(2, size=N), 1)
    score[150:250] = -0.5  # the guard has to come from below
    score[rng.uniform(size=N) < 0.1] = np.nan
    regime = rng.normal(size=(N, 1))
    regime[::17] = np.nan
    pooled = np.sort(rng.uniform(1.0, 5.0, size=(N, 9)))[:, ::-1].copy()
    pooled[200:230] = np.nan
    return score, regime, pooled


def tick(
    controller: CoverageController, t: int, lag: int, regime: Array | None, pooled: Array | None
) -> tuple[float, float, float]:
    score = stream()[0]
    controller.update(
        score[t - lag] if t >= lag else np.nan,
        regime=None if regime is None else regime[t],
        pooled=None if pooled is None else pooled[t],
    )
    return controller.quantile(), controller.aimed_tail_probability(), controller.correction()


@pytest.mark.parametrize(("lag", "with_pool"), [(1, False), (4, True)])
@by_rule
def test_tick_by_tick_and_saved_in_between_it_says_what_the_pass_says_to_the_last_bit(
    rule: CoverageRule, lag: int, with_pool: bool
) -> None:
    rule = small(rule)
    score, regime, table = stream()
    regimes = regime if rule.n_regimes else None
    pooled = PooledTail(quantile=table, weight=40.0) if with_pool else None
    run = rule.run(score, tail_probability=TAIL, lag=lag, regime=regimes, pooled=pooled)
    assert (run.correction[np.isfinite(run.correction)] != 0.0).any()
    controller = rule.start(tail_probability=TAIL, lag=lag, pooled_weight=40.0)
    said = []
    for t in range(N):
        said.append(tick(controller, t, lag, regimes, table if with_pool else None))
        if t in (0, 10, 33, 200, 201, 350):  # while filling, full, and at an odd place of the ring
            text = json.dumps(controller.state(), allow_nan=False)
            controller = rule.resume(json.loads(text))
            assert json.dumps(controller.state(), allow_nan=False) == text
            np.testing.assert_array_equal(controller.quantile(), said[-1][0])
    wanted = np.stack([run.quantile, run.aimed_tail_probability, run.correction], axis=1)
    np.testing.assert_array_equal(np.array(said), wanted)


def test_before_its_first_origin_a_controller_says_nothing() -> None:
    controller = SlidingConformal().start(tail_probability=0.01)
    assert np.isnan(controller.quantile())
    assert np.isnan(controller.aimed_tail_probability())


def test_scores_from_before_may_be_shown_and_are_not_judged() -> None:
    score = np.random.default_rng(1).normal(size=200)
    rule = AdaptiveConformal(window=200, needed=100)
    controller = rule.start(tail_probability=TAIL)
    for value in score:
        controller.update(value)
    assert controller.aimed_tail_probability() != TAIL  # judged from the hundredth on
    history = rule.start(tail_probability=TAIL, lag=200)
    for value in score:
        history.update(value)
    assert history.aimed_tail_probability() == TAIL
    assert history.quantile() == pytest.approx(np.sort(score)[-10], abs=0.2)


def saved(rule: CoverageRule) -> dict[str, Any]:
    controller = rule.start(tail_probability=TAIL)
    for value in (1.0, 2.0, 3.0):
        controller.update(value)
    return controller.state()


def test_a_state_is_refused_by_a_rule_with_another_constant() -> None:
    state = saved(AdaptiveConformal(gain=0.1))
    with pytest.raises(InputError, match=r"must be that of AdaptiveConformal\(gain=0\.2"):
        AdaptiveConformal(gain=0.2).resume(state)


@pytest.mark.parametrize("missing", ["tail_probability", "lag", "pooled_weight"])
def test_a_state_without_its_numbers_is_refused(missing: str) -> None:
    state = saved(SlidingConformal())
    del state[missing]
    with pytest.raises(InputError, match="resume it by the rule that started it"):
        SlidingConformal().resume(state)


@pytest.mark.parametrize("missing", ["score", "notes", "pending", "memory", "said"])
def test_a_state_without_its_lists_is_refused(missing: str) -> None:
    state = saved(SlidingConformal())
    del state[missing]
    with pytest.raises(InputError, match=f"must have all its lists.*{missing}"):
        SlidingConformal().resume(state)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score", [1.0] * 1_001),
        ("score", [1.0, None, 2.0]),
        ("pending", [[1.0], [2.0]]),
        ("memory", [1.0]),
        ("said", [1.0]),
    ],
)
def test_a_state_that_does_not_fit_is_refused(name: str, value: Any) -> None:
    state = saved(SlidingConformal())
    state["notes"] = [[]] * len(value) if name == "score" else state["notes"]
    state[name] = value
    with pytest.raises(InputError, match="a saved state must fit its rule"):
        SlidingConformal().resume(state)


def test_text_among_the_scores_is_refused() -> None:
    state = saved(SlidingConformal())
    state["score"] = ["a", "b", "c"]
    with pytest.raises(InputError, match="of numbers and None"):
        SlidingConformal().resume(state)


@pytest.mark.parametrize("score", [np.inf, -np.inf, 1e13])
def test_a_score_that_no_loss_explains_is_refused_and_changes_nothing(score: float) -> None:
    controller = SlidingConformal(needed=1).start(tail_probability=TAIL)
    controller.update(1.0)
    before = json.dumps(controller.state())
    with pytest.raises(InputError, match=r"at most 1e\+12 forecast volatilities, found 1 that"):
        controller.update(score)
    assert json.dumps(controller.state()) == before


def test_regimes_of_the_wrong_size_are_refused() -> None:
    controller = RegimeWeightedConformal(columns=2).start(tail_probability=TAIL)
    for regime in (None, np.zeros(1), np.array([0.0, np.inf])):
        with pytest.raises(ShapeError, match="regime 2 finite numbers or NaN"):
            controller.update(1.0, regime=regime)
