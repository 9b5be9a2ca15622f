"""The online rule: every bound holds, nothing looks ahead, and what bound is said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.path import (
    Bound,
    Buffer,
    Lift,
    Maintenance,
    MarginLimits,
    MarginPath,
    Notice,
    Precedence,
    SpeedLimit,
    limit_excess,
    margin_path,
)
from foremargin.errors import InputError, ShapeError

# Bounds are kept by comparison with the very product they name; what is left is the rounding of
# the quotients in the check.
ROUNDING = 1e-12

STEEP = np.r_[np.full(5, 0.05), np.full(20, 0.10), np.full(20, 0.04)]


def run(problem) -> MarginPath:
    return margin_path(
        problem.target,
        limits=problem.limits,
        expected=problem.expected,
        stressed=problem.stressed,
        required=problem.required,
        start=problem.start,
    )


def only(**kwargs) -> MarginLimits:
    return MarginLimits(maintenance=Maintenance(wait=0), **kwargs)


@pytest.mark.slow
def test_every_bound_holds_in_thousands_of_random_problems(problems) -> None:
    seen = Bound.NONE
    for problem in problems(1, 2_000):
        path = run(problem)
        excess = limit_excess(
            path, limits=problem.limits, required=problem.required, start=problem.start
        )
        assert excess.worst <= ROUNDING, (problem, excess)
        assert np.isfinite(path.initial_margin).all()
        seen |= Bound(int(np.bitwise_or.reduce(path.bound)))
    assert seen == Bound(2 * int(Bound.MAINTENANCE_WAIT) - 1)  # and every bound did bind


def test_nothing_after_a_period_moves_its_margin(problems) -> None:
    for problem in problems(2, 200):
        n = len(problem.target)
        if n < 4:
            continue
        cut = n // 2
        later = np.r_[np.ones(cut), np.full(n - cut, 3.0)]
        changed = replace(
            problem,
            target=problem.target * later,
            required=None if problem.required is None else problem.required * later,
        )
        before, after = run(problem), run(changed)
        np.testing.assert_array_equal(before.initial_margin[:cut], after.initial_margin[:cut])
        np.testing.assert_array_equal(before.bound[:cut], after.bound[:cut])


@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_margins_scale_with_the_unit_of_the_target(rough_path, factor, seed) -> None:
    target = rough_path(np.random.default_rng(seed), 80)
    limits = MarginLimits(
        floor=0.03,
        speed=(SpeedLimit(rise=0.1, fall=0.05), SpeedLimit(rise=0.3, periods=7)),
        notice=Notice(periods=2),
        lift=Lift(buffer=Buffer(needed=5)),
    )
    scaled = margin_path(factor * target, limits=replace(limits, floor=0.03 * factor))
    plain = margin_path(target, limits=limits)
    np.testing.assert_allclose(scaled.initial_margin, factor * plain.initial_margin, rtol=1e-10)


def test_without_limits_the_margin_is_the_target() -> None:
    path = margin_path(STEEP, limits=MarginLimits())
    np.testing.assert_array_equal(path.initial_margin, STEEP)
    assert not (path.bound & ~int(Bound.MAINTENANCE_WAIT)).any()


def test_a_limit_per_period_and_one_per_window_make_the_rise_they_allow() -> None:
    limits = only(speed=(SpeedLimit(rise=0.1), SpeedLimit(rise=0.25, periods=5)))
    path = margin_path(STEEP, limits=limits)
    # Two steps of 10 %, a third up to 25 % above the start of the window, then it waits.
    rise = path.initial_margin[5:11] / 0.05
    np.testing.assert_allclose(rise, [1.1, 1.21, 1.25, 1.25, 1.25, 1.25 * 1.1], rtol=1e-12)
    words = path.frame().bound.tolist()
    assert words[5:9] == ["rise_period", "rise_period", "rise_window", "rise_window"]
    assert words[0] == ""


def test_falls_have_limits_of_their_own() -> None:
    limits = only(speed=(SpeedLimit(fall=0.1), SpeedLimit(fall=0.25, periods=5)))
    path = margin_path(STEEP, limits=limits)
    fall = path.initial_margin[25:30] / 0.10
    np.testing.assert_allclose(fall, [0.9, 0.81, 0.75, 0.75, 0.75], rtol=1e-12)
    assert path.frame().bound.tolist()[26:28] == ["fall_period", "fall_window"]
    np.testing.assert_array_equal(path.initial_margin[5:25], 0.10)


def test_a_rise_waits_for_its_notice_and_a_fall_does_not() -> None:
    target = np.r_[1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 1.5, 1.5, 3.0, 1.0, 1.0, 1.0]
    path = margin_path(target, limits=only(notice=Notice(periods=2)))
    # The rise to 3 is taken back before it takes effect.
    expected = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 1.5, 1.5, 1.5, 1.0, 1.0, 1.0]
    np.testing.assert_array_equal(path.initial_margin, expected)
    assert path.binds(Bound.NOTICE).tolist() == [t in (2, 3, 8) for t in range(12)]
    both = margin_path(target, limits=only(notice=Notice(periods=2, falls=True)))
    np.testing.assert_array_equal(both.initial_margin, np.r_[1.0, 1.0, target[:-2]])


def test_maintenance_rises_only_after_the_initial_margin_has_stood_and_falls_with_it() -> None:
    target = np.array([1.0, 2.0, 2.0, 2.0, 1.5, 1.5])
    limits = MarginLimits(maintenance=Maintenance(ratio=0.5, wait=2))
    path = margin_path(target, limits=limits)
    expected = [0.5, 0.5, 0.5, 1.0, 0.75, 0.75]
    np.testing.assert_array_equal(path.maintenance_margin, expected)
    assert path.binds(Bound.MAINTENANCE_WAIT).tolist() == [False, True, True, False, False, False]


def test_small_falls_are_left_out_and_small_rises_rounded_up() -> None:
    target = np.array([1.0, 0.97, 0.96, 0.94, 0.96, 1.2])
    path = margin_path(target, limits=only(threshold=0.05))
    np.testing.assert_allclose(
        path.initial_margin, [1.0, 1.0, 1.0, 0.94, 0.94 * 1.05, 1.2], rtol=1e-15
    )
    assert path.binds(Bound.THRESHOLD).tolist() == [False, True, True, False, True, False]
    assert (path.shortfall == 0.0).all()


def test_floor_and_cap_hold_and_are_named() -> None:
    path = margin_path([0.01, 0.05, 0.5], limits=only(floor=0.02, cap=0.3))
    np.testing.assert_array_equal(path.initial_margin, [0.02, 0.05, 0.3])
    assert path.frame().bound.tolist() == ["floor", "", "cap"]
    assert path.shortfall[2] == pytest.approx(0.2)


def test_the_stressed_margin_lifts_calm_margins_and_lowers_none() -> None:
    limits = only(lift=Lift(stress_weight=0.25))
    path = margin_path([0.04, 0.2], limits=limits, stressed=[0.12, 0.12])
    np.testing.assert_allclose(path.initial_margin, [0.75 * 0.04 + 0.25 * 0.12, 0.2])
    assert path.frame().bound.tolist() == ["stress", ""]


def test_the_buffer_is_used_up_at_the_top_and_refilled_slowly() -> None:
    target = np.r_[np.linspace(0.05, 0.10, 300), np.full(3, 0.12), np.full(60, 0.06)]
    buffer = Buffer(size=0.25, refill=0.01, needed=250)
    path = margin_path(target, limits=only(lift=Lift(buffer=buffer)))
    np.testing.assert_allclose(path.initial_margin[:249], 1.25 * target[:249])
    np.testing.assert_array_equal(path.initial_margin[300:303], target[300:303])
    refilled = path.initial_margin[303:] / target[303:] - 1.0
    np.testing.assert_allclose(refilled, np.minimum(0.01 * np.arange(1, 61), 0.25), atol=1e-12)
    # The level of the release: the quantile at one minus tail of the n + 1st value, as elsewhere.
    past = np.sort(target[:280])
    position = 281 * 0.99 - 1
    low = past[int(position)]
    release = low + (position % 1) * (past[int(position) + 1] - low)
    assert path.lift[279] == pytest.approx(max(release / target[279] - 1.0, 0.0), abs=1e-12)


@pytest.mark.parametrize("precedence", Precedence)
def test_the_precedence_decides_between_a_required_level_and_the_limits(precedence) -> None:
    limits = only(
        speed=(SpeedLimit(rise=0.1, fall=0.1),), notice=Notice(periods=3), precedence=precedence
    )
    required = np.r_[np.zeros(5), np.full(10, 0.09), np.zeros(30)]
    path = margin_path(STEEP, limits=limits, required=required)
    missed = path.initial_margin < required
    if precedence is Precedence.COVERAGE_FIRST:
        assert not missed.any()
        assert path.initial_margin[5] == 0.09
        assert np.flatnonzero(path.binds(Bound.EMERGENCY)).tolist() == [5]
        # After the emergency the rise goes on as announced, one step a period.
        assert path.initial_margin[9:].max() == 0.10
    else:
        assert missed[5:].any()
        assert (path.initial_margin[1:] / path.initial_margin[:-1]).max() <= 1.1 + ROUNDING
        np.testing.assert_array_equal(path.binds(Bound.REQUIRED_MISSED), missed)
    assert limit_excess(path, limits=limits, required=required).worst <= ROUNDING


def test_the_cap_goes_before_a_required_level_and_says_so() -> None:
    path = margin_path([0.1, 0.1], limits=only(cap=0.15), required=[0.0, 0.2])
    np.testing.assert_array_equal(path.initial_margin, [0.1, 0.15])
    assert Bound(int(path.bound[1])) == Bound.REQUIRED | Bound.CAP | Bound.REQUIRED_MISSED


def test_the_check_from_outside_sees_each_broken_limit() -> None:
    limits = MarginLimits(
        floor=0.5,
        cap=2.5,
        speed=(SpeedLimit(rise=1.0, fall=0.5, periods=2),),
        notice=Notice(periods=1),
        threshold=0.1,
    )
    good = margin_path(np.ones(6), limits=limits)

    def broken(name: str, values: list[float]) -> dict[str, float]:
        path = replace(good, **{name: np.array(values)})
        excess = limit_excess(path, limits=limits, required=np.full(6, 0.7))
        return {key: value for key, value in vars(excess).items() if value > ROUNDING}

    assert not broken("announced", [1.0] * 6)
    assert broken("initial_margin", [1, 1, 1, 1, 1, 3])["cap"] == pytest.approx(0.2)
    assert broken("initial_margin", [1, 1, 1, 1, 1, 3])["rise"] == pytest.approx(0.5)
    assert broken("initial_margin", [1, 1, 1, 1, 1, 3])["notice"] == pytest.approx(2.0)
    assert broken("initial_margin", [1, 1, 1, 1, 1, 0.4])["floor"] == pytest.approx(0.25)
    assert broken("initial_margin", [1, 1, 1, 1, 1, 0.4])["fall"] == pytest.approx(0.25)
    assert broken("initial_margin", [1, 1, 1, 1, 1, 0.4])["required"] == pytest.approx(0.75)
    assert broken("announced", [1, 1, 1, 1, 1, 1.05])["threshold"] == pytest.approx(0.05)
    assert broken("maintenance_margin", [0.5] * 5 + [0.6])["maintenance"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"target": []}, r"target must have shape \(n,\) with n at least 1, was \(0,\)"),
        ({"target": [[1.0]]}, r"was \(1, 1\)"),
        ({"expected": [[1.0]]}, r"expected must have shape \(2, k\).* was \(1, 1\)"),
        ({"required": [1.0]}, r"required must have shape \(2,\) like target, was \(1,\)"),
    ],
)
def test_wrong_shapes_are_refused(kwargs, message) -> None:
    given_ = {"target": [1.0, 1.0], "limits": MarginLimits(), **kwargs}
    with pytest.raises(ShapeError, match=message):
        margin_path(given_.pop("target"), **given_)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, 1e101])
@pytest.mark.parametrize("name", ["target", "expected", "stressed"])
def test_what_is_not_a_positive_finite_number_is_refused(name, bad) -> None:
    limits = MarginLimits(lift=Lift(stress_weight=0.25))
    given_ = {"target": np.ones(2), "expected": np.ones((2, 1)), "stressed": np.ones(2)}
    given_[name][1, ...] = bad
    with pytest.raises(InputError, match=rf"{name} must be finite, .* found 1 .* at \[1"):
        margin_path(
            given_["target"],
            limits=limits,
            expected=given_["expected"],
            stressed=given_["stressed"],
        )


def test_a_stressed_margin_goes_with_its_weight() -> None:
    with pytest.raises(InputError, match=r"weight was 0.0 and stressed was given"):
        margin_path([1.0], limits=MarginLimits(), stressed=[1.0])
    with pytest.raises(InputError, match=r"weight was 0.5 and stressed was left out"):
        margin_path([1.0], limits=MarginLimits(lift=Lift(stress_weight=0.5)))


@pytest.mark.parametrize("start", [0.4, 3.1])
def test_a_start_outside_floor_and_cap_is_refused(start) -> None:
    with pytest.raises(InputError, match=rf"within floor 0.5 and cap 3.0, was {start}"):
        margin_path([1.0], limits=MarginLimits(floor=0.5, cap=3.0), start=start)


def test_results_cannot_be_changed() -> None:
    path = margin_path([1.0], limits=MarginLimits())
    with pytest.raises(ValueError, match="read-only"):
        path.initial_margin[0] = 2.0
