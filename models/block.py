"""One fit and the block of origins it serves: the unit of work of a walk-forward run."""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from ..errors import NotEnoughHistoryError
from ..features import History
from .forecast import Forecast, empty_variance
from .forecaster import Forecaster


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Forecasts from consecutive origins, made by one fit.

    Attributes
    ----------
    first_row : int
        Panel row of the first origin.
    forecast : Forecast
        All NaN if the model had too little history.
    notes : tuple of str
        What a reader must know about the fit.
    """

    first_row: int
    forecast: Forecast
    notes: tuple[str, ...]


def fit_block(
    forecaster: Forecaster, history: History, *, origins: slice, rng: np.random.Generator
) -> Block:
    """Fit on what was known before the first origin, then forecast from every origin.

    Parameters
    ----------
    forecaster : Forecaster
        What to fit.
    history : History
        The whole past; the fit gets the part before ``origins.start``.
    origins : slice
        Consecutive panel rows.
    rng : numpy.random.Generator
        The fit's own stream.
    """
    # Linear algebra on one thread sums in one order: the same numbers on any number of cores.
    with threadpool_limits(1):
        try:
            fitted = forecaster.fit(history.upto(origins.start), rng=rng)
        except NotEnoughHistoryError as error:
            day = np.datetime_as_string(history.panel.time[origins.start], unit="D")
            silent = _no_forecast(forecaster, history, origins)
            return Block(first_row=origins.start, forecast=silent, notes=(f"{day}: {error}",))
        forecast = fitted.forecast(history, origins=origins)
    return Block(first_row=origins.start, forecast=forecast, notes=fitted.notes)


def _no_forecast(forecaster: Forecaster, history: History, origins: slice) -> Forecast:
    panel = history.panel
    origin = panel.time[origins]
    return Forecast(
        model=forecaster.name,
        origin=origin,
        instruments=panel.instruments,
        horizons=history.horizons,
        variance=empty_variance(len(origin), panel.n_instruments, len(history.horizons)),
    )
