"""The order book, volume, takers, funding of a synthetic instrument."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..listings import Kind
from ..parsing import DAY_NS, HOUR_NS
from .paths import Array, Backdrop, Path, reverting, stream
from .spec import InstrumentSpec, MarketSpec

_TAKER_WIDTH = 0.2  # standard deviation of taker imbalance, share of volume
_MOST_IMBALANCE = 0.95
_TRADE_VALUE = 2_000.0  # quote currency
_BASIS_SD = 5e-4  # of perpetual over index, decimal
_BASIS_HALF_LIFE_DAYS = 0.5
_BASIS_LINK = 0.3  # correlation of its changes with returns
_FUNDING_HOURS = 8
_FUNDING_CAP = 0.0075  # decimal per interval
_FUNDING_INTEREST = 1e-4


@dataclass(frozen=True, kw_only=True, eq=False)
class Liquidity:
    """What it costs to trade, on the bars of a :class:`Path`, shape (n,).

    Attributes
    ----------
    quote_volume : ndarray
        Traded value, quote currency.
    taker_buy_share : ndarray
        Share of it bought by takers, in (0, 1).
    spread_bps : ndarray
        Quoted spread at the end of the bar, basis points of mid.
    depth_bid, depth_ask : ndarray
        Value within 10 basis points of mid at the end of the bar, quote currency.
    impact_coefficient : ndarray
        Expected log return of the bar per quote currency of net taker buying.
    funding_rate : ndarray
        Decimal per eight hours, in the bar that ends an interval; NaN elsewhere.
    basis : ndarray
        Log of the price over its index at the end of the bar; NaN for what has no index.
    """

    quote_volume: Array
    taker_buy_share: Array
    spread_bps: Array
    depth_bid: Array
    depth_ask: Array
    impact_coefficient: Array
    funding_rate: Array
    basis: Array


def liquidity_of(
    spec: MarketSpec, instrument: InstrumentSpec, path: Path, backdrop: Backdrop, *, root: int
) -> Liquidity:
    """Draw the book and the trading of one instrument around its path."""
    rng = stream(root, f"book {instrument.name}")
    book, n = spec.book, len(path.rows)
    noise = book.noise_sd * rng.standard_normal((n, 4))
    tension = np.log(path.sigma / np.sqrt(np.mean(path.usual_sigma**2)))
    bars_per_day = n / max(1, len(np.unique(backdrop.start[path.rows] // DAY_NS)))
    volume = np.exp(book.volume_elasticity * tension + noise[:, 0])
    volume *= instrument.daily_volume / bars_per_day
    # The book follows the volatility of its state and of the hour, some bars ahead of it.
    ahead = _ahead(tension, book.depth_leads)
    thin = _before_jumps(path.jump, book.depth_leads, book.depth_before_jump)
    depth = (
        book.depth_share * instrument.daily_volume * thin * np.exp(-book.depth_elasticity * ahead)
    )
    spread = book.spread_bps / thin * np.exp(book.spread_elasticity * ahead + noise[:, 1])
    link, width = book.taker_link, _TAKER_WIDTH
    imbalance = width * (link * path.shock + np.sqrt(1.0 - link**2) * rng.standard_normal(n))
    imbalance = np.clip(imbalance, -_MOST_IMBALANCE, _MOST_IMBALANCE)
    basis, funding = _funding(spec, instrument, path, backdrop, rng=rng)
    return Liquidity(
        quote_volume=volume,
        taker_buy_share=0.5 * (1.0 + imbalance),
        spread_bps=spread,
        depth_bid=depth * np.exp(noise[:, 2]),
        depth_ask=depth * np.exp(noise[:, 3]),
        # Least squares of sigma * shock on volume * imbalance, given sigma and volume.
        impact_coefficient=link * path.sigma / (width * volume),
        funding_rate=funding,
        basis=basis,
    )


def trades_of(quote_volume: Array) -> Array:
    """Return a number of trades that goes with a traded value; at least one."""
    return np.maximum(1.0, np.rint(quote_volume / _TRADE_VALUE))


def _ahead(values: Array, bars: int) -> Array:
    """Return the value `bars` later; the last one where there is none."""
    return values[np.minimum(np.arange(len(values)) + bars, len(values) - 1)]


def _before_jumps(jump: Array, bars: int, left: float) -> Array:
    """Return the share of depth that is left in the `bars` bars before each jump, else one."""
    out = np.ones(len(jump))
    at = np.flatnonzero(jump != 0.0)
    for lead in range(1, bars + 1):
        out[np.maximum(at - lead, 0)] = left
    return out


def _funding(
    spec: MarketSpec,
    instrument: InstrumentSpec,
    path: Path,
    backdrop: Backdrop,
    *,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    n = len(path.rows)
    noise = rng.standard_normal(n)
    if instrument.kind is not Kind.PERPETUAL:
        return np.full(n, np.nan), np.full(n, np.nan)
    decay = 0.5 ** (1.0 / (_BASIS_HALF_LIFE_DAYS * spec.bars_per_day))
    news = _BASIS_LINK * path.shock + np.sqrt(1.0 - _BASIS_LINK**2) * noise
    basis = _BASIS_SD * np.sqrt(1.0 - decay**2) * reverting(news, decay)
    step = pd.Timedelta(spec.bar).as_unit("ns").value
    end: NDArray[np.int64] = backdrop.start[path.rows] + step
    interval = _FUNDING_HOURS * HOUR_NS
    mean = pd.Series(basis).groupby((end - 1) // interval).transform("mean").to_numpy()
    funding = np.clip(mean + _FUNDING_INTEREST, -_FUNDING_CAP, _FUNDING_CAP)
    return basis, np.where(end % interval == 0, funding, np.nan)
