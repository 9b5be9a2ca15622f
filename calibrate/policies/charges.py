"""Tools that charge for what prices alone do not hold: liquidity of a position, declared add-ons.

A replayed loss is that of the price; the cost of closing a position is not in it. In a verdict
these charges only cost, so that they belong into what is served and not into what is compared.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from ..addons import Addons
from ..liquidity import LiquidityOutlook, LiquidityRule, liquidity_margin, volume_from_cost
from ..market import MarginMarket
from .tools import Tool

_USUAL_SESSIONS = 30  # of volume and volatility


@dataclass(frozen=True, kw_only=True)
class PositionLiquidity:
    """What has to be closed, and how it would be.

    Attributes
    ----------
    notional : float
        Size of the position, quote currency, positive.
    model : str
        Forecaster of volatility and of the probability that liquidity is stressed.
    spread : float
        Relative spread in calm times, from bid to ask, decimal.
    participation : float
        Share of volume that a close-out may take, in (0, 1].
    """

    notional: float
    model: str
    spread: float = 0.0005
    participation: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 < self.notional < np.inf:
            raise InputError(f"notional must be positive and finite, was {self.notional}")


def liquidity_tool(position: PositionLiquidity) -> Tool:
    """Return a tool that charges for closing one position in the market that is expected.

    Calm volume is that of the last 30 trading days, more as volatility is forecast to be higher;
    how far it may fall is what the stress probability says (:mod:`..liquidity`). Origins without a
    forecast or a volume have no margin.
    """
    return Tool(name="liquidity", apply=lambda plain, market: _charged(plain, market, position))


def addons_tool(addons: Addons) -> Tool:
    """Return a tool that adds charges to every margin."""
    return Tool(name="addons", apply=lambda plain, market: addons.raised(plain))


def _charged(
    plain: NDArray[np.float64], market: MarginMarket, position: PositionLiquidity
) -> NDArray[np.float64]:
    stress = market.liquidity_stress.get(position.model)
    if stress is None or position.model not in market.variance:
        raise InputError(
            f"charging for liquidity needs {position.model!r} to forecast the probability that it "
            f"is stressed; forecasts that do: {sorted(market.liquidity_stress)}"
        )
    sigma = np.sqrt(market.variance[position.model] / market.horizon)
    usual_volume, usual_sigma = _usual(_traded_value(market), market), _usual(sigma, market)
    volume = volume_from_cost(
        1.0, sigma, usual_cost=1.0, usual_sigma=usual_sigma, usual_volume=usual_volume
    )
    outlook = LiquidityOutlook(
        sigma=sigma[..., None],
        volume=volume[..., None],
        spread=position.spread,
        stress_probability=stress[..., None],
    )
    rule = LiquidityRule(participation=position.participation, base_periods=float(market.horizon))
    return liquidity_margin(position.notional, plain, outlook, rule=rule).total


def _traded_value(market: MarginMarket) -> NDArray[np.float64]:
    """Value traded in each period, quote currency; NaN where nothing is known."""
    panel = market.history.panel
    value = panel.values("quote_volume")
    value = np.where(np.isfinite(value), value, panel.values("volume") * panel.close)
    if not np.isfinite(value).any():
        raise InputError(
            "charging for liquidity needs volumes, but the bars have none; add the column volume, "
            "or leave the liquidity part out"
        )
    return np.where(value > 0.0, value, np.nan)


def _usual(values: NDArray[np.float64], market: MarginMarket) -> NDArray[np.float64]:
    """Mean of the last 30 trading days up to each row, of what there is."""
    window = _USUAL_SESSIONS * int(market.history.panel.periods_per_session.max())
    return pd.DataFrame(values).rolling(window, min_periods=window // 2).mean().to_numpy()
