"""From a walk-forward run to the forecaster that is deployed, and how fast that one answers."""

import time

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..models import (
    ALL_MIXTURES,
    FittedForecaster,
    FittedMixture,
    FittedOnWindow,
    Forecast,
    stacked_logs,
)
from .final import FinalForecaster, past_of
from .forecasting import Forecasts
from .preparation import Preparation
from .seeds import stream

_MIXTURES = {mixture.name: mixture for mixture in ALL_MIXTURES}
_MOST_REPEATS, _FEWEST_REPEATS, _ENOUGH_S = 100, 5, 10.0


def sources_of(model: str) -> tuple[str, ...]:
    """Return the forecasters that a model is made of: itself, or the sources of a mixture."""
    return _MIXTURES[model].sources if model in _MIXTURES else (model,)


def fit_final(prepared: Preparation, made: Forecasts) -> FinalForecaster:
    """Fit the model of the section `train` on everything.

    Parameters
    ----------
    prepared : Preparation
        The checked experiment with its data.
    made : Forecasts
        Its walk-forward run, with the model and, for a mixture, its sources.

    Raises
    ------
    NotEnoughHistoryError
        If there is too little to fit on.
    """
    history, panel = prepared.history, prepared.panel
    return FinalForecaster(
        fitted=_fit(prepared, made),
        past=past_of(_raw(made, prepared.experiment.train.model)),
        features=history.features.names,
        period=panel.period,
        history_from=panel.time[0],
        trained_until=panel.time[-1],
    )


def measure_latency(final: FinalForecaster, prepared: Preparation) -> NDArray[np.float64]:
    """Time calibrated forecasts at the last origin, milliseconds, shape (n,).

    The features of that origin are there: a service keeps them up to date as data arrive.
    """
    last = prepared.panel.n_periods - 1
    origins = slice(last, last + 1)
    final.forecast(prepared.history, origins=origins)  # compiles, and fills caches
    taken: list[float] = []
    begun = time.perf_counter()
    while len(taken) < _MOST_REPEATS:
        before = time.perf_counter()
        final.forecast(prepared.history, origins=origins)
        after = time.perf_counter()
        taken.append(1e3 * (after - before))
        if len(taken) >= _FEWEST_REPEATS and after - begun > _ENOUGH_S:
            break
    return np.array(taken)


def _fit(prepared: Preparation, made: Forecasts) -> FittedForecaster:
    model = prepared.experiment.train.model
    fitted = tuple(fit_source(prepared, source) for source in sources_of(model))
    if model not in _MIXTURES:
        return fitted[0]
    mixture = _MIXTURES[model]
    weights = mixture.learn(
        stacked_logs([_raw(made, member) for member in mixture.members]),
        prepared.history,
        first_row=prepared.split.forecast_row,
        known_row=prepared.panel.n_periods,
    )
    return FittedMixture(spec=mixture, sources=fitted, weights=weights)


def fit_source(prepared: Preparation, name: str) -> FittedForecaster:
    """Fit one forecaster on everything that its window holds."""
    experiment, n_periods = prepared.experiment, prepared.panel.n_periods
    window = experiment.schedule().window_of(name)
    first_row = window.first_row(prepared.panel, stop=n_periods)
    known = prepared.history.between(first_row, n_periods)
    # Linear algebra on one thread sums in one order: the same numbers on any number of cores.
    with threadpool_limits(1):
        fitted = experiment.forecaster(name).fit(
            known, rng=stream(experiment.seed, f"{name}/final")
        )
    return FittedOnWindow(fitted=fitted, first_row=first_row) if first_row else fitted


def _raw(made: Forecasts, model: str) -> Forecast:
    (found,) = (forecast for forecast in made.raw if forecast.model == model)
    return found
