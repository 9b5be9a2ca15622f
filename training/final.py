"""The forecaster that is deployed: fitted on everything, and calibrated by its own past errors.

Tails and probabilities come from the errors that a model made out of sample. The deployed one
therefore carries what it said in its walk-forward run; what it says from then on is appended, and
the two are calibrated together by the very function that calibrates a backtest. A forecast at the
first new origin has the numbers that the backtest would have given it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ..errors import InputError
from ..features import History, build_history
from ..markets import Panel
from ..models import FittedForecaster, Forecast, join_forecasts
from .forecasting import calibrated


@dataclass(frozen=True, kw_only=True, eq=False)
class FinalForecaster:
    """A fitted forecaster with everything that a new origin needs.

    Attributes
    ----------
    fitted : FittedForecaster
        Fitted on all rows up to `trained_until`.
    past : Forecast
        What the walk-forward run said, uncalibrated, over consecutive rows before
        `trained_until`; no outcome of them was known when they were made.
    features : tuple of str
        What the model looks at, in order.
    period : pandas.Timedelta
        Length of a period.
    history_from : numpy.datetime64
        Close of the first period. A history must begin there: long-run levels are means since the
        beginning.
    trained_until : numpy.datetime64
        Close of the last period of the fit, and the first origin from which this forecasts.
    """

    fitted: FittedForecaster
    past: Forecast
    features: tuple[str, ...]
    period: pd.Timedelta
    history_from: np.datetime64
    trained_until: np.datetime64

    @property
    def model(self) -> str:
        """Name of the forecaster or mixture."""
        return self.past.model

    @property
    def horizons(self) -> tuple[int, ...]:
        """Numbers of own periods ahead."""
        return self.past.horizons

    def history(self, panel: Panel) -> History:
        """Compute what the model looks at.

        Raises
        ------
        InputError
            If the periods of the panel are not those of the training data.
        """
        self._check_panel(panel)
        return build_history(panel, horizons=self.horizons, features=self.features)

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Forecast from each row in `origins`, calibrated; each by what was known at it.

        Parameters
        ----------
        history : History
            From :meth:`history`.
        origins : slice
            Consecutive rows. Those before `trained_until` repeat the walk-forward run; instruments
            that it did not know have no tails until there are enough errors.

        Raises
        ------
        InputError
            If the history is not one of this model, or an origin lies before the walk-forward run.
        """
        start, stop, _ = origins.indices(history.panel.n_periods)
        first = self._check_history(history)
        fresh = first + len(self.past.origin)
        if not first <= start < stop:
            raise InputError(
                f"origins must be rows from {first} ({self.past.origin[0]}) on, were {start} to "
                f"{stop - 1}; the model said nothing before"
            )
        parts = [_of(self.past, history.panel.instruments)]
        if stop > fresh:
            # Linear algebra on one thread sums in one order: the same numbers on any machine.
            with threadpool_limits(1):
                parts.append(self.fitted.forecast(history, origins=slice(fresh, stop)))
        joined = _rows(join_forecasts(parts), slice(0, stop - first))
        whole = calibrated(joined, history, first_row=first, from_row=start)
        return _rows(whole, slice(start - first, stop - first))

    def _check_panel(self, panel: Panel) -> None:
        if panel.period != self.period or panel.time[0] != self.history_from:
            raise InputError(
                f"the data must be periods of {self.period} from {self.history_from} on, found "
                f"{panel.period} from {panel.time[0]}; give the model the data it was trained on "
                "and what came after them"
            )

    def _check_history(self, history: History) -> int:
        """Return the row of the first past origin."""
        panel = history.panel
        self._check_panel(panel)
        looks_at = history.features.names
        if looks_at != self.features or history.horizons != self.horizons:
            raise InputError(
                f"a history must have the {len(self.features)} features and the horizons "
                f"{self.horizons} of the model, found {len(looks_at)} and {history.horizons}; make "
                "it with the model's own method history"
            )
        wanted = np.append(self.past.origin, self.trained_until)
        first = int(np.searchsorted(panel.time, wanted[0]))
        if not np.array_equal(panel.time[first : first + len(wanted)], wanted):
            raise InputError(
                f"the data must have the periods that the model was trained on, up to "
                f"{self.trained_until}; found others from {panel.time[0]} to {panel.time[-1]}"
            )
        return first


def past_of(walked: Forecast) -> Forecast:
    """Return a walk-forward forecast without its last origin, which the final fit makes anew."""
    return _rows(walked, slice(0, len(walked.origin) - 1))


def _rows(forecast: Forecast, rows: slice) -> Forecast:
    """Return some of the origins."""
    arrays: dict[str, Any] = {name: getattr(forecast, name)[rows] for name in _arrays(forecast)}
    return replace(forecast, **arrays)


def _of(forecast: Forecast, instruments: Sequence[str]) -> Forecast:
    """Return the forecast for these instruments in this order; NaN for those it lacks."""
    if tuple(instruments) == forecast.instruments:
        return forecast
    arrays: dict[str, Any] = {}
    for name in _arrays(forecast):
        values = getattr(forecast, name)
        if name == "origin":
            continue
        out = np.full((len(values), len(instruments), *values.shape[2:]), np.nan)
        for i, instrument in enumerate(instruments):
            if instrument in forecast.instruments:
                out[:, i] = values[:, forecast.instruments.index(instrument)]
        arrays[name] = out
    return replace(forecast, instruments=tuple(instruments), **arrays)


def _arrays(forecast: Forecast) -> list[str]:
    """Names of the fields whose first axis is the origin."""
    return [f.name for f in fields(forecast) if isinstance(getattr(forecast, f.name), np.ndarray)]
