"""The one interface of every forecaster: a specification is fitted, the fitted one forecasts."""

from typing import Protocol, runtime_checkable

import numpy as np

from ..features import History
from .forecast import Forecast


class FittedForecaster(Protocol):
    """Immutable; safe to pickle and to share between processes."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the run must know, for example a fit that did not converge."""
        ...

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Forecast from each row in `origins`, using only what was known at that row.

        Parameters
        ----------
        history : History
            At least up to the last origin; may reach further, which must change nothing.
        origins : slice
            Rows of the panel.
        """
        ...


class Forecaster(Protocol):
    """A specification: holds hyper-parameters, never data."""

    @property
    def name(self) -> str:
        """Unique name: the value of the column ``model`` in every table."""
        ...

    @property
    def refit_days(self) -> int:
        """Calendar days between two fits of a walk-forward run."""
        ...

    def fit(self, history: History, *, rng: np.random.Generator) -> FittedForecaster:
        """Estimate on everything in `history`, which ends where knowledge ends.

        Parameters
        ----------
        history : History
            Cut with :meth:`History.upto`: outcomes not yet known are NaN.
        rng : numpy.random.Generator
            The only source of randomness; a forecaster without any ignores it.
        """
        ...


@runtime_checkable
class WarmForecaster(Forecaster, Protocol):
    """A forecaster that can start a fit where the previous one ended."""

    def refit(
        self, history: History, *, previous: FittedForecaster, rng: np.random.Generator
    ) -> FittedForecaster:
        """Estimate as :meth:`Forecaster.fit` does, starting from an earlier fit of the same model.

        Parameters
        ----------
        history : History
            Cut with :meth:`History.upto`; it begins where that of the previous fit began.
        previous : FittedForecaster
            What :meth:`Forecaster.fit` or this method returned for an earlier moment.
        rng : numpy.random.Generator
            The only source of randomness.
        """
        ...
