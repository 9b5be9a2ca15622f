"""A mixture that is ready to forecast: its members, fitted, and the last weights it learned."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..features import History
from .forecast import Forecast
from .forecaster import FittedForecaster
from .mixture import Mixture, MixtureWeights, mixed_forecast, stacked_logs


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedMixture:
    """Fitted members with fixed weights.

    Attributes
    ----------
    spec : Mixture
        What was mixed.
    members : tuple of FittedForecaster
        In the order of ``spec.members``.
    weights : MixtureWeights
        Learned on what the members had forecast out of sample (see :meth:`Mixture.learn`).
    """

    spec: Mixture
    members: tuple[FittedForecaster, ...]
    weights: MixtureWeights

    def __post_init__(self) -> None:
        if self.weights.members != self.spec.members or len(self.members) != len(self.spec.members):
            raise InputError(
                f"{self.spec.name} must have a fit and a weight for each of {self.spec.members}, "
                f"found {len(self.members)} fits and weights of {self.weights.members}"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of all members."""
        pairs = zip(self.spec.members, self.members, strict=True)
        return tuple(f"{name}: {note}" for name, member in pairs for note in member.notes)

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Forecast with every member and mix."""
        parts = [member.forecast(history, origins=origins) for member in self.members]
        variance = np.exp(self.weights.mix(stacked_logs(parts)))
        return mixed_forecast(self.spec.name, parts, variance=variance)
