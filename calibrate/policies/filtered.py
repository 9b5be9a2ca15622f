"""Second generation: filtered historical simulation on a volatility model.

The quantile of past losses in units of the volatility forecast for them, times today's forecast.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..empirical import rolling_tails
from ..market import MarginMarket, SideSeries
from ..schedule import Generation
from ..tails import NEEDED, WINDOW_SESSIONS


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """Filtered historical simulation on the forecasts of one model.

    Attributes
    ----------
    model : str
        Name of the forecaster.
    """

    model: str

    @property
    def name(self) -> str:
        """``garch-normal-fhs``."""
        return f"{self.model}-fhs"

    @property
    def generation(self) -> Generation:
        """Reactive."""
        return Generation.REACTIVE

    @property
    def models(self) -> tuple[str, ...]:
        """The one model."""
        return (self.model,)

    def margin(self, market: MarginMarket) -> NDArray[np.float64]:
        """Return the rolling scaled quantile of every side."""
        return market.each_side(self._rate)

    def _rate(self, series: SideSeries) -> NDArray[np.float64]:
        sigma = series.sigma(self.model)
        tails = np.array([series.tail_probability])
        window = WINDOW_SESSIONS * series.session
        score = series.log_loss / sigma
        quantile = rolling_tails(score, tails, series.horizon, window, min(NEEDED, window))[0]
        scaled = quantile[:, 0] * sigma
        return series.rate(np.where(scaled > 0.0, scaled, np.nan))
