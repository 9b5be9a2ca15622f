"""The judged cells of a replay, flat: one loss and one margin per policy for each."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calibrate import SIDES
from ..errors import InputError
from .replay import Replay


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Cells of one period (validation or test) in which every policy has a margin.

    Attributes
    ----------
    policies : tuple of str
        Names, in the order of the first axis of `margin`.
    margin : ndarray, shape (n_policies, n_cells)
        Margin rates, fractions of notional.
    loss : ndarray, shape (n_cells,)
        Losses, fractions of notional.
    origin, instrument, side : ndarray of int, shape (n_cells,)
        Positions of each cell in the replay; cells are ordered by origin within each series.
    """

    policies: tuple[str, ...]
    margin: NDArray[np.float64]
    loss: NDArray[np.float64]
    origin: NDArray[np.intp]
    instrument: NDArray[np.intp]
    side: NDArray[np.intp]

    def of(self, policy: str) -> NDArray[np.float64]:
        """Return the margin rates of one policy, shape (n_cells,)."""
        row: NDArray[np.float64] = self.margin[self.policies.index(policy)]
        return row

    def of_instrument(self, instrument: int) -> "Cells":
        """Return the cells of one instrument, both sides."""
        own = self.instrument == instrument
        return Cells(
            policies=self.policies,
            margin=self.margin[:, own],
            loss=self.loss[own],
            origin=self.origin[own],
            instrument=self.instrument[own],
            side=self.side[own],
        )

    def per_origin(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average a value per cell over instruments and sides, one number per origin.

        Shocks are shared, so cells of one origin are not independent observations.
        """
        _, position = np.unique(self.origin, return_inverse=True)
        return np.asarray(np.bincount(position, weights=values) / np.bincount(position))

    def sum_per_origin(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add a value per cell over instruments and sides, one number per origin."""
        _, position = np.unique(self.origin, return_inverse=True)
        return np.asarray(np.bincount(position, weights=values))

    def series(self) -> list[tuple[int, int, NDArray[np.intp]]]:
        """Return instrument, side and the cells of every series, in time order."""
        found = []
        for i in np.unique(self.instrument):
            for s in range(len(SIDES)):
                cells = np.flatnonzero((self.instrument == i) & (self.side == s))
                if len(cells):
                    found.append((int(i), s, cells))
        return found

    def origins_frame(self, replayed: Replay) -> pd.DatetimeIndex:
        """Return the distinct origins, UTC."""
        return pd.DatetimeIndex(replayed.origin[np.unique(self.origin)], tz="UTC")


def make_cells(replayed: Replay, *, test: bool) -> Cells:
    """Flatten the judged cells of the test period, or of the validation period.

    Raises
    ------
    InputError
        If the period has none.
    """
    inside = replayed.judged() & (replayed.in_test == test)[:, None, None]
    # Order by side and instrument first, so that every series is contiguous and in time order.
    side, instrument, origin = np.nonzero(inside.transpose(2, 1, 0))
    if not len(origin):
        period = "test" if test else "validation"
        raise InputError(
            f"the {period} period holds no origin at which every policy has a margin and the loss "
            "is known; give the models more history or move the period"
        )
    return Cells(
        policies=replayed.policies,
        margin=replayed.margins()[:, origin, instrument, side],
        loss=replayed.loss[origin, instrument, side],
        origin=origin,
        instrument=instrument,
        side=side,
    )
