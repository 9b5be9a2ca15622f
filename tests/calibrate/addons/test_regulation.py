"""Regulatory minima: the rows, their days, and which one bound."""

import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foremargin.calibrate.addons import (
    MINIMA,
    ModelMinimum,
    RateMinimum,
    apply_minimum,
    minima_frame,
    rows_for,
)
from foremargin.errors import InputError, ShapeError

moderate = settings(max_examples=50, deadline=None)

TODAY = datetime.date(2025, 6, 30)


def normal_loss(row: ModelMinimum) -> np.ndarray:
    """Loss of two normal instruments with 1 % and 3 % daily volatility."""
    worst = stats.norm.ppf(row.confidence_level) * np.sqrt(row.liquidation_days)
    return np.asarray(worst * np.array([0.01, 0.03]))


@pytest.mark.parametrize(
    ("jurisdiction", "client", "product", "on", "rate"),
    [
        ("eu", "retail", "crypto", datetime.date(2018, 8, 1), 1 / 2),
        ("germany", "retail", "crypto", TODAY, 1 / 2),
        ("uk", "retail", "major-fx", TODAY, 1 / 30),
        ("uk", "retail", "gold", TODAY, 1 / 20),
        ("uk", "retail", "crypto", datetime.date(2021, 1, 5), 1 / 2),
        ("au", "retail", "minor-index", TODAY, 1 / 10),
        ("au", "retail", "equity", TODAY, 1 / 5),
        ("us", "retail", "major-fx", TODAY, 0.02),
        ("us", "retail", "minor-fx", TODAY, 0.05),
    ],
)
def test_retail_margins_are_those_of_the_rule(jurisdiction, client, product, on, rate) -> None:
    (row,) = rows_for(jurisdiction=jurisdiction, client=client, product=product, on=on)
    assert isinstance(row, RateMinimum)
    assert row.margin_rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("jurisdiction", "client", "product", "standard"),
    [
        ("eu", "cleared", "otc-derivative", (0.995, 5, 12)),
        ("eu", "cleared", "listed-derivative", (0.99, 2, 12)),
        ("eu", "cleared-gross", "listed-derivative", (0.99, 1, 12)),
        ("us", "cleared", "listed-derivative", (0.99, 1, None)),
        ("us", "cleared", "otc-derivative", (0.99, 5, None)),
        ("international", "bilateral", "otc-derivative", (0.99, 10, None)),
    ],
)
def test_model_standards_are_those_of_the_rule(jurisdiction, client, product, standard) -> None:
    (row,) = rows_for(jurisdiction=jurisdiction, client=client, product=product, on=TODAY)
    assert isinstance(row, ModelMinimum)
    assert (row.confidence_level, row.liquidation_days, row.look_back_months) == standard


@pytest.mark.parametrize(
    ("jurisdiction", "product", "on"),
    [
        ("eu", "crypto", datetime.date(2018, 7, 31)),
        ("eu", "crypto", datetime.date(2019, 8, 1)),
        ("uk", "crypto", datetime.date(2021, 1, 6)),
        ("us", "crypto", TODAY),
    ],
)
def test_no_row_is_not_a_minimum_of_zero(jurisdiction, product, on) -> None:
    with pytest.raises(InputError, match=r"the table has no minimum for .*; add a row"):
        rows_for(jurisdiction=jurisdiction, client="retail", product=product, on=on)


def test_the_row_that_bound_is_named() -> None:
    rows = rows_for(jurisdiction="uk", client="retail", product="equity", on=TODAY)
    applied = apply_minimum([0.1, 0.2, 0.3], rows)
    np.testing.assert_array_equal(applied.margin_rate, [0.2, 0.2, 0.3])
    assert applied.bound_by.tolist() == ["uk-retail-5-to-1", "", ""]
    assert applied.frame()["floor"].tolist() == [0.2, 0.2, 0.2]


def test_a_model_row_bounds_by_its_own_standard() -> None:
    rows = rows_for(jurisdiction="eu", client="cleared", product="otc-derivative", on=TODAY)
    applied = apply_minimum([0.1, 0.1], rows, loss_quantile=normal_loss)
    # 2.5758 sigma sqrt(5) at 99.5 %
    np.testing.assert_allclose(applied.floor, [0.0575973, 0.1727919], atol=1e-7)
    assert applied.bound_by.tolist() == ["", "emir-otc"]


@moderate
@given(margin=st.lists(st.floats(0.0, 3.0), max_size=4), keep=st.lists(st.sampled_from(MINIMA)))
def test_minima_never_lower_and_the_largest_counts(margin, keep) -> None:
    applied = apply_minimum(margin, keep, loss_quantile=lambda row: 0.1 * row.liquidation_days)
    least = [
        r.margin_rate if isinstance(r, RateMinimum) else 0.1 * r.liquidation_days for r in keep
    ]
    np.testing.assert_array_equal(applied.margin_rate, np.maximum(margin, max(least, default=0.0)))
    np.testing.assert_array_equal(applied.bound_by != "", applied.margin_rate > np.array(margin))


def test_every_row_has_a_name_of_its_own_a_source_and_a_day() -> None:
    table = minima_frame()
    assert table["name"].is_unique
    assert len(table) == len(MINIMA) == 28
    assert table["source"].str.len().min() > 8
    assert table["since"].min() >= datetime.date(2010, 1, 1)
    rates = table["margin_rate"].notna()
    assert (rates ^ table["confidence_level"].notna()).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda row: apply_minimum(0.1, [row]), "emir-listed asks for the 99.0% loss over 2 days"),
        (lambda row: apply_minimum(np.nan, [row]), "margin_rate must be finite"),
        (
            lambda row: apply_minimum(0.1, [row], loss_quantile=lambda _: np.nan),
            "emir-listed: loss_quantile must be finite",
        ),
    ],
)
def test_what_gives_no_floor_is_refused(call, message: str) -> None:
    (row,) = rows_for(jurisdiction="eu", client="cleared", product="listed-derivative", on=TODAY)
    with pytest.raises(InputError, match=message):
        call(row)
    with pytest.raises(ShapeError, match="must broadcast to the margins"):
        apply_minimum([0.1, 0.2], [row], loss_quantile=lambda _: np.zeros(3))


def test_rows_that_make_no_minimum_are_refused() -> None:
    (row,) = rows_for(jurisdiction="us", client="retail", product="major-fx", on=TODAY)
    shared: dict[str, Any] = {
        "name": "x",
        "jurisdiction": row.jurisdiction,
        "clients": row.clients,
        "products": row.products,
        "source": "x",
        "since": TODAY,
    }
    with pytest.raises(InputError, match=r"x: margin_rate must be in \(0, 1\]"):
        RateMinimum(**shared, margin_rate=2.0)
    with pytest.raises(InputError, match="confidence_level must be in"):
        ModelMinimum(**shared, confidence_level=0.01, liquidation_days=1)
