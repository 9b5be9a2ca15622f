"""Scenarios: what one unit of every instrument makes or loses in each joint state of the world."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError


@dataclass(frozen=True, kw_only=True, eq=False)
class ScenarioSet:
    """Joint scenarios as risk arrays; read-only arrays.

    A column is one state of the world for all instruments. Options come in revalued: their row is
    the change of their value, whatever the model behind it. An instrument whose scenarios are not
    known has no row; NaN is refused, and so is a position in an instrument without a row.

    Attributes
    ----------
    pnl : ndarray of float64, shape (n_instruments, n_scenarios)
        Money that one unit long makes in the scenario, negative if it loses; finite.
    weight : ndarray of float64, shape (n_scenarios,), optional
        Probabilities, positive; scaled to sum to one. Equal by default.
    """

    pnl: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        pnl = np.array(self.pnl, dtype=np.float64, order="C")
        if pnl.ndim != 2 or pnl.shape[1] == 0:
            raise ShapeError(
                "pnl must have shape (n_instruments, n_scenarios) with at least one scenario, was "
                f"{pnl.shape}"
            )
        bad = ~np.isfinite(pnl).all(axis=1)
        if bad.any():
            raise InputError(
                f"pnl must be finite, is not for {bad.sum()} instruments, the first in row "
                f"{int(bad.argmax())}; fill them by a rule (see MissingRule) or leave them out"
            )
        given = np.ones(pnl.shape[1]) if self.weight is None else self.weight
        weight = np.array(given, dtype=np.float64)
        if weight.shape != (pnl.shape[1],):
            raise ShapeError(f"weight must have shape ({pnl.shape[1]},), was {weight.shape}")
        if not (np.isfinite(weight).all() and (weight > 0.0).all()):
            raise InputError(
                "weight must be positive and finite, found "
                f"{weight[~(np.isfinite(weight) & (weight > 0.0))][:3].tolist()}; leave out "
                "scenarios that cannot happen"
            )
        weight /= weight.sum()
        for name, array in (("pnl", pnl), ("weight", weight)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def n_instruments(self) -> int:
        """Number of instruments."""
        return int(self.pnl.shape[0])

    @property
    def n_scenarios(self) -> int:
        """Number of scenarios."""
        return int(self.pnl.shape[1])

    @property
    def weights(self) -> NDArray[np.float64]:
        """Probabilities of the scenarios, shape (n_scenarios,), sum one."""
        assert self.weight is not None
        return self.weight

    def with_stress(self, pnl: ArrayLike, *, probability: float) -> "ScenarioSet":
        """Append scenarios that share a probability; those there already share the rest.

        Parameters
        ----------
        pnl : array_like, shape (n_instruments, n_stress)
            Money per unit long.
        probability : float
            Of all appended scenarios together, in (0, 1); 0.25 is the stressed share of EMIR
            RTS 153/2013, Article 28(1)(b).
        """
        added = np.asarray(pnl, dtype=np.float64)
        if added.ndim != 2 or added.shape[0] != self.n_instruments or added.shape[1] == 0:
            raise ShapeError(
                f"pnl must have shape ({self.n_instruments}, n_stress), was {added.shape}; every "
                "instrument needs a value in every stress scenario"
            )
        if not 0.0 < probability < 1.0:
            raise InputError(f"probability must be in (0, 1), was {probability}")
        own = (1.0 - probability) * self.weights
        stress = np.full(added.shape[1], probability / added.shape[1])
        return ScenarioSet(pnl=np.hstack([self.pnl, added]), weight=np.r_[own, stress])


def linear_pnl(price: ArrayLike, log_return: ArrayLike) -> NDArray[np.float64]:
    """Return what one unit of spot, future or perpetual makes, shape (n_instruments, n_scenarios).

    Parameters
    ----------
    price : array_like, shape (n_instruments,)
        Money per unit, positive. A contract on several coins has the price of all of them.
    log_return : array_like, shape (n_instruments, n_scenarios)
        Joint log returns over the horizon.
    """
    level, moves = np.asarray(price, dtype=np.float64), np.asarray(log_return, dtype=np.float64)
    if moves.ndim != 2 or level.shape != moves.shape[:1]:
        raise ShapeError(
            "price and log_return must have shapes (n_instruments,) and (n_instruments, "
            f"n_scenarios), were {level.shape} and {moves.shape}"
        )
    if not (np.isfinite(level).all() and (level > 0.0).all()):
        raise InputError("price must be positive and finite")
    pnl: NDArray[np.float64] = level[:, None] * np.expm1(moves)
    return pnl
