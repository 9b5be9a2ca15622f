"""Rises that are expected are spread over the time before them, and cost what they must."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import optimize

from foremargin.calibrate.path import (
    Bound,
    Maintenance,
    MarginLimits,
    Notice,
    SpeedLimit,
    margin_path,
    offline_path,
    path_cost,
    rise_factors,
)
from foremargin.errors import ConvergenceError, InputError

PER_PERIOD = (SpeedLimit(rise=0.05, fall=0.02),)
SEVERAL = (
    SpeedLimit(rise=0.06, fall=0.04),
    SpeedLimit(rise=0.15, fall=0.1, periods=5),
    SpeedLimit(rise=0.4, periods=20),
)


def exact(target: np.ndarray, periods: int) -> np.ndarray:
    """Return the true targets of the next periods; the last one goes on for ever."""
    ahead = np.concatenate([target, np.full(periods, target[-1])])
    return np.lib.stride_tricks.sliding_window_view(ahead[1:], periods)[: len(target)]


def enough(target: np.ndarray, speed: tuple[SpeedLimit, ...]) -> int:
    """Return the periods in which the largest rise of all is possible."""
    factors = rise_factors(speed, periods=400)
    return int(np.searchsorted(factors, target.max() / target.min())) + 1


def test_rise_factors_are_the_closed_form() -> None:
    np.testing.assert_allclose(
        rise_factors(PER_PERIOD, periods=30), 1.05 ** np.arange(31), rtol=1e-13
    )
    window = rise_factors((SpeedLimit(rise=0.5, periods=20),), periods=45)
    np.testing.assert_allclose(window, 1.5 ** np.ceil(np.arange(46) / 20))
    both = rise_factors((SpeedLimit(rise=0.1), SpeedLimit(rise=0.25, periods=5)), periods=8)
    np.testing.assert_allclose(
        both, [1, 1.1, 1.21, 1.25, 1.25, 1.25, 1.375, 1.21 * 1.25, 1.25**2], rtol=1e-13
    )
    assert np.isinf(rise_factors((), periods=2)[1:]).all()
    with pytest.raises(InputError, match="periods must not be negative, was -1"):
        rise_factors((), periods=-1)


def test_the_smallest_rise_is_the_target_divided_by_the_growth_before_it() -> None:
    target = np.r_[np.full(20, 1.0), np.full(10, 2.0)]
    limits = MarginLimits(speed=(SpeedLimit(rise=0.1),))
    path = margin_path(target, limits=limits, expected=exact(target, 20))
    # log(2) / log(1.1) = 7.27: the first of eight steps is the part that is left over.
    expected = np.maximum(target, 2.0 / 1.1 ** np.maximum(20 - np.arange(30.0), 0.0))
    np.testing.assert_allclose(path.initial_margin, expected, rtol=1e-13)
    assert path.initial_margin[12] == 1.0
    assert path.binds(Bound.FORECAST).tolist() == [13 <= t < 20 for t in range(30)]


@pytest.mark.parametrize("speed", [PER_PERIOD, SEVERAL], ids=["per-period", "several"])
@pytest.mark.parametrize("notice", [Notice(), Notice(periods=3), Notice(periods=3, falls=True)])
@pytest.mark.parametrize("threshold", [0.0, 0.02])
def test_right_forecasts_leave_no_period_below_target(rough_path, speed, notice, threshold) -> None:
    limits = MarginLimits(speed=speed, notice=notice, threshold=threshold)
    for seed in range(25):
        target = rough_path(np.random.default_rng(seed), 300)
        k = enough(target, speed) + notice.periods
        path = margin_path(target, limits=limits, expected=exact(target, k))
        # Dividing by a growth and multiplying step by step round differently.
        assert (path.initial_margin >= target * (1 - 1e-12)).all()
        blind = margin_path(target, limits=limits)
        assert (blind.initial_margin < target).any()


def test_forecasts_that_are_too_high_and_only_revised_downwards_leave_none_either(
    rough_path,
) -> None:
    limits = MarginLimits(speed=SEVERAL)
    for seed in range(25):
        target = rough_path(np.random.default_rng(seed), 200)
        k = enough(target, SEVERAL)
        too_high = 1.0 + 0.01 * np.arange(1, k + 1)  # the nearer, the less
        path = margin_path(target, limits=limits, expected=exact(target, k) * too_high)
        assert (path.initial_margin >= target * (1 - 1e-12)).all()


def test_a_target_that_is_out_of_reach_asks_for_no_more_than_helps() -> None:
    # The window that begins before us leaves 1.25 for the next four periods whatever is done now,
    # so 1.25 * 1.25 is the most in five, and a level of 1.25 is enough for it; 100 / 1.25 is not.
    limits = MarginLimits(speed=(SpeedLimit(rise=0.25, periods=5),))
    target = np.array([1.0, 1.25, 1.25])
    expected = np.array([[1.25] * 5, [1.25] * 4 + [100.0], [1.25] * 3 + [100.0, 100.0]])
    path = margin_path(target, limits=limits, expected=expected)
    np.testing.assert_allclose(path.asked, [1.0, 1.25, 1.25])


def test_nothing_rises_early_for_what_the_cap_will_cut() -> None:
    limits = MarginLimits(cap=1.21, speed=(SpeedLimit(rise=0.1),))
    target = np.r_[np.full(8, 1.0), 100.0]
    path = margin_path(target, limits=limits, expected=exact(target, 8))
    np.testing.assert_allclose(path.initial_margin, [1.0] * 7 + [1.1, 1.21], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("speed", [PER_PERIOD, SEVERAL], ids=["per-period", "several"])
def test_with_right_forecasts_the_online_rule_is_the_offline_optimum(rough_path, speed) -> None:
    limits = MarginLimits(speed=speed, floor=0.03, maintenance=Maintenance(wait=0))
    for seed in range(6):
        target = rough_path(np.random.default_rng([3, seed]), 250)
        k = enough(target, speed)
        path = margin_path(target, limits=limits, expected=exact(target, k))
        # A penalty above any price of a rise makes the optimum the least path above target.
        best = offline_path(target, limits=limits, penalty=1e6)
        # The tolerance of the solver.
        np.testing.assert_allclose(path.initial_margin, best.margin, rtol=1e-6)
        assert path_cost(path.initial_margin, target, penalty=1e6) >= best.cost * (1 - 1e-6)


def test_no_rule_is_cheaper_than_the_offline_optimum(problems) -> None:
    compared = 0
    for problem in problems(5, 150):
        if len(problem.target) < 2 or problem.limits.lift.stress_weight or problem.start is None:
            continue
        limits, start = problem.limits, problem.start
        path = margin_path(problem.target, limits=limits, start=start, expected=problem.expected)
        best = offline_path(problem.target, limits=limits, start=start)
        # The tolerance of the solver.
        assert path_cost(path.initial_margin, problem.target) >= best.cost * (1 - 1e-7)
        assert best.cost == pytest.approx(path_cost(best.margin, problem.target), rel=1e-9)
        compared += 1
    assert compared > 30


def test_the_optimum_weighs_a_shortfall_against_a_rise_before_it() -> None:
    target = np.array([1.0, 1.0, 2.0, 1.0])
    limits = MarginLimits(speed=(SpeedLimit(rise=0.25),))
    # One more at the peak costs 1 + 1/1.25 of margin up to 1.25**2, and 1/1.25**2 more above.
    cheap, fair, dear = (offline_path(target, limits=limits, penalty=p) for p in (1.7, 2.0, 2.5))
    np.testing.assert_allclose(cheap.margin, [1.0, 1.0, 1.25, 1.0], atol=1e-9)
    np.testing.assert_allclose(cheap.shortfall, [0.0, 0.0, 0.75, 0.0], atol=1e-9)
    np.testing.assert_allclose(fair.margin, [1.0, 1.25, 1.5625, 1.0], atol=1e-9)
    np.testing.assert_allclose(dear.margin, [1.28, 1.6, 2.0, 1.0], atol=1e-9)


def test_the_optimum_obeys_a_start_a_notice_and_a_required_level() -> None:
    limits = MarginLimits(
        cap=3.0, speed=(SpeedLimit(rise=0.5, fall=0.5),), notice=Notice(periods=2)
    )
    target = np.array([2.0, 2.0, 2.0, 2.0, 0.1])
    best = offline_path(
        target, limits=limits, start=1.0, required=[0.0, 0.0, 0.0, 0.0, 1.2], penalty=1e3
    )
    np.testing.assert_allclose(best.margin, [1.0, 1.0, 1.5, 2.0, 1.2], atol=1e-9)
    with pytest.raises(InputError, match="a required level cannot be reached from start"):
        offline_path(target, limits=limits, start=1.0, required=[1.5, 0, 0, 0, 0])
    with pytest.raises(InputError, match="a required level is out of reach"):
        offline_path(target, limits=limits, start=1.0, required=[0, 0, 0, 2.9, 0])
    with pytest.raises(InputError, match=r"penalty must be positive and finite, was 0\.0"):
        offline_path(target, limits=limits, penalty=0.0)


def test_the_optimum_lets_a_level_long_in_force_bind_for_a_whole_window() -> None:
    # Three periods of target 2: within a window of three the margin may not leave 10 % of a start
    # that was in force all the time before, though each step of it would be allowed.
    limits = MarginLimits(cap=3.0, speed=(SpeedLimit(periods=3, rise=0.1, fall=0.2),))
    up = offline_path([2.0, 2.0, 2.0, 2.0], limits=limits, start=1.0)
    np.testing.assert_allclose(up.margin, [1.1, 1.1, 1.1, 1.21], atol=1e-9)
    down = offline_path([0.1, 0.1, 0.1, 0.1], limits=limits, start=1.0)
    np.testing.assert_allclose(down.margin, [0.8, 0.8, 0.8, 0.64], atol=1e-9)


@pytest.mark.parametrize(("falls", "margin"), [(True, [1.0, 1.0, 0.2]), (False, [0.2] * 3)])
def test_the_optimum_waits_with_falls_where_falls_need_a_notice(
    falls: bool, margin: list[float]
) -> None:
    limits = MarginLimits(notice=Notice(periods=2, falls=falls))
    best = offline_path([0.2, 0.2, 0.2], limits=limits, start=1.0)
    np.testing.assert_allclose(best.margin, margin, atol=1e-9)


def test_a_solver_that_gives_up_is_an_error_of_its_own(monkeypatch) -> None:
    def give_up(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(status=1, success=False, message="out of time")

    monkeypatch.setattr(optimize, "linprog", give_up)
    with pytest.raises(ConvergenceError, match="was not found: out of time"):
        offline_path([1.0, 2.0], limits=MarginLimits())
