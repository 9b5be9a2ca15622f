"""What the network looks at: scaled features, GARCH forecasts, and the last own periods."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...features import History, Standardiser
from ..forecaster import FittedForecaster
from ..pooled import usable_rows
from ..regressions.terms import with_features

Values = NDArray[np.float64]

CHANNELS = ("log_variance", "return", "known")
"""What the convolution sees of each period: log variance against the level of its origin's
instrument then, return over the volatility at that level, and 1 where both are known."""

_LIMIT = 5.0  # where a channel is cut; one is about a standard deviation


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """The last `length` own periods before and at each of B origins, without copies of them.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_channels)
        Own periods of all instruments one after the other, zeros before each.
    last : ndarray of int, shape (B,)
        Row of `values` at which each origin's window ends.
    length : int
        Periods of a window; 0 for no window at all.
    """

    values: Values
    last: NDArray[np.intp]
    length: int

    def gather(self, which: NDArray[np.intp] | slice = slice(None)) -> Values:
        """Return windows, oldest period first, shape (n, length, n_channels)."""
        return np.asarray(self.values[self.last[which][:, None] + np.arange(1 - self.length, 1)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """The inputs of B origins.

    Attributes
    ----------
    rows : ndarray of bool, shape (n_periods, n_instruments)
        The cells that the origins are, in row-major order.
    column : ndarray of int, shape (B,)
        Instrument of each.
    level : ndarray, shape (B,)
        Log of the instrument's usual variance, as known at the origin.
    x : ndarray, shape (B, n_inputs)
        Standardised; missing is zero, and sets a column that says so.
    windows : Windows
        What the convolution sees.
    late_offset : ndarray, shape (B, H)
        Offsets of instruments that a fit has not seen, from outcomes known at the origin: logs.
    """

    rows: NDArray[np.bool_]
    column: NDArray[np.intp]
    level: Values
    x: Values
    windows: Windows
    late_offset: Values


def with_garch(history: History, garch: FittedForecaster, features: Sequence[str]) -> History:
    """Return a history that has the named features and the logs of a model's variances too.

    The latter are per period and relative to the level, one feature per horizon; NaN for an
    instrument that the model was not fitted on.
    """
    history = with_features(history, features)
    known = history.features
    variance = garch.forecast(history, origins=slice(0, history.panel.n_periods)).variance
    logs = np.log(variance / np.array(history.horizons)) - known.level[..., None]
    return replace(
        history,
        features=replace(
            known,
            names=(*known.names, *(f"garch_{horizon}" for horizon in history.horizons)),
            values=np.concatenate([known.values, logs], axis=-1),
        ),
    )


def make_inputs(
    history: History, scaler: Standardiser, *, length: int, origins: slice = slice(None)
) -> Inputs:
    """Collect the inputs of all origins in some panel rows that a pooled model may speak at."""
    rows = usable_rows(history)
    asked = np.zeros(len(rows), dtype=bool)
    asked[origins] = True
    rows &= asked[:, None]
    return Inputs(
        rows=rows,
        column=np.nonzero(rows)[1],
        level=history.features.level[rows],
        x=scaler.transform(history.features.values[rows]),
        windows=_windows(history, rows, length),
        late_offset=np.zeros((int(rows.sum()), len(history.horizons))),
    )


def channels_of(variance: Values, level: Values, log_return: Values) -> Values:
    """Return what the convolution sees of some periods, (..., 3), for arrays of one shape."""
    with np.errstate(divide="ignore"):  # a price that stood still has the lowest log there is
        log_variance = np.log(variance) - level
    scaled = log_return * np.exp(-0.5 * level)
    known = np.isfinite(variance) & np.isfinite(level) & np.isfinite(scaled)
    channels = np.stack([log_variance, scaled, known], axis=-1)
    return np.where(known[..., None], np.clip(channels, -_LIMIT, _LIMIT), 0.0)


def _windows(history: History, rows: NDArray[np.bool_], length: int) -> Windows:
    panel, features = history.panel, history.features
    channels = channels_of(features.variance, features.level, panel.log_return)
    position = np.full(rows.shape, -1, dtype=np.intp)
    parts, n_rows = [], 0
    for i in range(panel.n_instruments):
        own = np.flatnonzero(panel.present[:, i])
        parts += [np.zeros((length, len(CHANNELS))), channels[own, i]]
        position[own, i] = n_rows + length + np.arange(len(own))
        n_rows += length + len(own)
    return Windows(values=np.concatenate(parts), last=position[rows], length=length)
