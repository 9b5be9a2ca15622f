"""The moving parts of features: trailing statistics that carry on where they stopped.

Each part advances one period at a time in compiled code and keeps all that it needs in arrays of
its own. A backtest feeds it the whole history at once, a live stream one row at a time; both run
the same steps in the same order, so they agree to the last bit, and neither can look ahead.

Every part works in an instrument's own time: rows in which the instrument is not present are
passed over, as if they were not there. Arrays have shape (n_periods, n_instruments), windows
shape (n_instruments,) in own periods.
"""

from .arrays import Counts, Present, Values, dense
from .covariance import TrailingCovariance
from .lag import Lag
from .mean import TrailingMean
from .quantile import ExpandingQuantile, TrailingQuantile
from .running import DecayedMean, RunningTotal

__all__ = [
    "Counts",
    "DecayedMean",
    "ExpandingQuantile",
    "Lag",
    "Present",
    "RunningTotal",
    "TrailingCovariance",
    "TrailingMean",
    "TrailingQuantile",
    "Values",
    "dense",
]
