"""What rise limits cost in coverage, and the lift that keeps it within a budget."""

import numpy as np
import pytest

from foremargin.calibrate.path import (
    Bound,
    Buffer,
    Headroom,
    Lift,
    MarginLimits,
    Notice,
    SpeedLimit,
    margin_path,
    needed_headroom,
    rise_factors,
)

SPEED = (SpeedLimit(rise=0.05), SpeedLimit(rise=0.15, periods=5))


def lifted(size: float, *, rate: float = 0.0, budget: float = 0.01, **kwargs) -> MarginLimits:
    return MarginLimits(
        speed=SPEED, lift=Lift(headroom=Headroom(budget=budget, size=size, rate=rate)), **kwargs
    )


@pytest.mark.parametrize("notice", [Notice(), Notice(periods=2), Notice(periods=2, falls=True)])
@pytest.mark.parametrize("size", [0.0, 0.1, 0.4])
def test_a_constant_headroom_fails_in_exactly_the_periods_that_needed_more(
    rough_path, notice, size
) -> None:
    for seed in range(20):
        target = rough_path(np.random.default_rng([7, seed]), 400)
        limits = lifted(size, notice=notice)
        need = needed_headroom(target, limits=limits)
        below = margin_path(target, limits=limits).initial_margin < target
        clear = np.abs(need - size) > 1e-12  # at equality rounding decides
        np.testing.assert_array_equal(below[clear], (need > size)[clear])


def test_other_limits_only_lift_so_that_it_never_fails_more_often(rough_path) -> None:
    slow = (*SPEED, SpeedLimit(fall=0.03))
    for seed in range(20):
        target = rough_path(np.random.default_rng([8, seed]), 400)
        limits = MarginLimits(
            speed=slow,
            lift=Lift(headroom=Headroom(size=0.1, rate=0.0), buffer=Buffer(needed=20)),
            floor=0.04,
            threshold=0.03,
            notice=Notice(periods=1),
        )
        below = margin_path(target, limits=limits).initial_margin < target
        need = needed_headroom(target, limits=limits)
        assert not below[need < 0.1 - 1e-12].any()


def test_the_quantile_of_past_needs_would_have_kept_the_budget(rough_path) -> None:
    target = rough_path(np.random.default_rng(9), 2_000)
    need = needed_headroom(target, limits=lifted(0.0))
    assert (need > 0).mean() > 0.05
    size = float(np.quantile(need, 0.98, method="higher"))
    path = margin_path(target, limits=lifted(size * (1 + 1e-9)))
    assert (path.shortfall > 0).mean() <= 0.02


def worst_case(n: int) -> np.ndarray:
    """Return targets that jump whenever a margin has come down."""
    return np.where(np.arange(n) % 40 < 20, 0.02, 0.08)


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.2])
@pytest.mark.parametrize("budget", [0.01, 0.05])
def test_whatever_the_targets_the_share_below_target_keeps_the_budget_plus_a_vanishing_rest(
    rough_path, rate, budget
) -> None:
    paths = [rough_path(np.random.default_rng([10, seed]), 3_000) for seed in range(10)]
    for target in [*paths, worst_case(3_000)]:
        n, spread = len(target), target.max() / target.min()
        path = margin_path(target, limits=lifted(0.1, rate=rate, budget=budget))
        # Once the headroom is the whole spread, the aim is above every target, and in so many
        # periods the margin is too.
        delay = int(np.searchsorted(rise_factors(SPEED, periods=400), spread))
        most = spread - 1.0 + rate * (delay + 1)
        assert path.lift.max() <= most + 1e-9
        share = (path.initial_margin < target).mean()
        assert share <= budget + (most - 0.1) / (rate * n)
        held = path.lift[-1] + rate  # the headroom after the last period is not more
        assert share <= budget + (held - 0.1) / (rate * n) + 1e-9


def test_the_headroom_grows_by_the_rate_and_melts_by_the_budget() -> None:
    target = np.r_[np.full(3, 1.0), np.full(3, 10.0), np.full(4, 1.0)]
    path = margin_path(target, limits=lifted(0.1, rate=0.1, budget=0.05))
    down, up = -0.1 * 0.05, 0.1 * 0.95
    expected = 0.1 + np.cumsum([0, down, down, down, up, up, up, down, down, down])
    np.testing.assert_allclose(path.lift, expected, rtol=1e-12)
    assert path.binds(Bound.HEADROOM).all()


def test_a_target_above_the_cap_is_no_debt() -> None:
    path = margin_path(np.full(50, 2.0), limits=lifted(0.1, rate=0.1, cap=1.0))
    assert path.lift[-1] < path.lift[0]


def test_the_larger_of_buffer_and_headroom_counts() -> None:
    limits = MarginLimits(lift=Lift(buffer=Buffer(size=0.25), headroom=Headroom(size=0.3)))
    path = margin_path(np.ones(3), limits=limits)
    assert path.initial_margin[0] == pytest.approx(1.3)
    assert Bound(int(path.bound[0])) == Bound.HEADROOM
