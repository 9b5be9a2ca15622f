"""The online rule over a whole path, and its result."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .inputs import (
    check_start,
    check_stressed,
    checked_beside,
    checked_expected,
    checked_target,
)
from .kernel import growth_factors, terms_of
from .lift import lift_terms_of
from .limits import Bound, MarginLimits, SpeedLimit
from .memory import COLUMNS, every_period, new_memory, shadow_needs


@dataclass(frozen=True, kw_only=True, eq=False)
class MarginPath:
    """Margins under limits and what bound them; read-only arrays of shape (n,), unit of the target.

    Attributes
    ----------
    target : ndarray
        What the tail model asked.
    aim : ndarray
        Target with stressed weight, buffer and headroom.
    lift : ndarray
        Share of buffer or headroom in the aim, the larger of them.
    asked : ndarray
        Aim, floor, required level and reachability together, at most the cap.
    announced : ndarray
        Level announced; in force after the notice.
    initial_margin : ndarray
        Margin in force.
    maintenance_margin : ndarray
        What follows from it.
    bound : ndarray of int
        Sums of :class:`.Bound`.
    """

    target: NDArray[np.float64]
    aim: NDArray[np.float64]
    lift: NDArray[np.float64]
    asked: NDArray[np.float64]
    announced: NDArray[np.float64]
    initial_margin: NDArray[np.float64]
    maintenance_margin: NDArray[np.float64]
    bound: NDArray[np.int64]

    def __post_init__(self) -> None:
        for array in vars(self).values():
            array.setflags(write=False)

    @property
    def shortfall(self) -> NDArray[np.float64]:
        """How far the margin is below its target, not negative, shape (n,)."""
        return np.maximum(self.target - self.initial_margin, 0.0)

    def binds(self, bound: Bound) -> NDArray[np.bool_]:
        """Say in which periods any of the given bounds bound, shape (n,)."""
        return np.asarray((self.bound & int(bound)) != 0)

    def frame(self) -> pd.DataFrame:
        """Return a table with one row per period; `bound` in words, joined by ``|``."""
        columns = {name: values for name, values in vars(self).items() if name != "bound"}
        words = {bits: _words(bits) for bits in np.unique(self.bound).tolist()}
        return pd.DataFrame(
            {
                **columns,
                "shortfall": self.shortfall,
                "bound": [words[bits] for bits in self.bound.tolist()],
            }
        )


def margin_path(
    target: ArrayLike,
    *,
    limits: MarginLimits,
    expected: ArrayLike | None = None,
    stressed: ArrayLike | None = None,
    required: ArrayLike | None = None,
    start: float | None = None,
) -> MarginPath:
    """Follow a target as closely as limits allow, looking at nothing after each period.

    Parameters
    ----------
    target : array_like, shape (n,)
        Margin that the tail model asks in each period, positive, any unit.
    limits : MarginLimits
        What the margin is held to.
    expected : array_like, shape (n, k), optional
        Element (t, j) is the target expected at t for j + 1 periods later. The margin rises
        early enough to be there in time.
    stressed : array_like, shape (n,), optional
        Stressed margin; needed if and only if it has a weight.
    required : array_like, shape (n,), optional
        Level that the margin must not be below, not negative; which of this and the limits goes
        first is `limits.precedence`.
    start : float, optional
        Margin in force before the first period; without it the first margin is what is asked.

    Returns
    -------
    MarginPath
        Margins, their parts, and what bound in every period.

    Raises
    ------
    ShapeError
        If shapes do not match.
    InputError
        If a number is not finite or has the wrong sign.
    """
    values = checked_target(target)
    n = len(values)
    check_stressed(stressed is not None, limits)
    check_start(start, limits)
    ahead = checked_expected(expected, n)
    given = np.column_stack(
        [
            values,
            checked_beside("stressed", stressed, n, positive=True),
            checked_beside("required", required, n, positive=False),
        ]
    )
    terms = terms_of(limits)
    rows, bound = every_period(
        terms,
        lift_terms_of(limits),
        new_memory(limits, start),
        growth_factors(terms, ahead.shape[1]),
        given,
        ahead,
    )
    columns = {name: rows[:, i].copy() for i, name in enumerate(COLUMNS)}
    return MarginPath(target=values.copy(), bound=bound, **columns)


def needed_headroom(target: ArrayLike, *, limits: MarginLimits) -> NDArray[np.float64]:
    r"""Compute the headroom with which rise limits and notice would not have shown.

    :math:`s_t = \max(T_t / S_t - 1, 0)`, where the shadow :math:`S_t` follows the target under
    rise limits and notice alone. A margin that aims at :math:`(1 + s)\,T` with a constant s is
    below target in no period but those with :math:`s_t > s`.

    Parameters
    ----------
    target : array_like, shape (n,)
        Positive.
    limits : MarginLimits
        Only `speed` and `notice` are read.

    Returns
    -------
    ndarray, shape (n,)
        Shares of the target, not negative.
    """
    values = checked_target(target)
    return shadow_needs(terms_of(limits), np.full(limits.memory, values[0]), values)


def rise_factors(speed: tuple[SpeedLimit, ...], *, periods: int) -> NDArray[np.float64]:
    """Return the largest factors by which a margin may have risen after 0, ..., `periods` periods.

    Shape (periods + 1,); infinite where nothing limits the rise.
    """
    if periods < 0:
        raise InputError(f"periods must not be negative, was {periods}")
    return growth_factors(terms_of(MarginLimits(speed=speed)), periods)


def _words(bits: int) -> str:
    return "|".join(str(each.name).lower() for each in Bound(bits))
