"""A mixture that is ready to forecast: its sources, fitted, and the last weights it learned."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..features import History
from .forecast import Forecast
from .forecaster import FittedForecaster
from .mixture import Mixture, MixtureWeights, stacked_logs


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedMixture:
    """Fitted sources with fixed weights.

    Attributes
    ----------
    spec : Mixture
        What was mixed.
    sources : tuple of FittedForecaster
        In the order of ``spec.sources``.
    weights : MixtureWeights
        Learned on what the members had forecast out of sample (see :meth:`Mixture.learn`).
    """

    spec: Mixture
    sources: tuple[FittedForecaster, ...]
    weights: MixtureWeights

    def __post_init__(self) -> None:
        n_fits, spec = len(self.sources), self.spec
        if self.weights.members != spec.members or n_fits != len(spec.sources):
            raise InputError(
                f"{spec.name} must have a fit of each of {spec.sources} and a weight for each of "
                f"{spec.members}, found {n_fits} fits and weights of {self.weights.members}"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of all sources."""
        pairs = zip(self.spec.sources, self.sources, strict=True)
        return tuple(f"{name}: {note}" for name, source in pairs for note in source.notes)

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Forecast with every source and mix."""
        forecasts = {
            name: source.forecast(history, origins=origins)
            for name, source in zip(self.spec.sources, self.sources, strict=True)
        }
        logs = stacked_logs([forecasts[member] for member in self.spec.members])
        return self.spec.told(forecasts, variance=np.exp(self.weights.mix(logs)))
