"""The losses of several models side by side."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .._checks import as_values, check_longer_than


def as_loss_table(losses: pd.DataFrame | ArrayLike) -> NDArray[np.float64]:
    """Return `losses` as finite float64 of shape (n >= 2, n_models >= 2)."""
    table = as_values("losses", losses)
    if table.ndim != 2 or table.shape[1] < 2:
        raise ShapeError(f"losses must have shape (n, n_models >= 2), was {table.shape}")
    check_longer_than("losses", table, 1, "a bootstrap")
    return table


def distinct_columns(
    table: NDArray[np.float64], *, rounding: float = 0.0
) -> tuple[list[int], list[int]]:
    """Column numbers of the distinct models, and for each model its place among them.

    Two are the same if their difference spreads by at most `rounding`, unit of the loss.
    """
    first: list[int] = []
    twin_of: list[int] = []
    for column in range(table.shape[1]):
        spread = np.ptp(table[:, first] - table[:, [column]], axis=0)
        equal = [k for k, other in enumerate(first) if spread[k] <= rounding]
        if equal:
            _check_not_shifted(table, first[equal[0]], column, rounding)
        twin_of.append(equal[0] if equal else len(first))
        if not equal:
            first.append(column)
    return first, twin_of


def _check_not_shifted(table: NDArray[np.float64], one: int, other: int, rounding: float) -> None:
    if abs(table[0, one] - table[0, other]) > rounding:
        raise InputError(
            f"losses of two models must not differ by a constant, found columns {one} and "
            f"{other}; their order is certain, so drop the worse one"
        )
