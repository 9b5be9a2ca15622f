"""The margin schedule: what a policy asks of every instrument and side at every moment."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError, ShapeError

SIDES = ("long", "short")
"""Order of the side axis: a long loses when the price falls, a short when it rises."""


class Generation(StrEnum):
    """The names of the kinds of margin policies."""

    FIXED = "fixed"
    REACTIVE = "reactive"
    PREDICTIVE = "predictive"
    CONTROL = "control"
    """Not a policy anybody could run: it bounds or tests the others."""


class MarginStatus(StrEnum):
    """Why a margin has the value it has."""

    OK = "ok"
    WARMING_UP = "warming-up"
    """Too little history or no forecast; there is no margin."""
    NOT_LISTED = "not-listed"
    """The instrument has no price at the origin."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MarginSchedule:
    """Margins of one policy at one horizon; read-only arrays.

    Attributes
    ----------
    policy : str
        Name of the policy.
    generation : Generation
        Its kind.
    horizon : int
        Margin period of risk, the instrument's own periods.
    origin : ndarray of datetime64[ns], shape (n_origins,)
        When each margin is set; it covers the `horizon` periods that follow.
    instruments : tuple of str
        Names, in column order.
    initial_margin_rate : ndarray, shape (n_origins, n_instruments, 2)
        Fraction of notional, positive; last axis in the order of :data:`SIDES`. NaN where there
        is none.
    present : ndarray of bool, shape (n_origins, n_instruments)
        Whether the instrument has a price at the origin.
    """

    policy: str
    generation: Generation
    horizon: int
    origin: NDArray[np.datetime64]
    instruments: tuple[str, ...]
    initial_margin_rate: NDArray[np.float64]
    present: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shape = (len(self.origin), len(self.instruments), len(SIDES))
        rate = self.initial_margin_rate
        if rate.shape != shape:
            raise ShapeError(f"initial_margin_rate must have shape {shape}, was {rate.shape}")
        if np.any(rate <= 0.0) or np.any(np.isinf(rate)):
            raise InputError(
                f"{self.policy}: a margin rate must be positive and finite, or NaN where there is "
                f"none; found {np.sum(rate <= 0.0)} not positive, {np.sum(np.isinf(rate))} infinite"
            )
        rate.setflags(write=False)

    def status(self) -> NDArray[np.str_]:
        """Return :class:`MarginStatus` values, shape of `initial_margin_rate`."""
        known = np.isfinite(self.initial_margin_rate)
        present = np.broadcast_to(self.present[..., None], known.shape)
        return np.select(
            [known, present],
            [MarginStatus.OK.value, MarginStatus.WARMING_UP.value],
            MarginStatus.NOT_LISTED.value,
        )

    def frame(self) -> pd.DataFrame:
        """Return a tidy table: one row per origin, instrument and side with a price."""
        index = pd.MultiIndex.from_product(
            [pd.DatetimeIndex(self.origin, tz="UTC"), list(self.instruments), list(SIDES)],
            names=["origin", "instrument", "side"],
        )
        table = pd.DataFrame(
            {"margin_rate": self.initial_margin_rate.ravel(), "status": self.status().ravel()},
            index=index,
        ).reset_index()
        table.insert(0, "policy", self.policy)
        table.insert(4, "horizon", self.horizon)
        return table[table.status != MarginStatus.NOT_LISTED.value]
