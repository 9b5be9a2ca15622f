"""Every rule against a slow one, written straight from its paper: recursions, sorting, no sums."""

from collections.abc import Callable
from dataclasses import replace
from math import exp, inf, isfinite, log, nan, sqrt, tan
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.calibrate.coverage import (
    ALL_RULES,
    AdaptiveConformal,
    AggregatedConformal,
    ConformalPid,
    CoverageRule,
    QuantileTracking,
    RegimeWeightedConformal,
    SlidingConformal,
    TimeWeightedConformal,
)
from foremargin.calibrate.empirical import pooled_levels, rolling_tails
from foremargin.calibrate.pooling import PooledTail

Array = NDArray[np.float64]

N, TAIL, WINDOW, NEEDED = 700, 0.05, 150, 40

# Recursions add up what the rules keep as counts: rounding of 700 additions, times the slope of
# the sample quantile.
CLOSE = 1e-9


def stream(seed: int = 1) -> tuple[Array, Array]:
    """Heavy tails, a trend, a break, ties and holes; and a regime that wanders, with holes."""
    rng = np.random.default_rng(seed)
    score = rng.standard_t(3, size=N) * np.where(np.arange(N) > 450, 2.5, 1.0)
    score += np.linspace(0.0, 1.0, N)
    score[::11] = np.round(score[::11])
    score[rng.uniform(size=N) < 0.08] = np.nan
    regime = np.stack([np.cumsum(rng.normal(size=N)) * 0.2, rng.normal(size=N)], axis=1)
    regime[rng.uniform(size=N) < 0.03, 1] = np.nan
    return score, regime


def quantile(kept: Array, tail: float) -> float:
    """Position (n + 1)(1 - tail) of the sorted scores, interpolated."""
    n = len(kept)
    position = min(max((n + 1) * (1 - tail) - 1, 0), n - 1)
    return float(np.interp(position, np.arange(n), np.sort(kept)))


def weighted_quantile(kept: Array, weight: Array, tail: float) -> float:
    """Score beyond which the normalised weights, one of infinity among them, have the tail."""
    kept, weight = kept[weight > 0.0], weight[weight > 0.0]
    order = np.lexsort((-np.arange(len(kept)), -kept))  # of equal scores the newer is the larger
    share = np.append(1.0, weight[order]) / (weight.sum() + 1.0)
    beyond = np.cumsum(share)[:-1]  # mass strictly beyond each score, largest score first
    return float(np.interp(tail, beyond, kept[order]))


def known(score: Array, t: int, lag: int) -> NDArray[np.intp]:
    """Origins whose scores are kept at t."""
    past = np.flatnonzero(np.isfinite(score[: max(0, t - lag + 1)]))
    return past[-WINDOW:]


def follow(score: Array, lag: int, say: Callable[[int], float], hear: Callable[..., None]) -> Array:
    """Ask at every origin; tell of every breach once it is known."""
    said = np.full(len(score), np.nan)
    for t in range(len(score)):
        s = t - lag
        if s >= 0 and isfinite(score[s]) and isfinite(said[s]):
            hear(s, 1.0 if score[s] > said[s] else 0.0)
        said[t] = say(t) if len(known(score, t, lag)) >= NEEDED else np.nan
    return said


def clip(level: float) -> float:
    return min(max(level, TAIL / 4), 3 * TAIL)


def slow_sliding(rule: SlidingConformal, score: Array, lag: int, regime: Array) -> Array:
    return follow(
        score, lag, lambda t: quantile(score[known(score, t, lag)], TAIL), lambda s, err: None
    )


def slow_adaptive(rule: AdaptiveConformal, score: Array, lag: int, regime: Array) -> Array:
    level = TAIL

    def hear(s: int, err: float) -> None:
        nonlocal level
        level += rule.gain * TAIL / lag * (TAIL - err)

    return follow(score, lag, lambda t: quantile(score[known(score, t, lag)], clip(level)), hear)


def slow_tracking(rule: QuantileTracking, score: Array, lag: int, regime: Array) -> Array:
    q = nan

    def say(t: int) -> float:
        nonlocal q
        q = q if isfinite(q) else quantile(score[known(score, t, lag)], TAIL)
        return q

    def hear(s: int, err: float) -> None:
        nonlocal q
        q += rule.rate / lag * (err - TAIL)

    return follow(score, lag, say, hear)


def slow_pid(rule: ConformalPid, score: Array, lag: int, regime: Array) -> Array:
    start, track, total, n = nan, 0.0, 0.0, 0

    def say(t: int) -> float:
        nonlocal start
        forecast = quantile(score[known(score, t, lag)], TAIL)
        start = start if isfinite(start) else forecast
        x, m = total / lag, n / lag
        angle = x * log(m + 1) / (rule.saturation * (m + 1))
        integrator = rule.integral * tan(min(max(angle, -1.5), 1.5))
        return (forecast if rule.scorecaster else start) + track + integrator

    def hear(s: int, err: float) -> None:
        nonlocal track, total, n
        track += rule.rate / lag * (err - TAIL)
        total += err - TAIL
        n += 1

    return follow(score, lag, say, hear)


def deepest(kept: Array, past: float) -> float:
    """Largest level at which the sample covers a score: the inverse of :func:`quantile`."""
    ordered, n = np.sort(kept), len(kept)
    if past > ordered[-1]:
        return 0.0
    i = int(np.searchsorted(ordered, past))  # the first that is at least the score
    if i == 0:
        return 1.0
    position = i - (ordered[i] - past) / (ordered[i] - ordered[i - 1]) + 1
    return float(1 - position / (n + 1))


def slow_aggregated(rule: AggregatedConformal, score: Array, lag: int, regime: Array) -> Array:
    k = len(rule.gains)
    gains = np.array(rule.gains) * TAIL / lag
    level, weight = np.full(k, TAIL), np.full(k, 1.0 / k)
    size = rule.interval
    spread = (1 - TAIL) ** 2 * TAIL**3 + TAIL**2 * (1 - TAIL) ** 3
    eta = sqrt(3 / size) * sqrt((log(k * size) + 2) / spread) / lag
    then: dict[int, Array] = {}

    def say(t: int) -> float:
        then[t] = level.copy()
        return quantile(score[known(score, t, lag)], clip(float(weight @ level / weight.sum())))

    def hear(s: int, err: float) -> None:
        beta = deepest(score[known(score, s + lag - 1, lag)], score[s])
        for j in range(k):
            short = beta - then[s][j]
            weight[j] *= exp(-eta * (TAIL * short - min(0.0, short)))
            level[j] = clip(level[j] + gains[j] * (TAIL - (short < 0)))
        mixed = weight / weight.sum() * (1 - 1 / (2 * size)) + 1 / (2 * size) / k
        weight[:] = mixed

    return follow(score, lag, say, hear)


def ages(kept: NDArray[np.intp]) -> Array:
    return np.arange(len(kept), 0, -1.0)


def slow_time_weighted(rule: TimeWeightedConformal, score: Array, lag: int, regime: Array) -> Array:
    def say(t: int) -> float:
        kept = known(score, t, lag)
        return weighted_quantile(score[kept], 0.5 ** (ages(kept) / rule.half_life), TAIL)

    return follow(score, lag, say, lambda s, err: None)


def slow_regime_weighted(
    rule: RegimeWeightedConformal, score: Array, lag: int, regime: Array
) -> Array:
    fell_back = []

    def say(t: int) -> float:
        kept = known(score, t, lag)
        time = 0.5 ** (ages(kept) / rule.half_life)
        distance = ((regime[kept] - regime[t]) ** 2).sum(axis=1)
        weight = time * np.nan_to_num(np.exp(-distance / (2 * rule.bandwidth**2)), nan=0.0)
        size = weight.sum() ** 2 / (weight**2).sum() if weight.any() else 0.0
        fell_back.append(size < rule.fewest)
        return weighted_quantile(score[kept], time if fell_back[-1] else weight, TAIL)

    out = follow(score, lag, say, lambda s, err: None)
    assert 0.1 < np.mean(fell_back) < 0.9  # both branches are seen
    return out


SLOW: dict[str, Callable[..., Array]] = {
    "sliding": slow_sliding,
    "aci": slow_adaptive,
    "tracking": slow_tracking,
    "pi": slow_pid,
    "pid": slow_pid,
    "dtaci": slow_aggregated,
    "time-weighted": slow_time_weighted,
    "regime-weighted": slow_regime_weighted,
}


def small(rule: CoverageRule) -> CoverageRule:
    """The rule with a short memory and without its guard."""
    rule = replace(rule, window=WINDOW, needed=NEEDED, guard=None)  # type: ignore[type-var]
    if isinstance(rule, TimeWeightedConformal):
        return replace(rule, half_life=60.0)
    if isinstance(rule, RegimeWeightedConformal):
        return replace(rule, half_life=80.0, bandwidth=0.8, fewest=25.0, columns=2)
    return rule


@pytest.mark.parametrize("lag", [1, 3])
@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)
def test_a_rule_is_what_its_paper_says(rule: CoverageRule, lag: int) -> None:
    score, regime = stream()
    rule = small(rule)
    given: dict[str, Any] = {"regime": regime} if rule.n_regimes else {}
    got = rule.run(score, tail_probability=TAIL, lag=lag, **given)
    wanted = SLOW[rule.name](rule, score, lag, regime)
    assert np.isfinite(wanted).sum() > 500
    np.testing.assert_allclose(got.quantile, wanted, rtol=CLOSE)
    assert not got.correction[np.isfinite(wanted)].any()


@pytest.mark.parametrize("lag", [1, 4])
def test_a_sliding_quantile_is_the_rolling_one(lag: int) -> None:
    score, _ = stream(2)
    rule = SlidingConformal(window=WINDOW, needed=NEEDED, guard=None)
    wanted = rolling_tails(score, np.array([TAIL]), lag, WINDOW, NEEDED)[0][:, 0]
    got = rule.run(score, tail_probability=TAIL, lag=lag).quantile
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("weighted", [False, True])
def test_equal_weights_and_equal_regimes_give_the_sliding_quantile(weighted: bool) -> None:
    score, _ = stream(3)
    shape: dict[str, Any] = {"window": WINDOW, "needed": NEEDED, "guard": None}
    wanted = SlidingConformal(**shape).run(score, tail_probability=TAIL).quantile
    if weighted:
        alike = RegimeWeightedConformal(half_life=inf, fewest=1.0, **shape)
        got = alike.run(score, tail_probability=TAIL, regime=np.ones((N, 1))).quantile
    else:
        rule = TimeWeightedConformal(half_life=inf, **shape)
        got = rule.run(score, tail_probability=TAIL).quantile
    # Adding up a hundred weights instead of multiplying.
    np.testing.assert_allclose(got, wanted, rtol=1e-11)


def test_a_short_half_life_stands_at_its_largest_score() -> None:
    # Half-life of one score: all weights together are one, as that of the score to come; the tail
    # lies beyond all.
    score, _ = stream(4)
    rule = TimeWeightedConformal(half_life=1.0, window=50, needed=20, guard=None)
    got = rule.run(score, tail_probability=0.2).quantile
    largest = rolling_tails(score, np.array([1e-9]), 1, 50, 20)[0][:, 0]
    np.testing.assert_array_equal(got, largest)


def test_a_tracker_follows_the_pooled_quantile_until_it_has_a_start_of_its_own() -> None:
    n, needed = 40, 20
    score = -np.ones(n)  # never a breach
    pooled = 5.0 + 0.1 * np.arange(n)
    rule = QuantileTracking(window=needed, needed=needed, rate=0.1, guard=None)
    got = rule.run(
        score,
        tail_probability=TAIL,
        pooled=PooledTail(quantile=np.tile(pooled[:, None], (1, 9)), weight=float(needed)),
    ).quantile
    # By then as many scores are judged as origins have passed.
    fallen = 0.1 * TAIL * np.arange(n)
    np.testing.assert_allclose(got[:needed], (pooled - fallen)[:needed], rtol=1e-12)
    # From then on the mean of both at that origin, with equal weights.
    start = 0.5 * (-1.0 + pooled[needed])
    np.testing.assert_allclose(got[needed:], (start - fallen)[needed:], rtol=1e-12)


def test_scores_that_regimes_weigh_count_as_their_effective_number_beside_the_pooled_ones() -> None:
    rng = np.random.default_rng(7)
    needed, weight = 60, 40.0
    score, regime = rng.standard_t(3, size=needed + 1), rng.normal(size=(needed + 1, 1))
    rule = RegimeWeightedConformal(
        half_life=30.0, bandwidth=0.8, fewest=1.0, window=needed, needed=needed, guard=None
    )
    pooled = PooledTail(quantile=np.full((needed + 1, 9), 50.0), weight=weight)
    options: dict[str, Any] = {"tail_probability": 0.2, "regime": regime}
    alone = rule.run(score, **options).quantile[needed]
    got = rule.run(score, pooled=pooled, **options).quantile[needed]
    age = np.arange(needed, 0, -1.0)
    near = (regime[:needed, 0] - regime[needed, 0]) ** 2 / (2.0 * 0.8**2)
    w = 0.5 ** (age / 30.0) * np.exp(-near)
    size = w.sum() ** 2 / (w**2).sum()
    assert size < 0.8 * needed
    np.testing.assert_allclose(got, (size * alone + weight * 50.0) / (size + weight), rtol=1e-12)


def test_the_integrator_stops_at_its_steepest_on_the_way_down_too() -> None:
    n, needed = 60, 20
    score = np.where(np.arange(n) < needed, 0.0, -1e3)  # not one breach
    rule = ConformalPid(
        scorecaster=False, rate=0.1, saturation=TAIL, window=needed, needed=needed, guard=None
    )
    got = rule.run(score, tail_probability=TAIL).quantile[needed:]
    judged = np.arange(n - needed)
    excess = -TAIL * judged
    angle = excess * np.log(judged + 1.0) / (TAIL * (judged + 1.0))
    assert angle.min() < -3.0
    wanted = 0.1 * excess + np.tan(np.maximum(angle, -1.5))
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)
def test_the_pooled_quantile_counts_as_its_weight_says(rule: CoverageRule) -> None:
    score, regime = stream(6)
    rule = small(rule)
    given: dict[str, Any] = {"regime": regime} if rule.n_regimes else {}
    table = np.tile(np.linspace(9.0, 4.0, 9), (N, 1))

    def run(weight: float) -> Array:
        pooled = PooledTail(quantile=table, weight=weight)
        return rule.run(score, tail_probability=TAIL, pooled=pooled, **given).quantile

    # Before there are enough own scores, theirs alone; with their levels linear in logs.
    theirs = np.interp(log(TAIL), np.log(pooled_levels(TAIL, 9)), table[0])
    np.testing.assert_allclose(run(10.0)[0], theirs, rtol=1e-12)
    if rule.name not in ("sliding", "time-weighted"):
        return  # the others have learned from breaches of the pooled quantile meanwhile
    alone = rule.run(score, tail_probability=TAIL, **given).quantile
    enough = np.isfinite(alone)
    np.testing.assert_array_equal(run(0.0)[enough], alone[enough])
    first = int(np.argmax(enough))
    weight = 0.5 ** (np.arange(1, NEEDED + 1) / 60.0)
    size = NEEDED if rule.name == "sliding" else weight.sum() ** 2 / (weight**2).sum()
    wanted = (size * alone[first] + 300.0 * theirs) / (size + 300.0)
    np.testing.assert_allclose(run(300.0)[first], wanted, rtol=1e-12)
