"""Add-ons only raise: the rule that joins them, by its laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.addons import Addon, Addons
from foremargin.errors import InputError, ShapeError

moderate = settings(max_examples=50, deadline=None)

rates = st.lists(st.floats(0.0, 2.0), min_size=3, max_size=3)
drawn = st.lists(st.tuples(st.sampled_from("abc"), rates), max_size=6)


def joined(parts: list[tuple[str, list[float]]]) -> Addons:
    return Addons(
        parts=tuple(
            Addon(name=f"{risk}{i}", risk=risk, rate=np.array(rate))
            for i, (risk, rate) in enumerate(parts)
        )
    )


def test_the_largest_of_a_risk_counts_and_risks_add_up() -> None:
    addons = joined([("a", [0.1, 0.0, 0.3]), ("a", [0.2, 0.0, 0.1]), ("b", [0.0, 0.5, 0.1])])
    np.testing.assert_allclose(addons.total, [0.2, 0.5, 0.4])
    np.testing.assert_allclose(addons.by_risk()["a"], [0.2, 0.0, 0.3])
    np.testing.assert_allclose(addons.raised([0.1, 0.1, 0.1]), [0.3, 0.6, 0.5])


@moderate
@given(parts=drawn, extra=st.tuples(st.sampled_from("abc"), rates))
def test_one_more_addon_never_lowers_the_total(parts, extra) -> None:
    fewer, more = joined(parts), joined([*parts, extra])
    assert np.all(more.total >= fewer.total)
    assert np.all(more.total >= np.array(extra[1]))


@moderate
@given(parts=drawn)
def test_the_total_lies_between_the_largest_part_and_their_sum(parts) -> None:
    total = np.broadcast_to(joined(parts).total, (3,))
    every = np.array([rate for _, rate in parts] or [[0.0] * 3])
    assert np.all(total >= every.max(axis=0))
    assert np.all(total <= every.sum(axis=0) + 1e-12)
    backwards = joined(parts[::-1]).total
    np.testing.assert_allclose(backwards, joined(parts).total, rtol=1e-14)


@moderate
@given(parts=drawn, base=rates)
def test_a_margin_is_never_lowered(parts, base) -> None:
    assert np.all(joined(parts).raised(base) >= np.array(base))


def test_no_addons_leave_margins_as_they_are() -> None:
    np.testing.assert_array_equal(Addons(parts=()).raised([0.1, 0.2]), [0.1, 0.2])


def test_an_unknown_margin_stays_unknown() -> None:
    raised = joined([("a", [0.1, 0.1, 0.1])]).raised([np.nan, 0.1, 0.0])
    np.testing.assert_allclose(raised, [np.nan, 0.2, 0.1])


def test_rates_broadcast_and_the_table_has_every_part() -> None:
    addons = Addons(
        parts=(
            Addon(name="one", risk="a", rate=np.array(0.1)),
            Addon(name="three", risk="b", rate=np.array([0.1, 0.2, 0.3])),
        )
    )
    table = addons.frame()
    assert list(table.columns) == ["one", "three", "total"]
    np.testing.assert_allclose(table["total"], [0.2, 0.3, 0.4])


@pytest.mark.parametrize("rate", [-1e-9, np.nan, np.inf])
def test_an_addon_that_lowers_or_is_not_known_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="add-on x must be finite and at least 0, found 1"):
        Addon(name="x", risk="a", rate=np.array([0.1, rate]))


def test_what_cannot_be_joined_is_refused() -> None:
    one = Addon(name="one", risk="a", rate=np.array([0.1, 0.2]))
    with pytest.raises(InputError, match=r"counts once, found \['one'\]"):
        Addons(parts=(one, one))
    with pytest.raises(ShapeError, match="must broadcast, were"):
        Addons(parts=(one, Addon(name="two", risk="a", rate=np.zeros(3))))
    with pytest.raises(ShapeError, match="must broadcast"):
        Addons(parts=(one,)).raised([0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="needs a name and a risk"):
        Addon(name="", risk="a", rate=np.zeros(1))
    with pytest.raises(InputError, match="margin_rate must be at least 0 and finite"):
        Addons(parts=(one,)).raised([-0.1, 0.1])


def test_rates_cannot_be_written_to_and_do_not_follow_their_source() -> None:
    source = np.array([0.1])
    addon = Addon(name="x", risk="a", rate=source)
    source[0] = 9.0
    assert addon.rate[0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        addon.rate[0] = 1.0
