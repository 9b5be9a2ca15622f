"""Schedules and the way from log returns to fractions of notional."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.calibrate import (
    SIDES,
    Generation,
    MarginSchedule,
    MarginStatus,
    Regime,
    SideSeries,
)
from foremargin.calibrate.schedule import from_basis_points, to_basis_points
from foremargin.errors import InputError, ShapeError


def schedule() -> MarginSchedule:
    rate = np.array([0.1, 0.2, np.nan, np.nan, 0.3, 0.4, 0.5, 1.5]).reshape(2, 2, 2)
    return MarginSchedule(
        policy="p",
        generation=Generation.REACTIVE,
        horizon=2,
        origin=np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[ns]"),
        instruments=("A", "B"),
        initial_margin_rate=rate,
        present=np.array([[True, False], [True, True]]),
    )


def side_series(side: str, log_loss: list[float]) -> SideSeries:
    return SideSeries(
        side=side,
        rows=np.arange(len(log_loss)),
        log_loss=np.array(log_loss),
        horizon=1,
        tail_probability=0.01,
        session=1,
        periods_per_year=365.0,
        first=0,
        variance={},
    )


log_margins = st.floats(1e-6, 5.0)


@given(log_margin=log_margins, log_return=st.floats(-5.0, 5.0))
def test_a_margin_covers_exactly_the_losses_that_its_log_margin_covers(
    log_margin: float, log_return: float
) -> None:
    # A long that bought at 1 owns exp(r): it lost 1 - exp(r). A short lost exp(r) - 1.
    for side, lost in (("long", -np.expm1(log_return)), ("short", np.expm1(log_return))):
        sign = -1.0 if side == "long" else 1.0
        series = side_series(side, [sign * log_return])
        np.testing.assert_allclose(series.loss, [lost], rtol=1e-12)
        rate = series.rate(np.array([log_margin]))[0]
        if abs(sign * log_return - log_margin) > 1e-9:  # beyond rounding
            assert (lost > rate) == (sign * log_return > log_margin)


def test_a_log_margin_of_a_half_is_39_percent_for_a_long_and_65_for_a_short() -> None:
    half = np.array([np.log(2.0), 0.5])
    np.testing.assert_allclose(side_series("long", [0.0]).rate(half), [0.5, 1 - np.exp(-0.5)])
    np.testing.assert_allclose(side_series("short", [0.0]).rate(half), [1.0, np.exp(0.5) - 1])


@given(log_margin=log_margins)
def test_a_long_never_posts_its_whole_notional(log_margin: float) -> None:
    rate = side_series("long", [0.0]).rate(np.array([log_margin]))[0]
    assert 0.0 < rate < 1.0


@pytest.mark.parametrize("value", [0.0, -0.1, np.inf])
def test_a_rate_that_is_not_positive_and_finite_is_refused(value: float) -> None:
    rate = schedule().initial_margin_rate.copy()
    rate[0, 0, 0] = value
    with pytest.raises(InputError, match="p: a margin rate must be positive and finite, or NaN"):
        replace(schedule(), initial_margin_rate=rate)


def test_a_rate_without_a_side_axis_is_refused() -> None:
    rate = schedule().initial_margin_rate[..., 0]
    with pytest.raises(ShapeError, match=r"must have shape \(2, 2, 2\), was \(2, 2\)"):
        replace(schedule(), initial_margin_rate=rate)


def test_the_status_says_why_there_is_no_margin() -> None:
    rate = schedule().initial_margin_rate.copy()
    rate[1, 0] = np.nan
    status = replace(schedule(), initial_margin_rate=rate).status()
    assert (status[0, 0] == MarginStatus.OK.value).all()
    assert (status[0, 1] == MarginStatus.NOT_LISTED.value).all()
    assert (status[1, 0] == MarginStatus.WARMING_UP.value).all()


def test_the_table_has_one_row_per_origin_instrument_and_side_with_a_price() -> None:
    table = schedule().frame()
    columns = ["policy", "origin", "instrument", "side", "horizon", "margin_rate", "status"]
    assert list(table.columns) == columns
    assert len(table) == 6
    assert set(table.side) == set(SIDES)
    row = table.iloc[-1]
    assert row["origin"] == pd.Timestamp("2024-01-02", tz="UTC")
    assert (row["instrument"], row["side"]) == ("B", "short")
    assert row["margin_rate"] == 1.5
    assert row["horizon"] == 2
    assert row["status"] == "ok"


def test_a_short_margin_without_meaning_stays_finite() -> None:
    rate = side_series("short", [0.0]).rate(np.array([800.0]))
    assert rate[0] == pytest.approx(np.exp(20.0), rel=1e-8)


DAY = np.timedelta64(1, "D")


def grown_up() -> MarginSchedule:
    """Every optional field; in force a day after its origin, for three days."""
    plain = schedule()
    rate = plain.initial_margin_rate
    return replace(
        plain,
        maintenance_margin_rate=rate / 2,
        initial_components={"tail": 0.75 * rate, "liquidity": 0.25 * rate},
        maintenance_components={"tail": 0.75 * rate, "relief": -0.25 * rate},
        effective=plain.origin + DAY,
        expiry=plain.origin + 4 * DAY,
        regime=np.array([["calm", "unknown"], ["stressed", "calm"]]),
        source="model 3",
    )


def test_the_table_of_a_full_schedule_has_a_column_for_everything_it_holds() -> None:
    table = grown_up().frame()
    row = table[(table.instrument == "B") & (table.side == "short")].iloc[0]
    assert row["margin_rate"] == 1.5
    assert row["maintenance_margin_rate"] == 0.75
    assert row["initial.tail"] + row["initial.liquidity"] == 1.5
    assert row["maintenance.tail"] + row["maintenance.relief"] == 0.75
    assert row["effective"] == pd.Timestamp("2024-01-03", tz="UTC")
    assert row["expiry"] == pd.Timestamp("2024-01-06", tz="UTC")
    assert (row["regime"], row["source"], row["status"]) == ("calm", "model 3", "ok")
    # In front of them and behind them stands what a plain schedule has.
    assert list(table.columns[:6]) == list(schedule().frame().columns[:6])


def test_a_margin_is_in_force_from_its_effective_time_until_the_next() -> None:
    full = grown_up()
    for time, row in (("2024-01-02", 0), ("2024-01-02T23:59", 0), ("2024-01-03", 1)):
        found = full.at(np.datetime64(time))
        np.testing.assert_array_equal(found.initial_margin_rate, full.initial_margin_rate[row])
        assert found.origin == full.origin[row]
    maintenance = full.at(np.datetime64("2024-01-03")).maintenance_margin_rate
    np.testing.assert_array_equal(maintenance, full.initial_margin_rate[1] / 2)


def test_the_age_counts_from_the_origin_and_expiry_is_the_first_moment_that_is_too_late() -> None:
    full = grown_up()
    before, at = full.at(np.datetime64("2024-01-05T23:59:59")), full.at(np.datetime64("2024-01-06"))
    assert (before.expired, at.expired) == (False, True)
    assert at.age == 4 * DAY
    assert not schedule().at(np.datetime64("2099-01-01")).expired


def test_a_moment_may_come_with_a_timezone() -> None:
    new_york = pd.Timestamp("2024-01-02 19:00", tz="America/New_York")  # midnight UTC
    assert grown_up().at(new_york).origin == np.datetime64("2024-01-02")


def test_a_hole_in_the_row_in_force_is_not_filled_from_the_row_before() -> None:
    rate = schedule().initial_margin_rate.copy()
    rate[1, 0] = np.nan
    found = replace(schedule(), initial_margin_rate=rate).at(np.datetime64("2024-01-02"))
    assert np.isnan(found.initial_margin_rate[0]).all()
    assert list(found.status[0]) == [MarginStatus.WARMING_UP.value] * 2


@pytest.mark.parametrize("time", ["2024-01-01", "NaT"])
def test_nothing_is_in_force_before_the_first_effective_time(time: str) -> None:
    with pytest.raises(InputError, match=r"in force from 2024-01-02T00:00:00.0+ on, asked for"):
        grown_up().at(np.datetime64(time))


def test_an_empty_schedule_has_nothing_in_force() -> None:
    empty = replace(
        schedule(),
        origin=np.zeros(0, dtype="datetime64[ns]"),
        initial_margin_rate=np.zeros((0, 2, 2)),
        present=np.zeros((0, 2), dtype=bool),
    )
    with pytest.raises(InputError, match="in force from never on"):
        empty.at(np.datetime64("2024-01-01"))


def test_origins_out_of_order_are_refused_once_somebody_asks_what_is_in_force() -> None:
    turned = replace(schedule(), origin=schedule().origin[::-1])
    with pytest.raises(InputError, match="origins must rise"):
        turned.at(np.datetime64("2024-01-02"))


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.01, np.inf, np.nan])
def test_maintenance_is_positive_and_not_above_initial_margin(factor: float) -> None:
    rate = schedule().initial_margin_rate
    with pytest.raises(InputError, match="must be positive and not above the initial one"):
        replace(schedule(), maintenance_margin_rate=rate * factor)


def test_maintenance_without_initial_margin_is_refused() -> None:
    maintenance = np.nan_to_num(schedule().initial_margin_rate, nan=0.1)
    with pytest.raises(
        InputError, match=r"NaN where that is NaN; found 2 that are not, first 0\.1"
    ):
        replace(schedule(), maintenance_margin_rate=maintenance)


@pytest.mark.parametrize("off", [1e-8, -1e-8, np.nan])
def test_components_that_do_not_add_up_are_refused(off: float) -> None:
    rate = schedule().initial_margin_rate
    with pytest.raises(InputError, match=r"\['a', 'b'\] must add up to the margin within 1e-09"):
        replace(schedule(), initial_components={"a": rate / 2, "b": rate * (0.5 + off)})


def test_components_may_carry_the_rounding_of_a_float_sum() -> None:
    rate = schedule().initial_margin_rate
    parts = {str(k): rate / 3 for k in range(3)}
    found = replace(schedule(), initial_components=parts).initial_components
    assert found is not None
    assert list(found) == ["0", "1", "2"]


@pytest.mark.parametrize("parts", [{}, {"tail": np.ones((2, 2, 2))}])
def test_components_need_a_margin_and_a_margin_needs_components(parts: Any) -> None:
    changes: Any = {"maintenance_components" if parts else "initial_components": parts}
    with pytest.raises(InputError, match="must be the named parts of a"):
        replace(schedule(), **changes)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("maintenance_margin_rate", np.ones((2, 2)), r"must have shape \(2, 2, 2\), was \(2, 2\)"),
        ("initial_components", {"a": np.ones(2)}, r"component 'a' must have shape"),
        ("effective", np.zeros(3, dtype="M8[ns]"), r"effective must have shape \(2,\)"),
        ("regime", np.full(2, "calm"), r"regime must have shape \(2, 2\), was \(2,\)"),
    ],
)
def test_optional_fields_have_the_shape_of_the_schedule(field, value, match) -> None:
    with pytest.raises(ShapeError, match=match):
        replace(schedule(), **{field: value})


@pytest.mark.parametrize(
    ("field", "times", "match"),
    [
        ("effective", ["2023-12-31", "2024-01-02"], "effective must not be before its origin"),
        ("effective", ["2024-01-09", "2024-01-08"], "nor earlier than the one before"),
        ("effective", ["2024-01-01", "NaT"], "effective must be a time for every origin"),
        ("expiry", ["2024-01-01", "2024-01-09"], "expiry must be after effective"),
        ("expiry", ["NaT", "2024-01-09"], "expiry must be a time for every origin"),
    ],
)
def test_times_that_cannot_be_are_refused(field: str, times: list[str], match: str) -> None:
    changes: Any = {field: np.array(times, dtype="datetime64[ns]")}
    with pytest.raises(InputError, match=match):
        replace(schedule(), **changes)


def test_a_regime_has_one_of_the_known_names() -> None:
    with pytest.raises(InputError, match=r"regime must be of .*, found \['panic'\]"):
        replace(schedule(), regime=np.array([["calm", "panic"], ["calm", "calm"]]))
    assert set(grown_up().frame().regime) <= {value.value for value in Regime}


def test_what_a_schedule_was_given_stays_the_callers_and_what_it_holds_is_read_only() -> None:
    maintenance = schedule().initial_margin_rate / 2
    held = replace(schedule(), maintenance_margin_rate=maintenance).maintenance_margin_rate
    maintenance[0, 0, 0] = 9.0
    assert held is not None
    assert held[0, 0, 0] == 0.05
    with pytest.raises(ValueError, match="read-only"):
        held[0, 0, 0] = 1.0


@given(rate=st.floats(0.0, 100.0))
def test_basis_points_are_the_fewest_that_are_not_below_the_rate(rate: float) -> None:
    whole = to_basis_points(np.array([rate]))
    assert from_basis_points(whole)[0] >= rate
    assert rate == 0.0 or from_basis_points(whole - 1)[0] < rate
    # Read as the decimal that a person would write for this float.
    written = Decimal(repr(rate)) * 10_000
    assert whole[0] == int(written.to_integral_value(rounding="ROUND_CEILING"))


@given(whole=st.integers(0, 10**9))
def test_whole_basis_points_come_back_unchanged(whole: int) -> None:
    assert to_basis_points(from_basis_points(np.array([whole])))[0] == whole


def test_seven_percent_is_700_basis_points_although_its_float_times_10000_is_more() -> None:
    assert 0.07 * 10_000 > 700
    assert to_basis_points(np.array([0.07, np.nextafter(0.07, 1.0)])).tolist() == [700, 701]


@pytest.mark.parametrize("rate", [-1e-9, np.nan, np.inf, 1e7])
def test_what_is_no_rate_has_no_basis_points(rate: float) -> None:
    with pytest.raises(InputError, match="must be finite, at least 0 and at most 1e6, found"):
        to_basis_points(np.array([0.1, rate]))
