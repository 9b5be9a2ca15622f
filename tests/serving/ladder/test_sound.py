import math

import pytest
from msgspec.structs import replace

from foremargin.serving.ladder import unsound
from foremargin.serving.quote import Basis, SideMargin


def test_a_sound_calculation_has_no_fault(make_calculation):
    assert unsound(make_calculation(stress_probability=0.3, liquidity_cost=0.0)) == ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"basis": Basis.FIXED}, "basis must be a rung that calculates, was fixed"),
        ({"horizon_periods": 0}, "horizon must be at least 1"),
        ({"tail_probability": 1.0}, "tail_probability in"),
        ({"sigma": math.nan}, "sigma must be finite"),
        ({"sigma_upper": math.inf}, "sigma must be finite"),
        ({"sigma_lower": 0.025}, "sigma must be finite and within its interval"),
        ({"stress_probability": 1.5}, "stress_probability must be in"),
        ({"liquidity_stress_probability": math.nan}, "liquidity_stress_probability must be in"),
        ({"liquidity_cost": -0.1}, "liquidity_cost must be finite"),
    ],
)
def test_faults_are_named(make_calculation, change, fault):
    assert fault in unsound(replace(make_calculation(), **change))


@pytest.mark.parametrize("name", ["long", "short"])
@pytest.mark.parametrize(
    ("initial", "maintenance", "parts", "fault"),
    [
        (100, 101, {"tail": 100.0}, "must have 0 < maintenance <= initial margin, had 101 and 100"),
        (100, 0, {"tail": 100.0}, "must have 0 < maintenance"),
        (2**32, 1, {"tail": 2.0**32}, "must have 0 < maintenance"),
        (100, 50, {"tail": 99.0}, "must add up to 100 bps, were 99.0"),
        (100, 50, {"tail": math.nan}, "must add up to 100 bps, were nan"),
        (100, 50, {}, "must add up to 100 bps"),
    ],
)
def test_faults_of_a_side_are_named(make_calculation, name, initial, maintenance, parts, fault):
    bad = SideMargin(
        initial_margin_bps=initial, maintenance_margin_bps=maintenance, components=parts
    )
    found = unsound(replace(make_calculation(), **{name: bad}))
    assert name in found
    assert fault in found
