"""Tiers of size: rates that rise in steps and margins that do not jump.

With floors F_1 = 0 < F_2 < ... and rates r_1 <= r_2 <= ..., the margin of notional N in tier n is
N r_n - d_n with d_1 = 0, d_n = d_{n-1} + F_n (r_n - r_{n-1}): each slice of notional pays its own
rate, so that the margin is continuous, rises with N and is convex.
"""

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .venue import Floats, finite


def check_tiers(floor: Floats, rate: Floats, leverage: Floats) -> None:
    """Check floors, maintenance rates and leverages of tiers against each other."""
    if not (floor.ndim == 1 and len(floor) and floor.shape == rate.shape == leverage.shape):
        raise ShapeError(
            "floors, rates and leverages must be one-dimensional, equally long and not empty, "
            f"were {floor.shape}, {rate.shape} and {leverage.shape}"
        )
    for name, values in (("floors", floor), ("rates", rate), ("leverages", leverage)):
        finite(name, values)
    if floor[0] != 0.0 or np.any(np.diff(floor) <= 0.0):
        raise InputError(f"floors of tiers must start at 0 and rise, were {floor.tolist()}")
    if np.any(leverage < 1.0) or np.any(np.diff(leverage) > 0.0):
        raise InputError(
            f"leverage must be at least 1 and must not rise with size, was {leverage.tolist()}"
        )
    if np.any(rate <= 0.0) or np.any(np.diff(rate) < 0.0):
        raise InputError(
            f"maintenance rates must be positive and must not fall with size, were {rate.tolist()}"
        )
    # A rate of 1 / leverage may differ in the last digit from how a table writes it.
    if np.any(rate * leverage > 1.0 + 1e-12):
        raise InputError(
            "maintenance must not exceed initial margin in any tier; found rates "
            f"{rate.tolist()} at leverages {leverage.tolist()}"
        )


def deductions(floor: Floats, rate: Floats) -> Floats:
    """Amounts that make the margin continuous, one per tier, quote currency."""
    return np.concatenate([[0.0], np.cumsum(floor[1:] * np.diff(rate))])


def tier_of(notional: Floats, floor: Floats) -> NDArray[np.intp]:
    """Index of the tier of each notional; a tier holds its own ceiling, not its floor."""
    return np.maximum(np.searchsorted(floor, notional, side="left") - 1, 0)
