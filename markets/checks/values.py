"""Checks of quantities and quotes: units that change, columns that never do, crossed quotes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..columns import VOLUME_COLUMNS
from ..findings import Finding
from ..parsing import DAY_NS
from ..rules import plural, some_of, stamp
from .series import Series

# A block is a day of bars, or this many if a day has fewer; a change of unit is one that three
# blocks on either side agree on, and that money shows as well as quantity: when LUNA fell, its
# volume rose a million times in pieces and hardly in dollars.
_BLOCK_BARS, _BLOCKS, _VOLUME_TIMES = 24, 3, 100.0
_CONSTANT_BARS = 20


def volume_jumps(series: Series) -> Iterator[Finding]:
    """Say that volume changes its unit in the middle of the file."""
    volume = series.columns.get("volume")
    if volume is None or not series.length:
        return
    size = max(_BLOCK_BARS, min(DAY_NS // series.length, len(volume) // (2 * _BLOCKS)))
    n_blocks = len(volume) // size
    if n_blocks < 2 * _BLOCKS:
        return
    # A few bars stand for a block: a change of unit is a hundredfold, and medians are slow.
    few = np.linspace(0, size - 1, num=min(size, _BLOCK_BARS)).astype(np.intp)
    rows = np.add.outer(np.arange(n_blocks) * size, few)
    traded = volume[rows]
    if not (np.median(traded, axis=1) > 0).all():
        return  # there is no telling what a block with hardly a trade would have had
    pieces = np.median(traded, axis=1)
    money = np.median(traded * series.close[rows], axis=1)
    steps = np.minimum(_steps(pieces), _steps(money)), -np.maximum(_steps(pieces), _steps(money))
    for change, way in zip(steps, ("up", "down"), strict=True):
        rows = np.flatnonzero(change > np.log(_VOLUME_TIMES))
        if len(rows):
            block = int(rows[change[rows].argmax()]) + _BLOCKS
            yield series.finding(
                check="volume-jump",
                rows=np.array([block * size]),
                found=f"volume should keep its unit, found a step {way} by a factor of "
                f"{np.exp(change[block - _BLOCKS]):,.0f} that stays (about "
                f"{stamp(series.at(np.intp(block * size)))}); write the file in one unit",
            )


def _steps(medians: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log steps on which some blocks before and after agree: the smallest of them."""
    logs = np.log(medians)
    windows = np.lib.stride_tricks.sliding_window_view(logs, _BLOCKS)
    before, after = windows[:-_BLOCKS], windows[_BLOCKS:]
    up = after.min(axis=1) - before.max(axis=1)
    down = after.max(axis=1) - before.min(axis=1)
    return np.where(up > 0, up, np.where(down < 0, down, 0.0))


def constant_columns(series: Series) -> Iterator[Finding]:
    """List columns that have one value throughout; an unknown volume has a check of its own."""
    if len(series.close) < _CONSTANT_BARS:
        return
    names = [name for name, values in series.columns.items() if _is_constant(name, values)]
    if names:
        yield series.finding(
            check="constant-column",
            rows=np.array([0, len(series.close) - 1]),
            count=len(names),
            found=f"columns should change, found {plural(len(names), 'column')} with one value in "
            f"every bar ({some_of(names)}); leave them out if nobody measured them",
        )


def _is_constant(name: str, values: NDArray[np.float64]) -> bool:
    if values[0] != values[-1] or values[0] != values[len(values) // 2]:
        return False  # also where one of them is unknown
    if name in VOLUME_COLUMNS and values[0] == 0:
        return False
    return bool((values == values[0]).all())


def crossed_quotes(series: Series) -> Iterator[Finding]:
    """List bars whose bid is above their ask."""
    if not {"bid", "ask"} <= series.columns.keys():
        return
    rows = np.flatnonzero(series.columns["bid"] > series.columns["ask"])
    if len(rows):
        yield series.finding(
            check="crossed-quote",
            rows=rows,
            found=f"the bid should not be above the ask, found {plural(len(rows), 'bar')} "
            f"otherwise (first: {stamp(series.at(rows[0]))}); bid, ask and spread of these bars "
            "count as unknown",
        )
