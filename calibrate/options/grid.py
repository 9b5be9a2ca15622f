r"""Scenario grids: moves of the spot against moves of implied volatility.

A node says how far the spot moves (a fraction), how far the volatility of an option of 30 days
moves (a fraction of itself), how much time passes, and which share of the loss counts. Volatilities
of other expiries move by a multiple of that,

.. math:: \sigma' = \sigma\,\max\bigl(0,\; 1 + m\,(30 / \max(T, floor))^{p}\bigr), \qquad
          p = 0.30 \text{ up to 30 days, } 0.13 \text{ beyond},

the form that Deribit and Derive publish: short-dated volatility moves more than long-dated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from .checks import finite, fraction, not_negative, positive, read_only, same_shape

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class VolShape:
    """How a move of 30-day volatility becomes that of another expiry.

    Attributes
    ----------
    short_power, long_power : float
        Exponents up to and beyond `reference_days`, not negative.
    floor_days : float
        Shorter expiries move as this one does, days, positive.
    reference_days : float
        Expiry whose volatility moves by the move itself, days.
    days_per_year : float
        Days in the year of an expiry.
    """

    short_power: float = 0.30
    long_power: float = 0.13
    floor_days: float = 1.0
    reference_days: float = 30.0
    days_per_year: float = 365.0

    def __post_init__(self) -> None:
        not_negative("short_power and long_power", [self.short_power, self.long_power])
        positive("days", [self.floor_days, self.reference_days, self.days_per_year])

    def scale(self, expiry: Array) -> Array:
        """Return the multiple of the 30-day move, shape of `expiry` (years)."""
        days = np.asarray(expiry) * self.days_per_year
        power = np.where(days <= self.reference_days, self.short_power, self.long_power)
        ratio = self.reference_days / np.maximum(days, self.floor_days)
        return np.asarray(ratio**power)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScenarioGrid:
    """Nodes at which a book is valued again; read-only arrays of shape (m,), m at least one.

    Attributes
    ----------
    spot_move : ndarray
        Fraction of spot and forward; above -1.
    vol_move : ndarray
        Fraction of the volatility of 30 days.
    weight : ndarray
        Share of the profit or loss that counts, in [0, 1].
    elapsed : ndarray
        Years that pass, not negative.
    shape : VolShape
        Moves of other expiries.
    """

    spot_move: Array
    vol_move: Array
    weight: Array
    elapsed: Array
    shape: VolShape = field(default_factory=VolShape)

    def __post_init__(self) -> None:
        for name in ("spot_move", "vol_move", "weight", "elapsed"):
            object.__setattr__(self, name, read_only(getattr(self, name)))
        if self.spot_move.ndim != 1 or not len(self.spot_move):
            raise InputError(
                f"a grid must have at least one node in one row, had shape {self.spot_move.shape}"
            )
        same_shape(
            self.spot_move.shape, vol_move=self.vol_move, weight=self.weight, elapsed=self.elapsed
        )
        if np.any(finite("spot_move", self.spot_move) <= -1.0):
            raise InputError(
                f"spot_move must be above -1, the lowest was {self.spot_move.min()}; write -0.15 "
                "for a fall of 15 %"
            )
        finite("vol_move", self.vol_move)
        fraction("weight", self.weight)
        not_negative("elapsed", self.elapsed)

    def __len__(self) -> int:
        return len(self.spot_move)

    def sigma_ann(self, sigma_ann: Array, expiry: Array) -> Array:
        """Return the volatilities at the nodes, shape (m, n); `sigma_ann`, `expiry` shape (n,)."""
        move = self.vol_move[:, None] * self.shape.scale(expiry)
        return np.asarray(sigma_ann * np.maximum(1.0 + move, 0.0))

    def frame(self) -> pd.DataFrame:
        """Return one row per node."""
        names = ("spot_move", "vol_move", "weight", "elapsed")
        return pd.DataFrame({name: getattr(self, name) for name in names})


def standard_grid(
    spot_moves: Sequence[float],
    *,
    vol_up: float,
    vol_down: float,
    tails: Sequence[tuple[float, float]] = (),
    shape: VolShape | None = None,
) -> ScenarioGrid:
    """Return every spot move with volatility up, unchanged and down, and tail nodes.

    Parameters
    ----------
    spot_moves : sequence of float
        Fractions, for example -0.16 to 0.16 in steps of 0.04.
    vol_up, vol_down : float
        Sizes of both moves, fractions of 30-day volatility, not negative.
    tails : sequence of (float, float)
        Extended moves and the share of their loss that counts, volatility up only; a call sold far
        out of the money has its loss here.
    shape : VolShape, optional
        Moves of other expiries.
    """
    not_negative("vol_up and vol_down", [vol_up, vol_down])
    nodes = [(s, v, 1.0) for s, v in product(spot_moves, (vol_up, 0.0, -vol_down))]
    nodes += [(move, vol_up, share) for move, share in tails]
    return grid_of(nodes, shape=shape)


def grid_of(
    nodes: Sequence[tuple[float, float, float]], *, shape: VolShape | None = None
) -> ScenarioGrid:
    """Return the grid of (spot move, volatility move, weight) rows at this moment."""
    columns = np.array(nodes, dtype=np.float64).reshape(-1, 3).T
    return ScenarioGrid(
        spot_move=columns[0],
        vol_move=columns[1],
        weight=columns[2],
        elapsed=np.zeros(columns.shape[1]),
        shape=VolShape() if shape is None else shape,
    )
