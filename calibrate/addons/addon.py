"""Add-ons: named charges that only ever raise a margin, and the rule that joins them.

Every add-on names the risk it prices. Add-ons of one risk are different views of it, so the largest
counts; different risks add up. The sum is never below any of its parts, never falls when a part is
added or grows, and never depends on their order.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError

Floats = NDArray[np.float64]


def finite(name: str, value: ArrayLike, *, least: float = -np.inf) -> Floats:
    """Return `value` as float64 of its own; every element must be finite and not below `least`."""
    array = np.array(value, dtype=np.float64)
    wrong = ~np.isfinite(array) | (array < least)
    if np.any(wrong):
        bound = "" if least == -np.inf else f" and at least {least:g}"
        raise InputError(
            f"{name} must be finite{bound}, found {np.sum(wrong)} values that are not, "
            f"first {array[wrong].flat[0]}"
        )
    return array


def positive(name: str, value: ArrayLike) -> Floats:
    """Return `value` as float64 of its own; every element must be finite and above 0."""
    array = finite(name, value)
    if np.any(array <= 0.0):
        raise InputError(f"{name} must be positive, was {array.min()} at least once")
    return array


def share(name: str, value: float) -> float:
    """Return a number in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} must be in [0, 1], was {value}; write 0.05 for 5 %")
    return float(value)


@dataclass(frozen=True, kw_only=True, eq=False)
class Addon:
    """One charge.

    Attributes
    ----------
    name : str
        What is measured, for example ``staleness``.
    risk : str
        What it prices; add-ons of one risk do not add up.
    rate : ndarray
        Fraction of notional, finite and at least 0; read-only.
    """

    name: str
    risk: str
    rate: Floats

    def __post_init__(self) -> None:
        if not self.name or not self.risk:
            raise InputError(
                f"an add-on needs a name and a risk, were {self.name!r} and {self.risk!r}"
            )
        rate = finite(f"add-on {self.name}", self.rate, least=0.0)
        rate.setflags(write=False)
        object.__setattr__(self, "rate", rate)


@dataclass(frozen=True, kw_only=True, eq=False)
class Addons:
    """Several charges: the largest of each risk, summed over risks.

    Attributes
    ----------
    parts : tuple of Addon
        Names differ; rates broadcast to one shape.
    """

    parts: tuple[Addon, ...]

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"every add-on counts once, found {twice} more than once")
        try:
            _ = self.shape
        except ValueError as error:
            shapes = {part.name: part.rate.shape for part in self.parts}
            raise ShapeError(f"rates of add-ons must broadcast, were {shapes}") from error

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the rates."""
        return np.broadcast_shapes(*(part.rate.shape for part in self.parts))

    def by_risk(self) -> dict[str, Floats]:
        """Return the charge of every risk, the largest of its parts; fractions of notional."""
        charge: dict[str, Floats] = {}
        for part in self.parts:
            rate = np.broadcast_to(part.rate, self.shape)
            charge[part.risk] = np.maximum(charge.get(part.risk, rate), rate)
        return charge

    @property
    def total(self) -> Floats:
        """Sum over risks, fraction of notional, at least 0."""
        return np.asarray(sum(self.by_risk().values(), np.zeros(self.shape)))

    def raised(self, margin_rate: ArrayLike) -> Floats:
        """Add the total to a margin.

        Parameters
        ----------
        margin_rate : array_like
            Fraction of notional, at least 0; NaN, where there is no margin, stays NaN.

        Returns
        -------
        ndarray
            Never below `margin_rate`.
        """
        base = np.array(margin_rate, dtype=np.float64)
        if np.any(base < 0.0) or np.any(np.isinf(base)):
            raise InputError(
                "margin_rate must be at least 0 and finite, or NaN where there is none, found "
                f"{np.sum((base < 0.0) | np.isinf(base))} values that are not"
            )
        try:
            return np.asarray(base + self.total)
        except ValueError as error:
            raise ShapeError(
                f"margins of shape {base.shape} and add-ons of shape {self.shape} must broadcast"
            ) from error

    def frame(self) -> pd.DataFrame:
        """Return one row per element: every part, then the total."""
        columns = {p.name: np.ravel(np.broadcast_to(p.rate, self.shape)) for p in self.parts}
        return pd.DataFrame({**columns, "total": np.ravel(self.total)})
