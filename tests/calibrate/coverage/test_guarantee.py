"""The bound on the breach rate, against adversaries who see every quantile before the score."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foremargin.calibrate.coverage import (
    ALL_RULES,
    AdaptiveConformal,
    CoverageRule,
    CoverageRun,
    Guard,
    QuantileTracking,
    RegimeWeightedConformal,
    SlidingConformal,
)
from foremargin.errors import InputError

Array = NDArray[np.float64]

GUARD = Guard(excess=2.0, shortfall=4.0, growth=0.5)
WINDOW, NEEDED = 60, 20

# Sums of floats: an adversary who gives the largest score there is may lie above a quantile that
# equals it but for the last bits.
SLACK = 1e-6

Adversary = Callable[[float, float, int, np.random.Generator], float]
"""From the quantile, half the range, the position in the act and a source of chance to a score."""

ADVERSARIES: dict[str, Adversary] = {
    "just above": lambda q, b, t, rng: np.nextafter(q, np.inf),
    "well above": lambda q, b, t, rng: q + 0.1 * b,
    "just at": lambda q, b, t, rng: q,
    "below": lambda q, b, t, rng: q - 0.1 * b,
    "now above, now below": lambda q, b, t, rng: q + 0.01 * b * (-1) ** t,
    "largest": lambda q, b, t, rng: b,
    "smallest": lambda q, b, t, rng: -b,
    "nothing": lambda q, b, t, rng: 0.0,
    "tied": lambda q, b, t, rng: b * np.round(2.0 * rng.normal()) / 4.0,
    "heavy tails": lambda q, b, t, rng: 0.2 * b * rng.standard_t(1.5),
    "rising": lambda q, b, t, rng: b * (t / 200.0 - 0.5),
    "falling": lambda q, b, t, rng: b * (0.5 - t / 200.0),
    "flipping": lambda q, b, t, rng: b * rng.normal() * (0.01 if t % 100 < 50 else 0.3),
    "not known": lambda q, b, t, rng: np.nan,
}

acts = st.lists(
    st.tuples(st.sampled_from(sorted(ADVERSARIES)), st.integers(20, 300)), min_size=2, max_size=6
)


def play(
    rule: CoverageRule, acts: list[tuple[str, int]], *, tail: float, lag: int, half: float
) -> tuple[Array, CoverageRun]:
    """Let the adversaries answer one quantile after the other; what was played, and the run."""
    rng = np.random.default_rng(1)
    controller = rule.start(tail_probability=tail, lag=lag)
    score: list[float] = []
    for name, length in acts:
        for t in range(length):
            past = score[-lag] if len(score) >= lag else np.nan
            controller.update(past, regime=np.zeros(1) if rule.n_regimes else None)
            quantile = controller.quantile()
            quantile = quantile if np.isfinite(quantile) else 0.0
            answer = ADVERSARIES[name](quantile, half, t, rng)
            score.append(float(np.clip(answer, -half, half)))
    given: dict[str, Any] = {"regime": np.zeros((len(score), 1))} if rule.n_regimes else {}
    return np.array(score), rule.run(np.array(score), tail_probability=tail, lag=lag, **given)


def excess(score: Array, run: CoverageRun, tail: float) -> Array:
    """Breaches so far less the expected ones, at every judged origin, from zero on."""
    judged = np.isfinite(score) & np.isfinite(run.quantile)
    breach = score[judged] > run.quantile[judged]
    return np.concatenate([[0.0], np.cumsum(breach - tail)])


def small(rule: CoverageRule) -> Any:
    rule = replace(rule, window=WINDOW, needed=NEEDED, guard=GUARD)  # type: ignore[type-var]
    return replace(rule, fewest=10.0) if isinstance(rule, RegimeWeightedConformal) else rule


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)
@settings(max_examples=12, deadline=None)
@given(
    acts=acts,
    tail=st.sampled_from([0.02, 0.1]),
    lag=st.sampled_from([1, 3]),
    half=st.sampled_from([0.1, 5.0, 1_000.0]),
)
def test_no_adversary_moves_the_breach_rate_beyond_its_bound(
    rule: CoverageRule, acts: list[tuple[str, int]], tail: float, lag: int, half: float
) -> None:
    score, run = play(small(rule), acts, tail=tail, lag=lag, half=half)
    total = excess(score, run, tail)
    fewest, most = GUARD.breach_bounds(tail_probability=tail, lag=lag, score_range=2.0 * half)
    assert fewest - SLACK <= total.min()
    assert total.max() <= most + SLACK
    # In any stretch: the largest rise and the largest fall of the sum.
    widest = most - fewest + SLACK
    assert (total - np.minimum.accumulate(total)).max() <= widest
    assert (np.maximum.accumulate(total) - total).max() <= widest
    aimed = run.aimed_tail_probability[np.isfinite(run.quantile)]
    rounding = 1e-15
    assert (aimed >= tail / 4 - rounding).all()
    assert (aimed <= 3 * tail + rounding).all()


@pytest.mark.parametrize("lag", [1, 3])
def test_the_bound_from_above_is_reached_but_for_one_breach(lag: int) -> None:
    # The sample quantile stays at the smallest score: fewer than a tenth have been the largest.
    rule = SlidingConformal(window=5_000, needed=NEEDED, guard=GUARD)
    acts = [("smallest", 1_500), ("largest", 150)]
    score, run = play(rule, acts, tail=0.1, lag=lag, half=5.0)
    fewest, most = GUARD.breach_bounds(tail_probability=0.1, lag=lag, score_range=10.0)
    total = excess(score, run, 0.1)
    assert most - 1.0 <= total.max() <= most + SLACK
    # And from below: the quantile follows the smallest score down until it breaches.
    assert fewest - SLACK <= total.min() < -lag * GUARD.shortfall


@pytest.mark.parametrize(
    ("act", "breaches"), [("just above", True), ("smallest", False), ("nothing", False)]
)
def test_without_the_guard_an_adaptive_level_within_bounds_loses_it(
    act: str, breaches: bool
) -> None:
    plain = AdaptiveConformal(window=WINDOW, needed=NEEDED, guard=None)
    held = replace(plain, guard=GUARD)
    acts = [("flipping", 200), (act, 2_000)]
    score, run = play(plain, acts, tail=0.02, lag=1, half=5.0)
    lost = (score[-1_500:] > run.quantile[-1_500:]).mean()
    assert lost > 0.9 if breaches else lost == 0.0
    score, run = play(held, acts, tail=0.02, lag=1, half=5.0)
    # 30 expected, and at most some ten more or fewer by the bound of a stretch.
    assert 20 <= (score[-1_500:] > run.quantile[-1_500:]).sum() <= 40


@settings(max_examples=20, deadline=None)
@given(acts=acts, lag=st.sampled_from([1, 3]), half=st.sampled_from([0.5, 5.0]))
def test_a_tracker_keeps_a_bound_of_its_own_without_a_guard(
    acts: list[tuple[str, int]], lag: int, half: float
) -> None:
    rule = QuantileTracking(rate=0.5, window=NEEDED, needed=NEEDED, guard=None)
    score, run = play(rule, acts, tail=0.1, lag=lag, half=half)
    total = excess(score, run, 0.1)
    reach = 2.0 * half / rule.rate
    assert -lag * (reach + 0.1) - SLACK <= total.min()
    assert total.max() <= lag * (reach + 0.9) + SLACK


def test_the_bound_is_the_formula() -> None:
    fewest, most = Guard(excess=3.0, shortfall=7.0, growth=0.5, unit=2.0).breach_bounds(
        tail_probability=0.01, lag=5, score_range=2.0 * (np.e - 1.0)
    )
    assert most == pytest.approx(5 * (3 + 2 + 0.99), rel=1e-12)
    assert fewest == pytest.approx(-5 * (7 + 2 + 0.01), rel=1e-12)


def test_the_correction_starts_at_its_thresholds_and_is_symmetric() -> None:
    # No breach for a long time: x falls by the tail at every origin.
    guard = Guard(excess=1.0, shortfall=2.0, growth=0.3, unit=0.5)
    rule = SlidingConformal(window=50, needed=1, guard=guard)
    run = rule.run(np.concatenate([[1.0], np.zeros(60)]), tail_probability=0.05)
    x = -0.05 * np.arange(60)  # the first origin has no quantile, so that none is judged
    wanted = np.where(x < -2.0, -0.5 * np.expm1(0.3 * (-2.0 - x)), 0.0)
    until = int(np.argmax(run.quantile[1:] < 0.0))  # then zero breaches
    np.testing.assert_allclose(run.correction[1 : until + 1], wanted[:until], atol=1e-14)
    assert 40 <= until < 60
    # Breaches at every origin: x rises by one less the tail.
    score = np.concatenate([[0.0], np.arange(1.0, 12.0) * 100.0])
    run = rule.run(score, tail_probability=0.05)
    x = 0.95 * np.arange(11)
    wanted = np.where(x > 1.0, 0.5 * np.expm1(0.3 * (x - 1.0)), 0.0)
    np.testing.assert_allclose(run.correction[1:], wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "option",
    [
        {"excess": -1.0},
        {"shortfall": np.nan},
        {"growth": 0.0},
        {"growth": np.inf},
        {"unit": 0.0},
        {"unit": -1.0},
    ],
)
def test_a_guard_that_could_not_hold_is_refused(option: dict[str, float]) -> None:
    with pytest.raises(InputError, match="growth and unit finite and positive, were"):
        Guard(**option)
