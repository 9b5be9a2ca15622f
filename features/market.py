"""What the other instruments show: the common level of volatility."""

from .feature import Feature
from .measures import Measures
from .moving import Values


def _market_mean(m: Measures, days: float) -> Values:
    return m.market(m.mean(m.log_variance - m.level, days=days))


MARKET_FEATURES = (
    Feature(
        name="market_day",
        unit="log of a ratio to the long-run level",
        meaning="mean over instruments of the last day's log variance",
        compute=lambda m: _market_mean(m, 1),
    ),
    Feature(
        name="market_week",
        unit="log of a ratio to the long-run level",
        meaning="mean over instruments of the last week's log variance",
        compute=lambda m: _market_mean(m, 7),
    ),
)
