"""The forecast itself: what it refuses, how blocks join, and its table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError, ShapeError
from foremargin.models import TAIL_PROBABILITIES, Forecast, join_forecasts


def forecast(n: int = 3, *, start: str = "2024-01-01", tails: bool = False) -> Forecast:
    shape = (n, 2, 2)
    variance = 1e-4 * (1.0 + np.arange(n * 4, dtype=float).reshape(shape))
    tail = np.sqrt(variance)[..., None] * np.array([2.3, 2.0, 1.6])
    return Forecast(
        model="m",
        origin=np.datetime64(start, "ns") + np.arange(n) * np.timedelta64(1, "D"),
        instruments=("A", "B"),
        horizons=(1, 5),
        variance=variance,
        value_at_risk_lower=tail if tails else None,
        expected_shortfall_lower=1.2 * tail if tails else None,
    )


def test_sigma_is_the_root_of_the_variance() -> None:
    made = forecast()
    np.testing.assert_allclose(made.sigma_horizon() ** 2, made.variance)


@pytest.mark.parametrize("value", [0.0, -1e-4, np.inf])
def test_a_variance_that_is_not_positive_and_finite_is_refused(value: float) -> None:
    variance = forecast().variance.copy()
    variance[1, 0, 0] = value
    with pytest.raises(InputError, match="m: variance must be positive and finite, or NaN"):
        replace(forecast(), variance=variance)


def test_an_array_of_the_wrong_shape_is_refused() -> None:
    made = forecast()
    with pytest.raises(ShapeError, match=r"variance must have shape \(3, 2, 2\), was \(3, 2\)"):
        replace(made, variance=made.variance[..., 0])
    with pytest.raises(ShapeError, match=r"value_at_risk_upper must have shape \(3, 2, 2, 3\)"):
        replace(made, value_at_risk_upper=made.variance)


def test_the_arrays_of_a_forecast_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        forecast().variance[0, 0, 0] = 1.0


def test_the_table_holds_each_value_in_the_row_of_its_origin_instrument_and_horizon() -> None:
    made = forecast(tails=True)
    assert made.value_at_risk_lower is not None
    table = made.frame()
    assert len(table) == 12
    row = table.iloc[7]  # origin 1 of 3, instrument 1 of 2, horizon 1 of 2, counted from zero
    assert row["origin"] == pd.Timestamp("2024-01-02", tz="UTC")
    assert (row["instrument"], row["horizon"]) == ("B", 5)
    assert row["model"] == "m"
    assert row["variance"] == made.variance[1, 1, 1]
    for k, tail in enumerate(TAIL_PROBABILITIES):
        assert row[f"var_lower_{tail:g}"] == made.value_at_risk_lower[1, 1, 1, k]
        assert np.isnan(row[f"var_upper_{tail:g}"])
    assert np.isnan(row["stress_probability"])


def test_joined_blocks_hold_every_origin_once_and_nan_where_a_block_has_no_tails() -> None:
    first, second = forecast(3), forecast(2, start="2024-01-04", tails=True)
    for parts in ([first, second], [replace(second, origin=first.origin[:2]), first]):
        joined = join_forecasts(parts)
        np.testing.assert_array_equal(joined.origin, np.concatenate([p.origin for p in parts]))
        np.testing.assert_array_equal(joined.variance, np.concatenate([p.variance for p in parts]))
        assert joined.value_at_risk_lower is not None
        known = np.isfinite(joined.value_at_risk_lower).all(axis=(1, 2, 3))
        has_tails = [p.value_at_risk_lower is not None for p in parts for _ in p.origin]
        np.testing.assert_array_equal(known, has_tails)
        assert joined.value_at_risk_upper is None
