"""Small states, updates and accounts; test files cannot import each other."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from foremargin.calibrate import SIDES
from foremargin.calibrate.updates import Accounts, Kind, Parameter, ParameterState, ParameterUpdate

NOW = 1_000_000
Values = dict[Parameter, int]


def _margins(initial: int = 1_000, maintenance: int = 500, *, name: str = "A") -> Values:
    """Both margins of one instrument on both sides, basis points."""
    kinds = {Kind.INITIAL_MARGIN: initial, Kind.MAINTENANCE_MARGIN: maintenance}
    return {Parameter(name, kind, side): v for kind, v in kinds.items() for side in SIDES}


def _state(values: Values | None = None, **changes: Any) -> ParameterState:
    fields: dict[str, Any] = {"values": values or _margins(), "effective": NOW, "sequence": 4}
    return ParameterState(**{**fields, "changed_at": dict.fromkeys(fields["values"], 0), **changes})


def _update(values: Values, **changes: Any) -> ParameterUpdate:
    fields: dict[str, Any] = {
        "values": values,
        "sequence": 5,
        "previous_sequence": 4,
        "announced": NOW + 10,
        "effective": NOW + 100,
        "expiry": NOW + 200,
        "reason": "test",
    }
    return ParameterUpdate(**{**fields, **changes})


def _accounts(cash: ArrayLike, quantity: ArrayLike, names: Sequence[str] = ("A",)) -> Accounts:
    """One row of quantities per account, one column per instrument; zeros are no positions."""
    money = np.asarray(cash, dtype=float)
    rows = np.asarray(quantity, dtype=float).reshape(len(money), len(names))
    account, instrument = np.nonzero(rows)
    start = np.searchsorted(account, np.arange(len(money) + 1))
    return Accounts(
        instruments=tuple(names),
        cash=money,
        start=start,
        instrument=instrument,
        quantity=rows[account, instrument],
    )


def _near_margin(
    draw: Callable[..., Any], values: Values, prices: NDArray[np.float64], names: Sequence[str]
) -> Accounts:
    """Draw accounts near their maintenance margin: most a little above, some on or below it."""
    n = draw(st.integers(1, 5))
    size = st.integers(-20, 20)
    quantity = np.array(draw(st.lists(size, min_size=2 * n, max_size=2 * n))).reshape(n, 2)
    rate = {
        (name, side): values[Parameter(name, Kind.MAINTENANCE_MARGIN, side)] / 10_000
        for name in names
        for side in SIDES
    }
    long, short = (np.array([rate[name, side] for name in names]) for side in SIDES)
    value = quantity * prices
    needed = (np.abs(value) * np.where(quantity > 0, long, short)).sum(axis=1)
    spare = np.array([draw(st.integers(-2, 12)) for _ in range(n)]) / 100
    cash = needed - value.sum(axis=1) + spare * np.abs(value).sum(axis=1)
    return _accounts(cash, quantity, names)


@pytest.fixture(scope="session")
def near_margin() -> Callable[..., Accounts]:
    """Return a function that draws accounts of two instruments, for hypothesis."""
    return _near_margin


@pytest.fixture(scope="session")
def margins() -> Callable[..., Values]:
    """Return a function that names the margins of one instrument."""
    return _margins


@pytest.fixture(scope="session")
def state() -> Callable[..., ParameterState]:
    """Return a function that builds a state of sequence 4 at second 1,000,000."""
    return _state


@pytest.fixture(scope="session")
def update() -> Callable[..., ParameterUpdate]:
    """Return a function that builds the update that follows, in effect 100 s later."""
    return _update


@pytest.fixture(scope="session")
def accounts() -> Callable[..., Accounts]:
    """Return a function that builds accounts from a table of quantities."""
    return _accounts
