"""Checks of prices in a row: bad ticks, jumps of scale, prices that stand still, collapses.

Each looks for what a defect of data does and a market does not: a bad tick is undone by the next
bar, a split happens between two bars and not inside one, a dead feed repeats one price for far
longer than chance. The bounds leave the crashes of 2020 to 2025 alone.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..findings import Finding
from ..parsing import DAY_NS
from ..rules import plural, stamp
from .series import Series, longest_runs, typical_size

# A close is a bad tick if it leaves and comes back within two bars: this far in log units, this
# many usual returns, and all but this share of the way.
_TICK_LEAST, _TICK_SIZES, _TICK_LEFT_OVER = 0.05, 40.0, 0.1
_TICK_LARGE, _TICK_LARGE_SIZES = np.log(2.0), 12.0

# A high or low is one from a factor of four beyond the closes around it: the deepest wicks of the
# crash of March 2020 were a factor of three.
_WICK_LEAST, _WICK_SIZES = np.log(4.0), 12.0

# A jump of scale: a two-for-one split and more, with nothing traded on the way. Overnight a share
# may halve in earnest (Apple in September 2000), so that an exchange needs a factor of 2.5.
_JUMP_LEAST, _JUMP_OVERNIGHT = 0.6, np.log(2.5)
_JUMP_SIZES, _JUMP_STAYS = 15.0, 0.5
_JUMP_BARS = 5

_STALE_LEAST, _STALE_TIMES = 12, 4.0

_COLLAPSE, _COLLAPSE_NS = np.log(0.4), 7 * DAY_NS


def bad_ticks(series: Series) -> Iterator[Finding]:
    """List prices that leave the market and are back at the next bar."""
    rows = np.union1d(_close_ticks(series), _wicks(series))
    if len(rows):
        worst = int(rows[np.abs(series.log_return[rows]).argmax()])
        yield series.finding(
            check="spike",
            rows=rows,
            found=f"prices should not leave the market for one bar and come back, found "
            f"{plural(len(rows), 'bar')} that do (largest: {stamp(series.at(np.intp(worst)))}, "
            f"{_shown(series, worst)}); they are kept: correct or remove them",
        )


def _close_ticks(series: Series) -> NDArray[np.intp]:
    there, back = series.log_return[1:-1], series.log_return[2:]
    size = np.abs(there)
    rows = np.flatnonzero((size > _TICK_LEAST) & (np.abs(there + back) < _TICK_LEFT_OVER * size))
    return np.array([row + 1 for row in rows if _is_tick(series, int(row) + 1)], dtype=np.intp)


def _is_tick(series: Series, row: int) -> bool:
    size = abs(series.log_return[row])
    sizes = size / max(typical_size(series.log_return, row), 1e-12)
    return bool(sizes > _TICK_SIZES or (size > _TICK_LARGE and sizes > _TICK_LARGE_SIZES))


def _wicks(series: Series) -> NDArray[np.intp]:
    if "high" not in series.columns or len(series.close) < 2:
        return np.array([], dtype=np.intp)
    before = np.concatenate([series.close[:1], series.close[:-1]])
    reach = float(np.exp(_WICK_LEAST))
    above = series.columns["high"] > reach * np.maximum(before, series.close)
    below = reach * series.columns["low"] < np.minimum(before, series.close)
    rows = np.flatnonzero(above | below)
    return np.array(
        [r for r in rows if typical_size(series.log_return, int(r)) < _WICK_LEAST / _WICK_SIZES],
        dtype=np.intp,
    )


def _shown(series: Series, row: int) -> str:
    high, low = (series.columns.get(name, series.close)[row] for name in ("high", "low"))
    return f"close {series.close[row]:g}, high {high:g}, low {low:g}"


def scale_jumps(series: Series) -> Iterator[Finding]:
    """List jumps between two bars that stay: splits, new units, tickers used again."""
    if len(series.close) < 2:
        return
    opened = series.columns.get("open", series.close)[1:]
    steps = np.abs(np.log(np.where(opened > 0, opened, np.nan) / series.close[:-1]))
    rows = np.flatnonzero(steps > (_JUMP_LEAST if series.every_day else _JUMP_OVERNIGHT)) + 1
    rows = np.array([r for r in rows if _is_jump(series, int(r), steps[r - 1])], dtype=np.intp)
    if len(rows):
        row = int(rows[0])
        yield series.finding(
            check="level-jump",
            rows=rows,
            found="prices should not jump between two bars and stay there, found "
            f"{plural(len(rows), 'jump')} (first: {stamp(series.at(rows[0]))}, "
            f"{series.close[row - 1]:g} to {series.close[row]:g}), as after a split, a new unit or "
            "a ticker used again; the return is kept: adjust the prices or cut the file",
        )


def _is_jump(series: Series, row: int, size: float) -> bool:
    usual = max(typical_size(series.log_return, row), 1e-12)
    before = np.median(series.close[max(0, row - _JUMP_BARS) : row])
    after = np.median(series.close[row : row + _JUMP_BARS])
    return bool(size > _JUMP_SIZES * usual and abs(np.log(after / before)) > _JUMP_STAYS * size)


def stale_prices(series: Series) -> Iterator[Finding]:
    r"""List closes that repeat for longer than chance.

    With a share :math:`p` of unchanged closes, the longest run in :math:`n` independent bars is
    about :math:`\log n / \log(1/p)`; four times that, and no less than twelve bars, is a feed that
    stopped. Bars without volume are the business of other checks.
    """
    unchanged = series.log_return == 0
    unchanged[:1] = False
    if "volume" in series.columns:
        unchanged &= ~(series.columns["volume"] == 0)
    unchanged &= ~series.carried
    share = float(unchanged.mean()) if len(unchanged) else 0.0
    if not 0.0 < share < 1.0:
        return
    bound = max(_STALE_LEAST, _STALE_TIMES * np.log(len(unchanged)) / np.log(1.0 / share))
    begins, lengths = longest_runs(unchanged)
    long = np.flatnonzero(lengths >= bound)
    if len(long):
        rows = np.concatenate([np.arange(begins[i], begins[i] + lengths[i]) for i in long])
        longest = long[lengths[long].argmax()]
        yield series.finding(
            check="stale-price",
            rows=rows,
            found=f"closes should move, found {plural(len(rows), 'bar')} in "
            f"{plural(len(long), 'run')} at one price (longest: {lengths[longest]} bars from "
            f"{stamp(series.at(begins[longest]))}); a feed that stopped looks so: check the source",
        )


def carried_prices(series: Series) -> Iterator[Finding]:
    """Say that a good share of the bars repeat the close before because nobody traded."""
    carried = series.carried
    rows = np.flatnonzero(carried)
    if len(rows) >= CARRIED_SHARE * len(carried):
        if not len(rows):
            return
        yield series.finding(
            check="flat-bars",
            rows=rows,
            found=f"{plural(len(rows), 'bar')} ({len(rows) / len(carried):.1%}) repeat the close "
            "before without a trade; their zero returns pull realised variance down and count as "
            "no market: take longer bars or a more liquid venue",
        )


CARRIED_SHARE = 0.01
"""Share of bars without a trade from which a file is called flat, a fraction."""


def final_collapse(series: Series) -> Iterator[Finding]:
    """Say that a series ends in the middle of a fall: what came after is not in the file."""
    week = int(np.searchsorted(series.start, series.start[-1] - _COLLAPSE_NS))
    top = week + int(series.close[week:].argmax())
    fall = float(np.log(series.close[-1] / series.close[top]))
    if fall < _COLLAPSE:
        yield series.finding(
            check="ends-in-collapse",
            rows=np.array([top, len(series.close) - 1]),
            count=1,
            found=f"the series ends a factor of {np.exp(-fall):,.1f} below its highest close of "
            f"the last seven days ({series.close[top]:g} to {series.close[-1]:g}); what a holder "
            "lost after that is not in the data",
        )
