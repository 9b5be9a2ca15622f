"""Schedules and the way from log returns to fractions of notional."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.calibrate import SIDES, Generation, MarginSchedule, MarginStatus, SideSeries
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
