"""Accounts as flat arrays, and how far each is from its margins under two sets of parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .parameters import Kind
from .state import ParameterState

Array = NDArray[np.float64]

SLACK = 1e-12
"""Rounding that a sum of up to some thousand positions may carry, per money that it adds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Accounts:
    """Accounts and their positions; the positions of account k are ``start[k]:start[k + 1]``.

    All money is in one settlement currency, the one that prices are in. An account's equity is its
    cash and the value of its positions, so the cash holds what they were bought for: a perpetual
    of 2 units opened at 100 with 30 posted has a cash of -170. A loan is negative cash.

    Attributes
    ----------
    instruments : tuple of str
        Names, none twice.
    cash : ndarray, shape (n_accounts,)
        Settlement currency; negative if owed.
    start : ndarray of int64, shape (n_accounts + 1,)
        First position of each account; from 0 to n_positions, never falling.
    instrument : ndarray of int64, shape (n_positions,)
        Index into `instruments`.
    quantity : ndarray, shape (n_positions,)
        Units held, negative if short.
    """

    instruments: tuple[str, ...]
    cash: NDArray[np.float64]
    start: NDArray[np.int64]
    instrument: NDArray[np.int64]
    quantity: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, dtype in (
            ("cash", np.float64),
            ("start", np.int64),
            ("instrument", np.int64),
            ("quantity", np.float64),
        ):
            given = np.asarray(getattr(self, name))
            array = given.astype(dtype)  # a copy, so that nobody else can write to it
            if array.ndim != 1 or not np.array_equal(array, given):
                raise InputError(f"{name} must be one-dimensional, {dtype.__name__}, without NaN")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        self._check()

    def _check(self) -> None:
        n = len(self.quantity)
        if len(self.start) != len(self.cash) + 1 or len(self.instrument) != n:
            raise ShapeError(
                f"start must be one longer than cash, and instrument as long as quantity; were "
                f"{len(self.start)}, {len(self.cash)}, {len(self.instrument)}, {n}"
            )
        if self.start[0] != 0 or self.start[-1] != n or np.any(np.diff(self.start) < 0):
            raise InputError(f"start must rise from 0 to {n}, the number of positions; does not")
        if len(set(self.instruments)) != len(self.instruments):
            raise InputError("instruments must be named once each, found one twice")
        if n and not (0 <= self.instrument.min() <= self.instrument.max() < len(self.instruments)):
            raise InputError(
                f"instrument must be from 0 to {len(self.instruments) - 1}, found "
                f"{self.instrument.min()} to {self.instrument.max()}"
            )
        if not (np.isfinite(self.cash).all() and np.isfinite(self.quantity).all()):
            raise InputError("cash and quantity must be finite, found some that are not")

    def __len__(self) -> int:
        return len(self.cash)

    def subset(self, chosen: NDArray[np.int64]) -> "Accounts":
        """Return some of the accounts, by their index, shape (n_chosen,)."""
        length = np.diff(self.start)[chosen]
        start = np.concatenate(([0], np.cumsum(length)))
        rows = np.repeat(self.start[chosen] - start[:-1], length) + np.arange(start[-1])
        return Accounts(
            instruments=self.instruments,
            cash=self.cash[chosen],
            start=start,
            instrument=self.instrument[rows],
            quantity=self.quantity[rows],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """What a state makes of market prices: the numbers that decide about accounts.

    Attributes
    ----------
    price : ndarray, shape (n_instruments,)
        Prices that count, settlement currency.
    initial, maintenance : ndarray, shape (n_instruments, 2)
        Fractions of notional, long and short.
    """

    price: NDArray[np.float64]
    initial: NDArray[np.float64]
    maintenance: NDArray[np.float64]


def terms_of(
    state: ParameterState, prices: NDArray[np.float64], instruments: Sequence[str], *, time: int
) -> Terms:
    """Return the terms of a state at a time; `prices` of the market, shape (n_instruments,)."""
    return Terms(
        price=state.capped_prices(prices, instruments, time=time),
        initial=state.margin_rates(Kind.INITIAL_MARGIN, instruments),
        maintenance=state.margin_rates(Kind.MAINTENANCE_MARGIN, instruments),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Headroom:
    """Every account before and after; all arrays have shape (n_accounts,), settlement currency.

    Attributes
    ----------
    before, after : ndarray
        Equity less maintenance margin; negative is liquidatable.
    call_before, call_after : ndarray
        Initial margin less equity where that is positive, else 0.
    notional : ndarray
        Sum of the absolute values of the positions, after.
    slack : ndarray
        Bound on the rounding of `before` and `after`.
    touched : ndarray of bool
        Whether the account holds anything whose price or maintenance margin differs.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    call_before: NDArray[np.float64]
    call_after: NDArray[np.float64]
    notional: NDArray[np.float64]
    slack: NDArray[np.float64]
    touched: NDArray[np.bool_]

    @property
    def liquidated(self) -> NDArray[np.bool_]:
        """Healthy before and liquidatable after; doubts within rounding count as liquidated."""
        return np.asarray(
            self.touched
            & (self.before >= -self.slack)
            & (self.after < self.slack)
            & (self.after < self.before + self.slack)
        )


def headroom(accounts: Accounts, before: Terms, after: Terms) -> Headroom:
    """Value every account under the terms before and after an update."""
    columns = _headroom(
        accounts.start,
        accounts.instrument,
        accounts.quantity,
        accounts.cash,
        _table(before),
        _table(after),
    )
    if not np.isfinite(columns).all():
        raise InputError("positions must have a finite value, found some beyond the float range")
    return Headroom(
        before=columns[0],
        after=columns[1],
        call_before=np.maximum(columns[2], 0.0),
        call_after=np.maximum(columns[3], 0.0),
        notional=columns[4],
        slack=SLACK * columns[5],
        touched=columns[6] > 0.0,
    )


def _table(terms: Terms) -> Array:
    """Price, initial and maintenance margin of each instrument and side, shape (n, 2, 3)."""
    price = np.broadcast_to(terms.price[:, None], terms.initial.shape)
    return np.stack([price, terms.initial, terms.maintenance], axis=-1)


@njit(cache=True)
def _headroom(
    start: NDArray[np.int64],
    instrument: NDArray[np.int64],
    quantity: Array,
    cash: Array,
    before: Array,
    after: Array,
) -> Array:
    n = len(cash)
    out = np.zeros((7, n))
    for k in range(n):
        equity_0 = equity_1 = cash[k]
        initial_0 = initial_1 = maintenance_0 = maintenance_1 = 0.0
        notional = added = 0.0
        touched = False
        for j in range(start[k], start[k + 1]):
            amount = quantity[j]
            if amount == 0.0:
                continue
            old = before[instrument[j], 0 if amount > 0.0 else 1]
            new = after[instrument[j], 0 if amount > 0.0 else 1]
            size_0, size_1 = abs(amount) * old[0], abs(amount) * new[0]
            equity_0 += amount * old[0]
            equity_1 += amount * new[0]
            initial_0 += size_0 * old[1]
            initial_1 += size_1 * new[1]
            maintenance_0 += size_0 * old[2]
            maintenance_1 += size_1 * new[2]
            notional += size_1
            added += size_0 * (1.0 + old[2]) + size_1 * (1.0 + new[2])
            touched |= old[0] != new[0] or old[2] != new[2]
        out[0, k] = equity_0 - maintenance_0
        out[1, k] = equity_1 - maintenance_1
        out[2, k] = initial_0 - equity_0
        out[3, k] = initial_1 - equity_1
        out[4, k] = notional
        out[5, k] = abs(cash[k]) + added
        out[6, k] = touched
    return out
