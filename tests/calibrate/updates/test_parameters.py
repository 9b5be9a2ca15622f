"""Fixed point: exact, and rounded towards safety."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.calibrate import Generation, MarginSchedule
from foremargin.calibrate.schedule import to_basis_points
from foremargin.calibrate.updates import Kind, Parameter, margin_parameters
from foremargin.errors import InputError

UP = {Kind.INITIAL_MARGIN, Kind.MAINTENANCE_MARGIN, Kind.SNAPSHOT_TIME}


@given(kind=st.sampled_from(Kind), value=st.fractions(0, 10**5))
def test_whole_units_are_the_nearest_on_the_safe_side(kind: Kind, value: Fraction) -> None:
    off = kind.whole(value) - value * kind.scale
    assert 0 <= off < 1 if kind in UP else -1 < off <= 0


@given(kind=st.sampled_from(Kind), units=st.integers(0, 2**32 - 1))
def test_whole_units_come_back_from_their_exact_value(kind: Kind, units: int) -> None:
    assert kind.whole(Fraction(units, kind.scale)) == units


@given(rate=st.floats(0.0, 100.0))
def test_a_float_margin_becomes_what_a_schedule_makes_of_it(rate: float) -> None:
    assert Kind.INITIAL_MARGIN.whole(rate) == to_basis_points(np.array(rate))


def test_the_published_ratio_is_exact_in_eighteen_decimals() -> None:
    assert Kind.SNAPSHOT_RATIO.whole(1.1572) == 1_157_200_000_000_000_000
    assert Kind.SNAPSHOT_RATIO.whole(Decimal("1.1572")) == 1_157_200_000_000_000_000
    assert Kind.SNAPSHOT_RATIO.number(1_157_200_000_000_000_000) == 1.1572


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, Decimal("NaN"), Decimal("Infinity")])
def test_a_number_that_is_not_finite_never_becomes_a_parameter(value: float) -> None:
    with pytest.raises(InputError, match="position-cap must be a finite number, was"):
        Kind.POSITION_CAP.whole(value)


@pytest.mark.parametrize("value", [-0.0002, 2.0**32])
def test_a_value_that_does_not_fit_its_field_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="must be from 0 to 4294967295 units of 1/10000, was"):
        Kind.YEARLY_GROWTH.whole(value)


@pytest.mark.parametrize(("kind", "side"), [(Kind.INITIAL_MARGIN, ""), (Kind.POSITION_CAP, "long")])
def test_margins_have_a_side_and_nothing_else_has(kind: Kind, side: str) -> None:
    with pytest.raises(InputError, match=f"the side of {kind.value} must be one of"):
        Parameter("A", kind, side)


def schedule() -> MarginSchedule:
    rate = np.array([[[0.1, 0.12345], [np.nan, np.nan]]])
    return MarginSchedule(
        policy="p",
        generation=Generation.PREDICTIVE,
        horizon=1,
        origin=np.array(["2024-01-01"], dtype="M8[ns]"),
        instruments=("A", "B"),
        initial_margin_rate=rate,
        maintenance_margin_rate=rate / 2,
        expiry=np.array(["2024-01-02"], dtype="M8[ns]"),
        present=np.array([[True, False]]),
    )


def test_margins_in_force_become_basis_points_rounded_up_and_the_unlisted_are_left_out() -> None:
    values = margin_parameters(schedule().at(pd.Timestamp("2024-01-01")))
    assert values == {
        Parameter("A", Kind.INITIAL_MARGIN, "long"): 1_000,
        Parameter("A", Kind.INITIAL_MARGIN, "short"): 1_235,
        Parameter("A", Kind.MAINTENANCE_MARGIN, "long"): 500,
        Parameter("A", Kind.MAINTENANCE_MARGIN, "short"): 618,
    }


@pytest.mark.parametrize(
    ("changes", "time", "match"),
    [
        ({}, "2024-01-02", "must not have expired, were set at 2024-01-01"),
        ({"maintenance_margin_rate": None}, "2024-01-01", "must have a maintenance margin"),
        ({"present": np.ones((1, 2), dtype=bool)}, "2024-01-01", "found none for B long"),
    ],
)
def test_margins_that_say_too_little_do_not_become_parameters(changes, time, match) -> None:
    fields = {name: getattr(schedule(), name) for name in MarginSchedule.__dataclass_fields__}
    full = MarginSchedule(**{**fields, **changes})
    with pytest.raises(InputError, match=match):
        margin_parameters(full.at(pd.Timestamp(time)))
