"""Drawing a synthetic market."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .liquidity import Liquidity, liquidity_of, trades_of
from .market import SyntheticMarket, Truth
from .paths import Backdrop, Path, backdrop_of, path_of
from .spec import MarketSpec

_BPS = 1e-4


def simulate_market(spec: MarketSpec, *, rng: np.random.Generator) -> SyntheticMarket:
    r"""Draw a market with switching states, stochastic variance, jumps, a book and its truth.

    The diffusive return of a bar is :math:`\sigma_t z_t` with

    .. math:: \log \sigma_t^2 = \log v + s_t + m_{r_t} + x_t, \qquad
              x_{t+1} = \phi x_t + \eta (\rho z_t + \sqrt{1 - \rho^2} w_t),

    season :math:`s`, state :math:`r` of a Markov chain, leverage :math:`\rho`; the shocks
    :math:`z` of two instruments have the correlation of the state, by one common factor. Jumps
    come at the open of a bar. The variance of a bar is therefore known when it begins.

    Every instrument has random streams of its own, made of one number drawn from `rng` and its
    name: another instrument, or another order, changes nothing for the others.

    Parameters
    ----------
    spec : MarketSpec
        What the market is like.
    rng : numpy.random.Generator
        One number is drawn from it.

    Returns
    -------
    SyntheticMarket

    Raises
    ------
    InputError
        If an instrument never trades in the time of the market.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from foremargin.markets.synthetic import CALM
    >>> market = simulate_market(replace(CALM, days=30), rng=np.random.default_rng(1))
    >>> market.panel(period="1D").instruments
    ('AAA', 'BBB')
    """
    root = int(rng.integers(2**63))
    backdrop = backdrop_of(spec, root=root)
    step = pd.Timedelta(spec.bar).as_unit("ns").value
    bars, books, columns = {}, [], []
    for instrument in spec.instruments:
        path = path_of(spec, instrument, backdrop, root=root)
        liquidity = liquidity_of(spec, instrument, path, backdrop, root=root)
        bars[instrument.name] = _bar_table(path, liquidity, backdrop)
        books.append(_book_table(instrument.name, path, liquidity, backdrop.start + step))
        columns.append(_truths(path, liquidity, len(backdrop.start)))
    stacked = {name: np.stack([one[name] for one in columns], axis=1) for name in columns[0]}
    truth = Truth(
        time=(backdrop.start + step).view("datetime64[ns]"),
        instruments=tuple(one.name for one in spec.instruments),
        regime_names=tuple(one.name for one in spec.regimes),
        regime=backdrop.regime,
        correlation=backdrop.correlation,
        **stacked,
    )
    book = pd.concat(books, ignore_index=True).dropna(axis=1, how="all")
    return SyntheticMarket(spec=spec, bars=bars, book=book, truth=truth)


def _bar_table(path: Path, liquidity: Liquidity, backdrop: Backdrop) -> pd.DataFrame:
    start = backdrop.start[path.rows]
    volume = liquidity.quote_volume / path.close
    table = pd.DataFrame(
        {
            # Bars of a day are dated by their midnight like all others.
            "open_time": pd.DatetimeIndex(start, tz="UTC"),
            "open": path.open,
            "high": path.high,
            "low": path.low,
            "close": path.close,
            "volume": volume,
            "quote_asset_volume": liquidity.quote_volume,
            "number_of_trades": trades_of(liquidity.quote_volume),
            "taker_buy_base_asset_volume": volume * liquidity.taker_buy_share,
        }
    )
    if np.isfinite(liquidity.funding_rate).any():
        table["funding_rate"] = liquidity.funding_rate
    return table


def _book_table(
    name: str, path: Path, liquidity: Liquidity, end: NDArray[np.int64]
) -> pd.DataFrame:
    time = pd.DatetimeIndex(end[path.rows], tz="UTC")
    half = 0.5 * _BPS * liquidity.spread_bps
    return pd.DataFrame(
        {
            "time": time,
            "known_at": time,
            "instrument": name,
            "bid": path.close * (1.0 - half),
            "ask": path.close * (1.0 + half),
            "spread_bps": liquidity.spread_bps,
            "depth_bid_10bps": liquidity.depth_bid,
            "depth_ask_10bps": liquidity.depth_ask,
            "index_price": path.close * np.exp(-liquidity.basis),
        }
    )


def _truths(path: Path, liquidity: Liquidity, n_bars: int) -> dict[str, NDArray[np.float64]]:
    on_rows = {
        "integrated_variance": path.variance,
        "jump_variance": path.jump_variance,
        "jump": path.jump,
        "jump_variation": path.jump**2,
        "spread_bps": liquidity.spread_bps,
        "depth": 0.5 * (liquidity.depth_bid + liquidity.depth_ask),
        "impact_coefficient": liquidity.impact_coefficient,
    }
    out = {name: np.full(n_bars, np.nan) for name in on_rows}
    for name, values in on_rows.items():
        out[name][path.rows] = values
    return out
