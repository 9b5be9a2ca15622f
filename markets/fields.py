"""The optional fields of a panel: what each holds, its unit, and how a period gets its value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """How the values inside a period become one number."""

    FIRST = "first"
    """The value of the first bar."""
    HIGHEST = "highest"
    """The largest value; unknown if one bar is unknown."""
    LOWEST = "lowest"
    """The smallest value; unknown if one bar is unknown."""
    LAST = "last"
    """The last known value inside the period."""
    SUM = "sum"
    """The sum; unknown if one bar is unknown."""
    SUM_OF_KNOWN = "sum-of-known"
    """The sum of the known values (a funding rate is there every eighth hour only)."""
    MEAN = "mean"
    """The mean of the known values."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One optional field of a panel.

    Attributes
    ----------
    meaning : str
        What it holds, and its unit.
    rule : Rule
        How the values that became known inside a period become the value of the period.
    """

    meaning: str
    rule: Rule = Rule.LAST


FIELDS: Mapping[str, Field] = {
    "open": Field(meaning="first price of the period, quote currency", rule=Rule.FIRST),
    "high": Field(meaning="highest price of the period, quote currency", rule=Rule.HIGHEST),
    "low": Field(meaning="lowest price of the period, quote currency", rule=Rule.LOWEST),
    "volume": Field(meaning="traded quantity, units of the instrument", rule=Rule.SUM),
    "quote_volume": Field(meaning="traded value, quote currency", rule=Rule.SUM),
    "number_of_trades": Field(meaning="trades in the period, count", rule=Rule.SUM),
    "taker_buy_volume": Field(
        meaning="quantity bought by takers, units of the instrument", rule=Rule.SUM
    ),
    "bar_count": Field(meaning="bars that the period was made of, count", rule=Rule.SUM),
    "realized_variance": Field(
        meaning="sum of squared log returns inside the period, decimal squared", rule=Rule.SUM
    ),
    "bipower_variance": Field(
        meaning="jump-robust variance inside the period, decimal squared", rule=Rule.SUM
    ),
    "semivariance_negative": Field(
        meaning="sum of squared negative log returns, decimal squared", rule=Rule.SUM
    ),
    "semivariance_positive": Field(
        meaning="sum of squared positive log returns, decimal squared", rule=Rule.SUM
    ),
    "realized_quarticity": Field(
        meaning="fourth-moment measure of the noise in realized_variance, decimal^4",
        rule=Rule.SUM,
    ),
    "session_variance": Field(
        meaning="realized_variance without nights and halts: the bar after one counts from its "
        "open, decimal squared",
        rule=Rule.SUM,
    ),
    "median_variance": Field(
        meaning="jump-robust variance from medians of three neighbouring returns, decimal squared",
        rule=Rule.SUM,
    ),
    "subsampled_variance": Field(
        meaning="variance on a grid of five minutes (of one bar, if that is longer), averaged "
        "over its starting points, decimal squared",
        rule=Rule.SUM,
    ),
    "realized_kernel": Field(
        meaning="variance with the noise of bars below five minutes taken out by a Parzen kernel, "
        "decimal squared",
        rule=Rule.SUM,
    ),
    "realized_range": Field(
        meaning="variance from the ranges of the bars and the gaps between them, decimal squared",
        rule=Rule.SUM,
    ),
    "late_range": Field(
        meaning="the same of the last quarter of the bars, as if the period had been like it, "
        "decimal squared"
    ),
    "bar_amihud": Field(
        meaning="mean over the bars of absolute log return per traded value, decimal per quote "
        "currency",
        rule=Rule.MEAN,
    ),
    "range_illiquidity": Field(
        meaning="mean over the bars of log range per traded value, decimal per quote currency",
        rule=Rule.MEAN,
    ),
    "late_range_illiquidity": Field(
        meaning="the same of the last quarter of the bars, decimal per quote currency"
    ),
    "jump_statistic": Field(
        meaning="ratio test for jumps inside the period, standard normal without them, one-sided"
    ),
    "overnight_return": Field(
        meaning="log return from the last close before the period to its first open, decimal",
        rule=Rule.FIRST,
    ),
    "realized_beta": Field(
        meaning="beta of bar returns to the mean of the other instruments, dimensionless"
    ),
    "realized_correlation": Field(
        meaning="correlation of bar returns with the mean of the other instruments, -1 to 1"
    ),
    "bid": Field(meaning="last best bid of the period, quote currency"),
    "ask": Field(meaning="last best ask of the period, quote currency"),
    "spread_bps": Field(meaning="last quoted spread of the period, basis points of mid"),
    "funding_rate": Field(
        meaning="funding paid by longs, decimal, summed over the period", rule=Rule.SUM_OF_KNOWN
    ),
    "open_interest": Field(meaning="last open interest of the period, units of the instrument"),
    "open_interest_value": Field(meaning="last open interest of the period, quote currency"),
    "implied_vol": Field(meaning="last implied volatility of the period, decimal per year"),
    "mark_price": Field(meaning="last mark price of the period, quote currency"),
    "index_price": Field(
        meaning="last price of the index that the instrument follows, quote currency"
    ),
    "premium_index": Field(
        meaning="last premium of the perpetual over its index, decimal; may be negative"
    ),
    "long_short_ratio": Field(meaning="last ratio of long to short accounts, dimensionless"),
    "long_short_ratio_top_accounts": Field(
        meaning="last ratio of long to short accounts among the largest traders, dimensionless"
    ),
    "long_short_ratio_top_positions": Field(
        meaning="last ratio of long to short positions of the largest traders, dimensionless"
    ),
    "taker_long_short_ratio": Field(
        meaning="last ratio of taker buy to taker sell volume, dimensionless"
    ),
    "liquidation_long": Field(
        meaning="value of liquidated long positions, quote currency", rule=Rule.SUM_OF_KNOWN
    ),
    "liquidation_short": Field(
        meaning="value of liquidated short positions, quote currency", rule=Rule.SUM_OF_KNOWN
    ),
    "liquidation_value": Field(
        meaning="value of all liquidated positions, quote currency; for sources that do not tell "
        "longs from shorts",
        rule=Rule.SUM_OF_KNOWN,
    ),
    "oracle_price": Field(meaning="last price of the oracle, quote currency"),
    "oracle_confidence": Field(
        meaning="half-width of the oracle's confidence interval, quote currency"
    ),
    "oracle_age_s": Field(
        meaning="age of the oracle's last publication at the end of the period, seconds"
    ),
}
"""Optional fields of a panel; a source fills those that it knows."""

FIELD_FAMILIES: Mapping[str, Field] = {
    "depth_bid_<n>bps": Field(
        meaning="value of bids within <n> basis points of mid, quote currency"
    ),
    "depth_ask_<n>bps": Field(
        meaning="value of asks within <n> basis points of mid, quote currency"
    ),
    "slippage_buy_<n>": Field(
        meaning="cost of buying <n> quote currency at market, basis points of mid"
    ),
    "slippage_sell_<n>": Field(
        meaning="cost of selling <n> quote currency at market, basis points of mid"
    ),
}
"""Fields that come once per level of an order book; <n> is a whole number."""


def field_named(name: str) -> Field | None:
    """Return a field, a member of a family included; None if there is no such field."""
    return FIELDS.get(name) or FIELD_FAMILIES.get(re.sub(r"_\d+(?=bps$|$)", "_<n>", name))
