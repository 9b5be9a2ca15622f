"""Margin rules of trading venues, in the venues' own arithmetic, and what a forecast would change.

One module each: `binance_tiers`, `derive_pmrm`, `drift`, `dydx`, `hyperliquid`, `paradex`, `span`
and `vega`. Those for one market (Binance, Drift, dYdX, Hyperliquid, Vega) are a
:class:`VenueRule`: a :class:`Position` goes in, a :class:`VenueMargin` comes out, and
:func:`compare_with_forecast` puts the rule now beside the rule with a forecast.
"""

from . import binance_tiers, drift, dydx, hyperliquid, vega
from .venue import Position, Requirement, VenueMargin, VenueRule, compare_with_forecast

__all__ = [
    "Position",
    "Requirement",
    "VenueMargin",
    "VenueRule",
    "binance_tiers",
    "compare_with_forecast",
    "drift",
    "dydx",
    "hyperliquid",
    "vega",
]
