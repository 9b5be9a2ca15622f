"""Features from order books: quoted spread, depth and slippage against their own recent past.

A source may record depth at any distance and slippage at any size. The narrowest distance that is
there on both sides is used, and the size nearest to 100,000 quote currency.
"""

import re
from collections.abc import Callable, Collection

import numpy as np

from ..feature import Feature
from ..measures import Measures
from ..moving import Values
from .depth import depth_imbalance
from .quoted import quoted_spread_bps

USUAL_DAYS = 30
"""A book is compared with its last thirty days: market makers come and go within months."""

TYPICAL_SIZE = 100_000
"""Quote currency: large beside the touch of most books, held by nearly all of them."""


def book_levels(names: Collection[str], pattern: str) -> list[int]:
    """Return the levels that are there on both sides, increasing.

    Parameters
    ----------
    names : collection of str
        Field names of a panel.
    pattern : str
        Name of a field with ``{side}`` and ``{level}``, where sides are bid and ask or buy and
        sell.

    Examples
    --------
    >>> book_levels(["depth_bid_10bps", "depth_ask_10bps", "depth_bid_5bps"],
    ...             "depth_{side}_{level}bps")
    [10]
    """
    sides = []
    for words in ("(?:bid|buy)", "(?:ask|sell)"):
        expression = pattern.format(side=words, level=r"(\d+)")
        found = (re.fullmatch(expression, name) for name in names)
        sides.append({int(match[1]) for match in found if match})
    return sorted(sides[0] & sides[1])


def _spread(m: Measures) -> Values:
    recorded = m.field("spread_bps")
    quoted = quoted_spread_bps(m.field("bid"), m.field("ask"))
    spread = np.where(np.isfinite(quoted), quoted, recorded)
    return _against_usual(m, spread)


def _depth(m: Measures) -> Values:
    bids, asks = _depths(m)
    return _against_usual(m, bids + asks)


def _depths(m: Measures) -> tuple[Values, Values]:
    levels = book_levels(m.panel.fields.keys(), "depth_{side}_{level}bps")
    if not levels:
        unknown = np.full(m.close.shape, np.nan)
        return unknown, unknown
    return m.field(f"depth_bid_{levels[0]}bps"), m.field(f"depth_ask_{levels[0]}bps")


def _slippage(m: Measures, choose: Callable[[list[int]], int]) -> Values:
    levels = book_levels(m.panel.fields.keys(), "slippage_{side}_{level}")
    if not levels:
        return np.full(m.close.shape, np.nan)
    size = choose(levels)
    return 0.5 * (m.field(f"slippage_buy_{size}") + m.field(f"slippage_sell_{size}"))


def _typical(levels: list[int]) -> int:
    return min(levels, key=lambda level: abs(np.log(level / TYPICAL_SIZE)))


def _steepness(m: Measures) -> Values:
    large, small = _slippage(m, max), _slippage(m, min)
    usable = (large > 0.0) & (small > 0.0)
    return np.log(np.where(usable, large, np.nan) / np.where(usable, small, 1.0))


def _against_usual(m: Measures, value: Values) -> Values:
    known = np.where(value > 0.0, value, np.nan)
    return np.log(known / m.quantile(known, probability=0.5, days=USUAL_DAYS))


BOOK_FEATURES = (
    Feature(
        name="quoted_spread",
        unit="log of a ratio",
        meaning="quoted spread against its median of thirty days",
        compute=_spread,
        look_back_days=USUAL_DAYS,
    ),
    Feature(
        name="depth_ratio",
        unit="log of a ratio",
        meaning="depth of both sides near mid against its median of thirty days",
        compute=_depth,
        look_back_days=USUAL_DAYS,
    ),
    Feature(
        name="depth_imbalance",
        unit="bids minus asks over both, -1 to 1",
        meaning="how much thicker the bids near mid are than the asks",
        compute=lambda m: depth_imbalance(*_depths(m)),
        look_back_days=0,
    ),
    Feature(
        name="slippage_ratio",
        unit="log of a ratio",
        meaning="cost of a typical market order against its median of thirty days",
        compute=lambda m: _against_usual(m, _slippage(m, _typical)),
        look_back_days=USUAL_DAYS,
    ),
    Feature(
        name="slippage_steepness",
        unit="log of a ratio",
        meaning="cost of the largest market order recorded against that of the smallest",
        compute=_steepness,
        look_back_days=0,
    ),
)
