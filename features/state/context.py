"""The market-wide series that features look for in a panel, under the names sources give them."""

from dataclasses import dataclass

import numpy as np

from ...markets import DAYS_PER_YEAR
from ..measures import Measures
from ..moving import Values


@dataclass(frozen=True, kw_only=True)
class Series:
    """A market-wide series.

    Attributes
    ----------
    name : str
        How features call it.
    sources : tuple of str
        Names under which a panel may hold it; the first that is there is used, for they may
        differ in level.
    meaning : str
        Words for people, with a unit.
    logarithmic : bool
        True for prices, indices and volatilities, whose logs are used; False for yields.
    volatility : bool
        True for quotes of volatility, which sources give as decimals or in percent.
    """

    name: str
    sources: tuple[str, ...]
    meaning: str
    logarithmic: bool
    volatility: bool = False


EQUITY = Series(
    name="equity", sources=("SP500", "SPX"), meaning="the equity index", logarithmic=True
)
DOLLAR = Series(
    name="dollar",
    sources=("DTWEXBGS", "DXY", "DXY_ICE"),
    meaning="the dollar index",
    logarithmic=True,
)
VIX = Series(
    name="vix",
    sources=("VIX", "VIXCLS"),
    meaning="implied volatility of equities",
    logarithmic=True,
    volatility=True,
)
DVOL = Series(
    name="dvol",
    sources=("DVOL", "DVOL_BTC", "BTC_DVOL"),
    meaning="implied volatility of bitcoin",
    logarithmic=True,
    volatility=True,
)
RATE = Series(
    name="rate", sources=("DGS2",), meaning="the two-year Treasury yield", logarithmic=False
)
SLOPE = Series(
    name="curve_slope",
    sources=("T10Y2Y",),
    meaning="the ten-year minus the two-year yield",
    logarithmic=False,
)
CREDIT = Series(
    name="credit_spread",
    sources=("BAMLH0A0HYM2",),
    meaning="the yield spread of high-yield bonds",
    logarithmic=True,
)

_LONG_VIX = Series(
    name="vix_long",
    sources=("VIX3M", "VXV", "VXVCLS"),
    meaning="three-month implied volatility of equities",
    logarithmic=True,
    volatility=True,
)
_LONG_RATE = Series(
    name="rate_long", sources=("DGS10",), meaning="the ten-year Treasury yield", logarithmic=False
)


_LARGEST_DECIMAL = 3.0  # volatility per year
_PERCENT = 100.0


def series_of(m: Measures, series: Series) -> Values:
    """Return the series, or its log, shape (n_periods,); NaN where there is none.

    Volatilities become decimals: a quote above 3 is in percent, for no index was ever quoted
    below 3 percent or above 300. The slope of the curve is taken from the two yields where no
    source gives it.
    """
    names = [name for name in series.sources if name in m.panel.context]
    if not names and series is SLOPE:
        return series_of(m, _LONG_RATE) - series_of(m, RATE)
    values = m.panel.context_values(names[0] if names else series.sources[0])
    if not series.logarithmic:
        return values
    if series.volatility:
        values = np.where(values > _LARGEST_DECIMAL, values / _PERCENT, values)
    return np.log(np.where(values > 0.0, values, np.nan))


def term_of_vix(m: Measures) -> Values:
    """Return the log of one-month over three-month implied volatility, shape (n_periods,)."""
    return series_of(m, VIX) - series_of(m, _LONG_VIX)


def spread_out(m: Measures, series: Values) -> Values:
    """Copy a market-wide series to every present instrument, (n_periods, n_instruments)."""
    return np.where(m.present, series[:, None], np.nan)


def rows_of(m: Measures, days: float) -> int:
    """Return how many rows of the panel `days` calendar days hold, at least one."""
    return int(m.span(days).max())


def rows_per_year(m: Measures) -> float:
    """Return the rows of the panel in a year: those of its busiest calendar."""
    busiest = float(m.panel.periods_per_year.max())
    return busiest if np.isfinite(busiest) else DAYS_PER_YEAR
