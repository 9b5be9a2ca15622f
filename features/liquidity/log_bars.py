"""Log prices of bars, each beside the bar before it: what every price-based spread starts from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ShapeError

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class LogBars:
    """Natural logs of the prices of bars and of their predecessors, arrays of one shape.

    An estimator of spreads works element by element on these arrays and then takes means, so that
    the same formula serves one sample, a rolling window and a panel that is read chunk by chunk.

    Attributes
    ----------
    open, high, low, close : ndarray
        Logs of the prices of each bar; NaN where unknown.
    previous_high, previous_low, previous_close : ndarray
        The same of the bar before; NaN where there is none.
    earlier_close : ndarray
        Log of the close two bars before.
    """

    open: Array
    high: Array
    low: Array
    close: Array
    previous_high: Array
    previous_low: Array
    previous_close: Array
    earlier_close: Array

    @classmethod
    def of(cls, *, open: ArrayLike, high: ArrayLike, low: ArrayLike, close: ArrayLike) -> "LogBars":
        """Take logs of consecutive bars of one instrument, each array of shape (n,).

        Prices in any currency, oldest first. A price that is not positive is unknown (NaN), and so
        are the high and the low of a bar that do not enclose each other.

        Raises
        ------
        ShapeError
            If the arrays are not one-dimensional and of one length.
        """
        opened, highest, lowest, closed = (_log(x) for x in (open, high, low, close))
        for name, array in (("high", highest), ("low", lowest), ("close", closed)):
            if array.shape != opened.shape or array.ndim != 1:
                raise ShapeError(
                    f"{name} must have shape (n,) like open, was {array.shape} where open has "
                    f"{opened.shape}; pass the bars of one instrument"
                )
        crossed = highest < lowest
        highest, lowest = np.where(crossed, np.nan, highest), np.where(crossed, np.nan, lowest)
        return cls(
            open=opened,
            high=highest,
            low=lowest,
            close=closed,
            previous_high=_before(highest, 1),
            previous_low=_before(lowest, 1),
            previous_close=_before(closed, 1),
            earlier_close=_before(closed, 2),
        )

    @property
    def mid_range(self) -> Array:
        """Half way between high and low, in logs."""
        return 0.5 * (self.high + self.low)

    @property
    def previous_mid_range(self) -> Array:
        """Half way between the high and the low of the bar before, in logs."""
        return 0.5 * (self.previous_high + self.previous_low)


def _log(price: ArrayLike) -> Array:
    values = np.asarray(price, dtype=np.float64)
    return np.asarray(np.log(np.where(values > 0.0, values, np.nan)))


def _before(values: Array, bars: int) -> Array:
    out = np.full(len(values), np.nan)
    out[bars:] = values[: max(0, len(values) - bars)]
    return out
