"""Accounts: sorted, netted, split and put together without losing a position."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.portfolio import Accounts
from foremargin.errors import InputError, ShapeError

positions = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(-9, 9)), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(held=positions)
def test_positions_in_any_order_are_netted(held: list[tuple[int, int, int]]) -> None:
    table = np.array(held, dtype=np.int64).reshape(-1, 3)
    accounts = Accounts.from_positions(table[:, 0], table[:, 1], table[:, 2], n_accounts=6)
    dense = np.zeros((6, 8))
    np.add.at(dense, (table[:, 0], table[:, 1]), table[:, 2])
    found = sp.csr_matrix(
        (accounts.quantity, accounts.instrument, accounts.offsets), shape=(6, 8)
    ).toarray()
    np.testing.assert_array_equal(found, dense)


@settings(max_examples=60, deadline=None)
@given(held=positions)
def test_splitting_keeps_every_position_and_knows_whose_it_is(
    held: list[tuple[int, int, int]],
) -> None:
    table = np.array(held, dtype=np.int64).reshape(-1, 3)
    accounts = Accounts.from_positions(table[:, 0], table[:, 1], table[:, 2], n_accounts=6)
    group = np.array([5, 5, 2, 9, 2, 9, 9, 0])
    parts, owner, part_group = accounts.split(group)
    assert (np.diff(parts.offsets) > 0).all()
    assert len(set(zip(owner.tolist(), part_group.tolist(), strict=True))) == parts.n_accounts
    np.testing.assert_array_equal(
        np.repeat(part_group, np.diff(parts.offsets)), group[parts.instrument]
    )
    back = Accounts.from_positions(
        owner[parts.owner()], parts.instrument, parts.quantity, n_accounts=6
    )
    np.testing.assert_array_equal(back.offsets, accounts.offsets)
    np.testing.assert_array_equal(back.instrument, accounts.instrument)
    np.testing.assert_array_equal(back.quantity, accounts.quantity)


def test_two_books_of_the_same_accounts_are_added() -> None:
    one = Accounts.from_positions([0, 1], [3, 1], [1.0, 2.0], n_accounts=2)
    other = Accounts.from_positions([0, 0], [3, 2], [-4.0, 5.0], n_accounts=2)
    both = one.together(other)
    assert both.offsets.tolist() == [0, 2, 3]
    assert both.instrument.tolist() == [2, 3, 1]
    assert both.quantity.tolist() == [5.0, -3.0, 2.0]
    with pytest.raises(ShapeError, match="same accounts, had 2 and 1"):
        one.together(Accounts.from_positions([], [], [], n_accounts=1))


def test_arrays_are_copies_that_cannot_be_written() -> None:
    quantity = np.array([1.0])
    accounts = Accounts(
        offsets=np.array([0, 1]), instrument=np.zeros(1, np.int32), quantity=quantity
    )
    quantity[0] = 7.0
    assert accounts.quantity.item() == 1.0
    with pytest.raises(ValueError, match="read-only"):
        accounts.quantity[0] = 2.0


@pytest.mark.parametrize(
    ("offsets", "instrument", "quantity", "message"),
    [
        ([0, 2], [0, 1], [1.0, np.nan], "quantity must be finite, found 1"),
        ([0, 2], [0, 1], [np.inf, 1.0], "the first at position 0"),
        ([0, 2], [1, 1], [1.0, 1.0], "rise strictly within an account, does not at position 1"),
        ([0, 2], [2, 1], [1.0, 1.0], "sorts and nets"),
        ([0, 1], [-1], [1.0], "instrument must not be negative"),
        ([0, 1], [2**40], [1.0], "instrument must fit into int32"),
        ([0, 1], [0.5], [1.0], "instrument must hold whole numbers"),
        ([0, 1], [0, 1], [1.0, 1.0], "offsets must run from 0 to 2"),
        ([1, 2], [0, 1], [1.0, 1.0], "offsets must run from 0 to 2"),
        ([0, 2, 1, 2], [0, 1], [1.0, 1.0], "offsets must never fall"),
        ([], [], [], "offsets must run from 0 to 0"),
        ([0, 2], [0, 1], [1.0], "equally long, were 2 and 1"),
        ([[0, 1]], [0], [1.0], "offsets must be one-dimensional"),
    ],
)
def test_accounts_that_make_no_sense_are_refused(
    offsets: Any, instrument: Any, quantity: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Accounts(offsets=offsets, instrument=instrument, quantity=quantity)


def test_positions_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match=r"account must be in \[0, 2\)"):
        Accounts.from_positions([2], [0], [1.0], n_accounts=2)
    with pytest.raises(InputError, match="quantity must be finite"):
        Accounts.from_positions([0, 0], [0, 0], [np.inf, -1.0], n_accounts=1)
    with pytest.raises(ShapeError, match="equally long"):
        Accounts.from_positions([0], [0, 1], [1.0], n_accounts=1)
    accounts = Accounts.from_positions([0], [3], [1.0], n_accounts=1)
    with pytest.raises(ShapeError, match="group of every instrument held"):
        accounts.split([0, 1])
