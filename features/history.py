"""A history: panel, features and targets together, as they were known at some moment."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from ..errors import InputError
from ..markets import Panel
from .features import Features, build_features
from .targets import Targets, build_targets

_Rows = TypeVar("_Rows", Features, Targets)


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

    def since(self, start: int) -> "History":
        """Return the rows from `start` on; nothing is computed again.

        A feature that looks far back keeps the value it had, so that a rolling window cuts what
        a model estimates on and not what was known. Row `start` becomes row 0, in
        :attr:`Targets.known_at` too.
        """
        n_periods = self.panel.n_periods
        if not 0 <= start < n_periods:
            raise InputError(f"start must be a row of the panel, 0 to {n_periods - 1}, was {start}")
        targets = _rows_from(self.targets, start)
        return History(
            panel=self.panel.rows(start, n_periods),
            features=_rows_from(self.features, start),
            targets=replace(targets, known_at=targets.known_at - start),
        )

    def between(self, start: int, stop: int) -> "History":
        """Return rows `start` to ``stop - 1`` as they were known at the close of the last one."""
        return self.upto(stop).since(start)


def _rows_from(table: _Rows, start: int) -> _Rows:
    """Leave out the first rows of every array; the first axis of each is the period."""
    arrays: dict[str, Any] = {
        field.name: value[start:]
        for field in fields(table)
        if isinstance(value := getattr(table, field.name), np.ndarray)
    }
    return replace(table, **arrays)


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
