"""Margin rules of trading venues, in the venues' own arithmetic, and what a forecast would change.

One module each. Rules for one market (`binance_tiers`, `drift`, `dydx`, `hyperliquid`, `vega`) are
a :class:`VenueRule`: a :class:`Position` goes in, a :class:`VenueMargin` comes out, and
:func:`compare_with_forecast` puts the rule now beside the rule with a forecast. Rules for a book of
options (`derive_pmrm`, `paradex`, `span`) take a :class:`foremargin.calibrate.options.Book` and its
marks: ``margin``, and ``with_forecast`` for their parameters under a forecast.
"""

from . import binance_tiers, derive_pmrm, drift, dydx, hyperliquid, paradex, span, vega
from .venue import Position, Requirement, VenueMargin, VenueRule, compare_with_forecast

__all__ = [
    "Position",
    "Requirement",
    "VenueMargin",
    "VenueRule",
    "binance_tiers",
    "compare_with_forecast",
    "derive_pmrm",
    "drift",
    "dydx",
    "hyperliquid",
    "paradex",
    "span",
    "vega",
]
