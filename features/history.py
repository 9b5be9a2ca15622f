"""A history: panel, features and targets together, as they were known at some moment."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..markets import Panel
from .features import Features, build_features
from .targets import Targets, build_targets


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """What a forecaster is given; :meth:`upto` makes looking ahead impossible.

    Attributes
    ----------
    panel : Panel
        What happened.
    features : Features
        What was known at each close.
    targets : Targets
        What came after it, as far as that is known.
    """

    panel: Panel
    features: Features
    targets: Targets

    @property
    def horizons(self) -> tuple[int, ...]:
        """Horizons of the targets, own periods."""
        return self.targets.horizons

    def upto(self, stop: int) -> "History":
        """Return the history as it was known at the close of row ``stop - 1``."""
        return History(
            panel=self.panel.upto(stop),
            features=self.features.upto(stop),
            targets=self.targets.upto(stop),
        )


def build_history(
    panel: Panel, *, horizons: Sequence[int], features: Sequence[str] | None = None
) -> History:
    """Compute features and targets of a panel.

    Parameters
    ----------
    panel : Panel
        The market.
    horizons : sequence of int
        Forward horizons, own periods, increasing.
    features : sequence of str, optional
        Names of features; by default all.
    """
    return History(
        panel=panel,
        features=build_features(panel, names=features),
        targets=build_targets(panel, horizons=horizons),
    )
