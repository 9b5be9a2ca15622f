"""Second generation: historical simulation, the quantile of the last losses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..empirical import rolling_tails
from ..market import MarginMarket, SideSeries
from ..schedule import Generation

_NEEDED = 100  # outcomes before a tail is read from them


@dataclass(frozen=True, kw_only=True)
class Historical:
    """Quantile of the losses of the last trading days.

    Attributes
    ----------
    sessions : int
        Trading days looked back; what there is, as long as there is less.
    """

    sessions: int = 500

    def __post_init__(self) -> None:
        if self.sessions < _NEEDED:
            raise InputError(
                f"sessions must be at least {_NEEDED} to hold a 1 % tail, was {self.sessions}"
            )

    @property
    def name(self) -> str:
        """``hs-500``."""
        return f"hs-{self.sessions}"

    @property
    def generation(self) -> Generation:
        """Reactive."""
        return Generation.REACTIVE

    @property
    def models(self) -> tuple[str, ...]:
        """Needs no forecast."""
        return ()

    def margin(self, market: MarginMarket) -> NDArray[np.float64]:
        """Return the rolling quantile of every side."""
        return market.each_side(
            lambda series: historical_rate(series, window=self.sessions * series.session)
        )


def historical_rate(series: SideSeries, *, window: int) -> NDArray[np.float64]:
    """Quantile of the losses of the last `window` own periods, fraction of notional, shape (n,).

    Of all there are, as long as there are fewer; NaN before a hundred, and where the quantile is
    no loss.
    """
    tails = np.array([series.tail_probability])
    quantile = rolling_tails(series.log_loss, tails, series.horizon, window, _NEEDED)[0][:, 0]
    # A market that has only risen has no loss to speak of; there is no margin to read from it.
    return series.rate(np.where(quantile > 0.0, quantile, np.nan))
