"""Liquidity read off one order book: spread, depth and the cost of a market order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....errors import InputError, ShapeError

_BPS = 1e4
_BPS_DECIMALS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One side of an order book, the best level first.

    Attributes
    ----------
    price : ndarray of float64, shape (n_levels,)
        Quote currency.
    value : ndarray of float64, shape (n_levels,)
        What rests at each price, quote currency.
    complete : bool
        Whether these are all levels that there are; else the exchange sent the best ones only.
    """

    price: NDArray[np.float64]
    value: NDArray[np.float64]
    complete: bool

    def __post_init__(self) -> None:
        if self.price.shape != self.value.shape:
            raise ShapeError(
                f"value must have shape {self.price.shape} like price, was {self.value.shape}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class OrderBook:
    """Both sides of an order book at one moment.

    Attributes
    ----------
    bids, asks : Side
        Each with a level at least; the best bid lies below the best ask.

    Raises
    ------
    InputError
        If a side is empty, or the sides cross.
    """

    bids: Side
    asks: Side

    def __post_init__(self) -> None:
        if not len(self.bids.price) or not len(self.asks.price):
            raise InputError(
                f"an order book must have both sides, found {len(self.bids.price)} bids and "
                f"{len(self.asks.price)} asks; read it again once there are quotes"
            )
        if not 0 < self.bids.price[0] < self.asks.price[0]:
            raise InputError(
                "the best bid must lie below the best ask and above zero, was "
                f"{self.bids.price[0]:g} with ask {self.asks.price[0]:g}; read the book again"
            )

    @property
    def mid(self) -> float:
        """Half-way between best bid and best ask, quote currency."""
        return float(self.bids.price[0] + self.asks.price[0]) / 2

    def liquidity(self, *, depths_bps: Sequence[int], sizes: Sequence[int]) -> dict[str, float]:
        """Return panel fields by name.

        Parameters
        ----------
        depths_bps : sequence of int
            Distances from mid, basis points.
        sizes : sequence of int
            Sizes of market orders, quote currency.

        Returns
        -------
        dict of str to float
            ``bid``, ``ask``, ``spread_bps``; ``depth_bid_<n>bps`` and ``depth_ask_<n>bps``, quote
            currency, NaN where the book was cut before that distance; ``slippage_buy_<n>`` and
            ``slippage_sell_<n>``, basis points by which the average fill is worse than mid, NaN
            where the book does not hold that size.
        """
        bid, ask = float(self.bids.price[0]), float(self.asks.price[0])
        values = {"bid": bid, "ask": ask, "spread_bps": _BPS * (ask - bid) / self.mid}
        for name, side in (("bid", self.bids), ("ask", self.asks)):
            # Rounded, so that a level at the very distance counts whatever the last bit says.
            away_bps = np.round(_BPS * np.abs(side.price / self.mid - 1), _BPS_DECIMALS)
            for bps in depths_bps:
                reached = side.complete or away_bps[-1] > bps
                depth = float(side.value[away_bps <= bps].sum())
                values[f"depth_{name}_{bps}bps"] = depth if reached else np.nan
        for name, side in (("buy", self.asks), ("sell", self.bids)):
            for size in sizes:
                fill = _average_fill(side, size)
                values[f"slippage_{name}_{size}"] = _BPS * abs(fill / self.mid - 1)
        return values


def _average_fill(side: Side, size: float) -> float:
    """Return the average price of a market order worth `size`; NaN if the side is too thin."""
    before = np.cumsum(side.value) - side.value
    taken = np.clip(size - before, 0, side.value)
    if taken.sum() < size * (1 - 1e-12):
        return np.nan
    return float(size / (taken / side.price).sum())
