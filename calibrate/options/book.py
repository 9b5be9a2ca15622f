"""What an account holds and at what marks: futures, perpetuals, spot and European options.

Contracts are settled in the currency of the price (linear). For those that pay in the coin itself
the same book is read in another way: see :mod:`.inverse`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .black import undiscounted_value
from .checks import finite, not_negative, positive, read_only

Array = NDArray[np.float64]


class Kind(IntEnum):
    """What a position is."""

    CALL = 1
    PUT = 2
    FUTURE = 3
    PERP = 4
    SPOT = 5
    """The underlying itself, held outright."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Book:
    """Positions of one account; read-only arrays of one length, which may be zero.

    Attributes
    ----------
    kind : ndarray of int8, shape (n,)
        Values of :class:`Kind`.
    strike : ndarray, shape (n,)
        Currency; positive for options, NaN for the others.
    expiry : ndarray, shape (n,)
        Years, not negative; NaN for perpetuals and spot. Two positions expire together if the
        numbers are equal.
    quantity : ndarray, shape (n,)
        Units of the underlying, contracts times multiplier; positive is bought.
    underlying : tuple of str, length n
        Losses in different underlyings are added, never offset.
    """

    kind: NDArray[np.int8]
    strike: Array
    expiry: Array
    quantity: Array
    underlying: tuple[str, ...]

    def __post_init__(self) -> None:
        kind = np.array(self.kind, dtype=np.int8)
        kind.setflags(write=False)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "underlying", tuple(self.underlying))
        for name in ("strike", "expiry", "quantity"):
            object.__setattr__(self, name, read_only(getattr(self, name)))
        self._check()

    def _check(self) -> None:
        shape = self.kind.shape
        lengths = {self.strike.shape, self.expiry.shape, self.quantity.shape}
        if len(shape) != 1 or lengths != {shape} or len(self.underlying) != shape[0]:
            raise ShapeError(
                "kind, strike, expiry, quantity and underlying must be equally long vectors, were "
                f"{shape}, {self.strike.shape}, {self.expiry.shape}, {self.quantity.shape} and "
                f"{len(self.underlying)}"
            )
        unknown = np.setdiff1d(self.kind, [kind.value for kind in Kind])
        if len(unknown):
            raise InputError(f"kind must be a value of Kind, found {unknown.tolist()}")
        positive("strike of options", self.strike[self.option])
        not_negative("expiry of options and futures", self.expiry[self.kind < Kind.PERP])
        finite("quantity", self.quantity)

    @classmethod
    def of(
        cls,
        rows: Sequence[tuple[Kind, float, float, float]],
        *,
        underlying: str = "underlying",
    ) -> Self:
        """Return the book of (kind, strike, expiry, quantity) rows in one underlying."""
        columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
        return cls(
            kind=np.array(columns[0], dtype=np.int8),
            strike=np.array(columns[1], dtype=np.float64),
            expiry=np.array(columns[2], dtype=np.float64),
            quantity=np.array(columns[3], dtype=np.float64),
            underlying=(underlying,) * len(rows),
        )

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def option(self) -> NDArray[np.bool_]:
        """Whether each position is an option, shape (n,)."""
        return np.asarray(self.kind <= Kind.PUT)

    @property
    def call(self) -> NDArray[np.bool_]:
        """Whether each position is a call, shape (n,)."""
        return np.asarray(self.kind == Kind.CALL)

    def times(self, factor: float) -> "Book":
        """Return the book with every quantity multiplied."""
        return self.with_quantity(self.quantity * factor)

    def with_quantity(self, quantity: Array) -> "Book":
        """Return the same contracts in other quantities."""
        return Book(
            kind=self.kind,
            strike=self.strike,
            expiry=self.expiry,
            quantity=quantity,
            underlying=self.underlying,
        )

    def take(self, which: NDArray[np.bool_]) -> "Book":
        """Return the positions where `which` is true, shape (n,)."""
        return Book(
            kind=self.kind[which],
            strike=self.strike[which],
            expiry=self.expiry[which],
            quantity=self.quantity[which],
            underlying=tuple(self.underlying[i] for i in np.flatnonzero(which)),
        )

    def groups(self) -> NDArray[np.intp]:
        """Return the number of the underlying of each position, in order of name, shape (n,)."""
        return np.unique(np.array(self.underlying, dtype=str), return_inverse=True)[1]

    def expiry_groups(self, *, strikes: bool = False) -> NDArray[np.intp]:
        """Return one number per underlying and expiry (and strike), shape (n,).

        Perpetuals and spot are a group of their own.
        """
        columns = [self.groups().astype(np.float64), np.nan_to_num(self.expiry, nan=-1.0)]
        if strikes:
            columns.append(np.nan_to_num(self.strike, nan=-1.0))
        return np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].ravel()


@dataclass(frozen=True, kw_only=True, eq=False)
class Marks:
    """Where each position of a book is marked; read-only arrays of its length.

    Attributes
    ----------
    spot : ndarray, shape (n,)
        Index of the underlying, currency, positive.
    forward : ndarray, shape (n,)
        Forward of the position's expiry; the mark price of a future, perpetual or spot. Positive.
    sigma_ann : ndarray, shape (n,)
        Annualised implied volatility, decimal, not negative; not read for linear contracts.
    rate : ndarray, shape (n,)
        Continuously compounded, decimal per year; discounts the value of options.
    """

    spot: Array
    forward: Array
    sigma_ann: Array
    rate: Array

    def __post_init__(self) -> None:
        for name in ("spot", "forward", "sigma_ann", "rate"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    @classmethod
    def flat(
        cls,
        book: Book,
        *,
        spot: float,
        sigma_ann: float,
        forward: float | None = None,
        rate: float = 0.0,
    ) -> Self:
        """Return one spot, forward, volatility and rate for every position."""
        ones = np.ones(len(book))
        return cls(
            spot=spot * ones,
            forward=(spot if forward is None else forward) * ones,
            sigma_ann=sigma_ann * ones,
            rate=rate * ones,
        )

    def take(self, which: NDArray[np.bool_]) -> "Marks":
        """Return the marks of the positions where `which` is true, shape (n,)."""
        return Marks(
            spot=self.spot[which],
            forward=self.forward[which],
            sigma_ann=self.sigma_ann[which],
            rate=self.rate[which],
        )

    def check(self, book: Book) -> None:
        """Stop if the marks are not those of `book`, or a number in them is out of range."""
        for name in ("spot", "forward", "sigma_ann", "rate"):
            if getattr(self, name).shape != (len(book),):
                raise ShapeError(
                    f"{name} must have one number for each of {len(book)} positions, had shape "
                    f"{getattr(self, name).shape}"
                )
        positive("spot", self.spot)
        positive("forward", self.forward)
        not_negative("sigma_ann of options", self.sigma_ann[book.option])
        finite("rate", self.rate)


def unit_values(
    book: Book,
    marks: Marks,
    *,
    forward: Array | None = None,
    sigma_ann: Array | None = None,
    elapsed: float | Array = 0.0,
) -> Array:
    """Return the value of one unit of each position, of a linear contract its price.

    Parameters
    ----------
    book, marks : Book, Marks
        n positions.
    forward, sigma_ann : ndarray, broadcasting to (m, n), optional
        In place of those of the marks.
    elapsed : float or ndarray
        Years that have passed, same broadcasting; an option past its expiry is worth what it pays.

    Returns
    -------
    ndarray, shape (n,) or (m, n)
        Currency.
    """
    marks.check(book)
    at = marks.forward if forward is None else forward
    sigma = marks.sigma_ann if sigma_ann is None else sigma_ann
    at, sigma, passed = np.broadcast_arrays(at, sigma, elapsed)
    out = np.array(at, dtype=np.float64)
    option = book.option
    left = np.maximum(book.expiry[option] - passed[..., option], 0.0)
    shape = left.shape
    discounted = np.exp(-marks.rate[option] * left)
    out[..., option] = discounted * undiscounted_value(
        positive("forward in a scenario", at[..., option]),
        np.broadcast_to(book.strike[option], shape),
        not_negative("sigma_ann in a scenario", sigma[..., option]) * np.sqrt(left),
        np.broadcast_to(book.call[option], shape),
    )
    return out


def option_value(book: Book, marks: Marks) -> Array:
    """Return the marked value of each option position, zero for linear contracts, shape (n,)."""
    return np.asarray(np.where(book.option, book.quantity * unit_values(book, marks), 0.0))
