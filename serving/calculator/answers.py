"""From rates to what goes out: basis points, rounded up, and the parts that they are made of."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ...calibrate.path import Bound
from ...calibrate.schedule import BASIS_POINTS, to_basis_points
from ..quote import SideMargin

Values = NDArray[np.float64]

_LARGEST_RATE = 1e6  # notionals; basis points are counted up to there


def side_margins(
    parts: Mapping[str, Values], *, maintenance: Values, bound: Sequence[int]
) -> list[SideMargin]:
    """Return margins of one side of several instruments.

    Parameters
    ----------
    parts : mapping of str to ndarray, shape (n,)
        What the initial margin is the sum of, fractions of notional; the sum is positive.
    maintenance : ndarray, shape (n,)
        Maintenance margin, fraction of notional, before it is held below the initial one.
    bound : sequence of int
        Sums of :class:`foremargin.calibrate.path.Bound`.
    """
    capped = {name: np.minimum(values, _LARGEST_RATE) for name, values in parts.items()}
    initial = np.minimum(np.sum(list(capped.values()), axis=0), _LARGEST_RATE)
    initial_bps = to_basis_points(initial)
    maintenance_bps = to_basis_points(np.minimum(maintenance, _LARGEST_RATE))
    names = list(capped)
    columns = ((values * BASIS_POINTS).tolist() for values in capped.values())
    rows = zip(*columns, strict=True)
    return [
        SideMargin(
            initial_margin_bps=whole,
            maintenance_margin_bps=min(kept, whole),
            components=_components(names, row, whole),
            bound=list(bound_names(bits)),
        )
        for whole, kept, row, bits in zip(
            initial_bps.tolist(), maintenance_bps.tolist(), rows, bound, strict=True
        )
    ]


def side_margin(parts: Mapping[str, float], *, maintenance: float, bits: int) -> SideMargin:
    """Return the margin of one side of one instrument; as :func:`side_margins`."""
    capped = {name: min(part, _LARGEST_RATE) for name, part in parts.items()}
    initial = min(sum(capped.values()), _LARGEST_RATE)
    both = to_basis_points(np.array([initial, min(maintenance, _LARGEST_RATE)])).tolist()
    row = [part * BASIS_POINTS for part in capped.values()]
    return SideMargin(
        initial_margin_bps=both[0],
        maintenance_margin_bps=min(both[1], both[0]),
        components=_components(list(capped), row, both[0]),
        bound=list(bound_names(bits)),
    )


def _components(names: Sequence[str], row: Sequence[float], whole: int) -> dict[str, float]:
    components = {name: part for name, part in zip(names, row, strict=True) if part}
    components["rounding"] = whole - sum(row)
    return components


@lru_cache(maxsize=4096)
def bound_names(bits: int) -> tuple[str, ...]:
    """Return the names of bounds, lower case."""
    return tuple(each.name.lower() for each in Bound if each.name and bits & each)


def larger(old: SideMargin, new: SideMargin) -> SideMargin:
    """Return the higher initial margin with its parts, and the higher maintenance margin."""
    high, low = (new, old) if new.initial_margin_bps > old.initial_margin_bps else (old, new)
    if low.maintenance_margin_bps <= high.maintenance_margin_bps:
        return high
    kept = min(low.maintenance_margin_bps, high.initial_margin_bps)
    return replace(high, maintenance_margin_bps=kept)


def or_none(number: float) -> float | None:
    """Return a finite number, and None for one that is not known."""
    return number if math.isfinite(number) else None
