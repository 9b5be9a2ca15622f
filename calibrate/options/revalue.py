r"""Profit and loss of a book on a grid: by full revaluation, and by its Greeks.

The approximation is the second-order one of each position,

.. math:: \Delta V \approx \Delta\,dF + \tfrac12\Gamma\,dF^2 + \mathcal V\,d\sigma + \Theta\,dt,

with the moves of the same grid. It is wrong where margin is decided, at large moves and close to
expiry; :class:`Approximation` puts it beside the full revaluation so that this is seen.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from .black import black76
from .book import Book, Marks, unit_values
from .grid import ScenarioGrid

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScenarioPnl:
    """Profit and loss of every position at every node; read-only.

    Attributes
    ----------
    grid : ScenarioGrid
        The m nodes.
    book : Book
        The n positions.
    pnl : ndarray, shape (m, n)
        Currency, positive is a profit; the weight of the node is in it.
    """

    grid: ScenarioGrid
    book: Book
    pnl: Array

    def __post_init__(self) -> None:
        self.pnl.setflags(write=False)

    def by_underlying(self) -> Array:
        """Return the sum over positions of each underlying, shape (m, n_underlyings)."""
        return sum_by(self.pnl, self.book.groups())

    def total(self) -> Array:
        """Return the sum over all positions, every underlying at the same node, shape (m,)."""
        return np.asarray(self.pnl.sum(axis=1))

    def loss(self) -> float:
        """Return the worst loss of each underlying, added; not negative, currency."""
        if not len(self.book):
            return 0.0
        return float(np.maximum(-self.by_underlying().min(axis=0), 0.0).sum())

    def worst(self) -> NDArray[np.intp]:
        """Return the worst node of each underlying, in order of name, shape (n_underlyings,)."""
        return np.asarray(self.by_underlying().argmin(axis=0))

    def frame(self) -> pd.DataFrame:
        """Return one row per node with the profit or loss of each underlying."""
        names = sorted(set(self.book.underlying))
        return self.grid.frame().join(pd.DataFrame(self.by_underlying(), columns=names))


def sum_by(values: Array, group: NDArray[np.intp]) -> Array:
    """Sum the last axis by group, shape (..., n_groups): the groups that occur, in order."""
    if not len(group):
        return np.zeros((*values.shape[:-1], 0))
    order = np.argsort(group, kind="stable")
    start = np.unique(group[order], return_index=True)[1]
    return np.asarray(np.add.reduceat(values[..., order], start, axis=-1))


def scenario_pnl(book: Book, marks: Marks, grid: ScenarioGrid) -> ScenarioPnl:
    """Value every position again at every node.

    Spot and forward move by the same fraction, so that the basis stays a fixed share of the spot.

    Raises
    ------
    InputError
        If a mark is missing or out of range.
    ShapeError
        If book and marks differ in length.
    """
    now = unit_values(book, marks)
    then = unit_values(
        book,
        marks,
        forward=marks.forward * (1.0 + grid.spot_move[:, None]),
        sigma_ann=scenario_sigma(book, marks, grid),
        elapsed=grid.elapsed[:, None],
    )
    return ScenarioPnl(
        grid=grid, book=book, pnl=grid.weight[:, None] * book.quantity * (then - now)
    )


def scenario_sigma(book: Book, marks: Marks, grid: ScenarioGrid) -> Array:
    """Return the volatility of each position at each node, shape (m, n); 0 if it is no option."""
    option = book.option
    sigma = np.where(option, marks.sigma_ann, 0.0)
    return grid.sigma_ann(sigma, np.where(option, book.expiry, 1.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Approximation:
    """Profit and loss by Greeks beside that by full revaluation; read-only.

    Attributes
    ----------
    full : ScenarioPnl
        By full revaluation.
    approximate : ScenarioPnl
        By delta, gamma, vega and theta, same nodes and positions.
    """

    full: ScenarioPnl
    approximate: ScenarioPnl

    def error(self) -> Array:
        """Return approximate minus full of the whole book at each node, shape (m,), currency."""
        return np.asarray(self.approximate.total() - self.full.total())

    def missing(self) -> float:
        """Return how much margin the approximation would lack, currency; negative if too much."""
        return self.full.loss() - self.approximate.loss()

    def frame(self) -> pd.DataFrame:
        """Return one row per node: both results and the error."""
        return self.full.grid.frame().assign(
            full=self.full.total(), approximate=self.approximate.total(), error=self.error()
        )


def book_greeks(book: Book, marks: Marks) -> dict[str, Array]:
    """Return delta, gamma, vega and theta of each position times its quantity, shape (n,) each.

    Delta and gamma are with respect to the position's own forward. Units as in :mod:`.black`.
    """
    marks.check(book)
    option = book.option
    greeks = black76(
        marks.forward[option],
        book.strike[option],
        expiry=book.expiry[option],
        sigma_ann=marks.sigma_ann[option],
        call=book.call[option],
        rate=marks.rate[option],
    )
    out = {"delta": book.quantity.copy()}
    out["delta"][option] *= greeks.delta
    for name in ("gamma", "vega", "theta"):
        out[name] = np.zeros(len(book))
        unit = getattr(greeks, name)
        # Infinity times a position of nothing is nothing.
        held = book.quantity[option] != 0.0
        out[name][option] = np.where(held, book.quantity[option] * np.where(held, unit, 0.0), 0.0)
    return out


def approximate_pnl(book: Book, marks: Marks, grid: ScenarioGrid) -> Approximation:
    """Return the profit and loss by Greeks beside that by full revaluation.

    Raises
    ------
    InputError
        If an option stands exactly at the money with no volatility left: its gamma is infinite.
    """
    greeks = book_greeks(book, marks)
    for name in ("gamma", "theta"):
        if not np.all(np.isfinite(greeks[name])):
            raise InputError(
                f"{name} is infinite at the money at expiry, found "
                f"{np.count_nonzero(~np.isfinite(greeks[name]))} such options; use scenario_pnl"
            )
    move = marks.forward * grid.spot_move[:, None]
    sigma = np.where(book.option, marks.sigma_ann, 0.0)
    passed = np.minimum(grid.elapsed[:, None], np.where(book.option, book.expiry, np.inf))
    pnl = (
        greeks["delta"] * move
        + 0.5 * greeks["gamma"] * move**2
        + greeks["vega"] * (scenario_sigma(book, marks, grid) - sigma)
        + greeks["theta"] * passed
    )
    return Approximation(
        full=scenario_pnl(book, marks, grid),
        approximate=ScenarioPnl(grid=grid, book=book, pnl=grid.weight[:, None] * pnl),
    )
