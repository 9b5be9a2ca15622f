"""The canonical bar file: which columns it may have, and how bars become a period."""

from collections.abc import Mapping
from dataclasses import dataclass

from .fields import Rule

TIME_COLUMNS = ("open_time", "close_time")
"""Start and end of a bar, UTC; one of them is needed, the start wins where both are there."""

OHLC_COLUMNS = ("open", "high", "low", "close")
"""Prices of a bar, quote currency; `close` is needed, the others come together or not at all."""

REALIZED_COLUMNS = (
    *("realized_variance", "bipower_variance", "semivariance_negative"),
    *("semivariance_positive", "median_variance", "realized_kernel", "realized_quarticity"),
)
"""Measures that somebody else made from finer bars, decimal squared, the last to the fourth."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One numeric column of a bar file.

    Attributes
    ----------
    field : str
        The panel field that it becomes.
    rule : Rule
        How the bars of a period become one value.
    positive : bool
        Whether the value must be above zero: prices.
    non_negative : bool
        Whether a value below zero is impossible: quantities.
    """

    field: str
    rule: Rule
    positive: bool = False
    non_negative: bool = False


COLUMNS: Mapping[str, Column] = {
    "open": Column(field="open", rule=Rule.FIRST, positive=True),
    "high": Column(field="high", rule=Rule.HIGHEST, positive=True),
    "low": Column(field="low", rule=Rule.LOWEST, positive=True),
    "close": Column(field="close", rule=Rule.LAST, positive=True),
    "volume": Column(field="volume", rule=Rule.SUM, non_negative=True),
    "quote_asset_volume": Column(field="quote_volume", rule=Rule.SUM, non_negative=True),
    "number_of_trades": Column(field="number_of_trades", rule=Rule.SUM, non_negative=True),
    "taker_buy_base_asset_volume": Column(
        field="taker_buy_volume", rule=Rule.SUM, non_negative=True
    ),
    "bid": Column(field="bid", rule=Rule.LAST, non_negative=True),
    "ask": Column(field="ask", rule=Rule.LAST, non_negative=True),
    "spread_bps": Column(field="spread_bps", rule=Rule.LAST, non_negative=True),
    "funding_rate": Column(field="funding_rate", rule=Rule.SUM_OF_KNOWN),
    "open_interest": Column(field="open_interest", rule=Rule.LAST, non_negative=True),
    "open_interest_value": Column(field="open_interest_value", rule=Rule.LAST, non_negative=True),
    "liquidation_long": Column(field="liquidation_long", rule=Rule.SUM_OF_KNOWN, non_negative=True),
    "liquidation_short": Column(
        field="liquidation_short", rule=Rule.SUM_OF_KNOWN, non_negative=True
    ),
    "implied_vol": Column(field="implied_vol", rule=Rule.LAST, non_negative=True),
    **{name: Column(field=name, rule=Rule.SUM, non_negative=True) for name in REALIZED_COLUMNS},
}
"""Every numeric column that becomes a panel field."""

DENSE_COLUMNS = (*OHLC_COLUMNS[:3], "volume")
"""Columns that have a value in every bar of a healthy file; the others may come now and then."""

VOLUME_COLUMNS = ("volume", "quote_asset_volume", "number_of_trades", "taker_buy_base_asset_volume")
"""Quantities traded in a bar; zero in all bars of a file means that the source does not know."""

UNKNOWN_COLUMNS = "unknown_columns"
"""Key of a table's ``attrs`` that lists the columns of the file that were not read."""

KNOWN_COLUMNS = frozenset({*TIME_COLUMNS, *COLUMNS, "instrument", "taker_buy_quote_asset_volume"})
"""Names that are no surprise in a bar file; the last one is accepted and not used."""
