"""Accounts: positions of many accounts in slices of flat arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .kernels import Book


@dataclass(frozen=True, kw_only=True, eq=False)
class Accounts:
    """Positions of account a stand in ``offsets[a]:offsets[a + 1]``; read-only arrays.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n_accounts + 1,)
        From 0 to the number of positions, never falling; an account may be empty.
    instrument : ndarray of int32, shape (n_positions,)
        Row of the instrument in a :class:`ScenarioSet`; strictly rising within an account, so
        that an account holds an instrument once. :meth:`from_positions` sorts and nets.
    quantity : ndarray of float64, shape (n_positions,)
        Units held, positive if long, finite.
    """

    offsets: NDArray[np.int64]
    instrument: NDArray[np.int32]
    quantity: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, kind in (
            ("offsets", np.int64),
            ("instrument", np.int32),
            ("quantity", np.float64),
        ):
            object.__setattr__(self, name, _read_only(getattr(self, name), name, kind))
        _check_offsets(self.offsets, len(self.instrument), len(self.quantity))
        bad = ~np.isfinite(self.quantity)
        if bad.any():
            raise InputError(
                f"quantity must be finite, found {bad.sum()} NaN or infinite, the first at "
                f"position {int(bad.argmax())}; leave out positions that are not known to exist"
            )
        if len(self.instrument) and self.instrument.min() < 0:
            raise InputError(f"instrument must not be negative, found {self.instrument.min()}")
        starts = np.zeros(len(self.instrument) + 1, dtype=bool)
        starts[self.offsets] = True
        falls = (np.diff(self.instrument) <= 0) & ~starts[1:-1]
        if falls.any():
            raise InputError(
                "instrument must rise strictly within an account, does not at position "
                f"{int(falls.argmax()) + 1}; Accounts.from_positions sorts and nets"
            )

    @classmethod
    def from_positions(
        cls, account: ArrayLike, instrument: ArrayLike, quantity: ArrayLike, *, n_accounts: int
    ) -> "Accounts":
        """Sort positions in any order; quantities of one instrument in one account are summed.

        Parameters
        ----------
        account, instrument : array_like of int, shape (n_positions,)
            Number of the account, below `n_accounts`, and row of the instrument.
        quantity : array_like, shape (n_positions,)
            Units, positive if long.
        n_accounts : int
            Accounts, with those that hold nothing.

        Examples
        --------
        >>> book = Accounts.from_positions([1, 0, 1], [4, 2, 4], [3.0, 1.0, -2.0], n_accounts=2)
        >>> book.offsets.tolist(), book.instrument.tolist(), book.quantity.tolist()
        ([0, 1, 2], [2, 4], [1.0, 1.0])
        """
        owner = _whole(account, "account")
        row = _whole(instrument, "instrument")
        units = np.asarray(quantity, dtype=np.float64)
        if not owner.shape == row.shape == units.shape or owner.ndim != 1:
            raise ShapeError(
                "account, instrument and quantity must be one-dimensional and equally long, were "
                f"{owner.shape}, {row.shape} and {units.shape}"
            )
        if len(owner) and (owner.min() < 0 or owner.max() >= n_accounts or row.min() < 0):
            raise InputError(
                f"account must be in [0, {n_accounts}) and instrument not negative, were from "
                f"{owner.min()} to {owner.max()} and from {row.min()}"
            )
        width = int(row.max(initial=0)) + 1
        key = owner * width + row
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.r_[True, np.diff(key) != 0]) if len(key) else key
        kept = key[first]
        return cls(
            offsets=np.searchsorted(kept, np.arange(n_accounts + 1) * width),
            instrument=(kept % width).astype(np.int32),
            quantity=np.add.reduceat(units[order], first) if len(first) else units,
        )

    @property
    def n_accounts(self) -> int:
        """Number of accounts."""
        return len(self.offsets) - 1

    @property
    def n_positions(self) -> int:
        """Number of positions of all accounts."""
        return len(self.instrument)

    def book(self) -> Book:
        """Return the arrays for the kernels."""
        return Book(self.offsets, self.instrument, self.quantity)

    def owner(self) -> NDArray[np.int64]:
        """Return the account of every position, shape (n_positions,)."""
        return np.repeat(np.arange(self.n_accounts), np.diff(self.offsets))

    def split(self, group: ArrayLike) -> tuple["Accounts", NDArray[np.int64], NDArray[np.int64]]:
        """Make an account of every account's positions in one group, as if it stood alone.

        Parameters
        ----------
        group : array_like of int, shape (n_instruments,)
            Group of each instrument, for example its underlying.

        Returns
        -------
        parts : Accounts
            The parts that hold anything, by account and then by group.
        account, group : ndarray of int64, shape (n_parts,)
            Whose part it is, and of which group.
        """
        groups = _whole(group, "group")
        if groups.ndim != 1 or (self.n_positions and self.instrument.max() >= len(groups)):
            raise ShapeError(
                "group must name the group of every instrument held, had shape "
                f"{groups.shape} for instruments up to {self.instrument.max(initial=0)}"
            )
        names, number = np.unique(groups, return_inverse=True)
        width = max(len(names), 1)
        key = self.owner() * width + number[self.instrument]
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.r_[True, np.diff(key) != 0]) if len(key) else key
        parts = Accounts(
            offsets=np.r_[first, len(key)],
            instrument=self.instrument[order],
            quantity=self.quantity[order],
        )
        owner, inverse = np.divmod(key[first], width)
        return parts, owner, names[inverse] if len(names) else inverse

    def together(self, other: "Accounts") -> "Accounts":
        """Add the positions of another's accounts to the accounts of the same number."""
        if other.n_accounts != self.n_accounts:
            raise ShapeError(
                f"both must have the same accounts, had {self.n_accounts} and {other.n_accounts}"
            )
        return Accounts.from_positions(
            np.r_[self.owner(), other.owner()],
            np.r_[self.instrument, other.instrument],
            np.r_[self.quantity, other.quantity],
            n_accounts=self.n_accounts,
        )


def sums_by_account(
    values: NDArray[np.float64], owner: NDArray[np.int64], *, n_accounts: int
) -> NDArray[np.float64]:
    """Sum values by the account they belong to, shape (n_accounts,)."""
    return np.bincount(owner, weights=values, minlength=n_accounts).astype(np.float64)


def _whole(values: ArrayLike, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name} must hold whole numbers, had {array.dtype}; number them first")
    return array.astype(np.int64)


def _read_only(values: ArrayLike, name: str, kind: type) -> NDArray[Any]:
    if np.issubdtype(kind, np.integer):
        whole = _whole(values, name)
        limit = np.iinfo(kind)
        if whole.size and (whole.min() < limit.min or whole.max() > limit.max):
            raise InputError(f"{name} must fit into {kind.__name__}, went up to {whole.max()}")
        array: NDArray[Any] = whole.astype(kind)
    else:
        array = np.array(values, dtype=kind)
    if array.ndim != 1:
        raise ShapeError(f"{name} must be one-dimensional, was {array.shape}")
    array.setflags(write=False)
    return array


def _check_offsets(offsets: NDArray[np.int64], n_instruments: int, n_quantities: int) -> None:
    if n_instruments != n_quantities:
        raise ShapeError(
            f"instrument and quantity must be equally long, were {n_instruments} and {n_quantities}"
        )
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != n_instruments:
        raise ShapeError(
            f"offsets must run from 0 to {n_instruments}, the number of positions; found "
            f"{offsets[:1].tolist()} and {offsets[-1:].tolist()}"
        )
    if np.any(np.diff(offsets) < 0):
        raise InputError("offsets must never fall; sort the positions by account")
