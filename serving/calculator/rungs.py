"""The forecasters of the ladder behind one protocol, and the two that need nothing but numpy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...features import Features
from ...markets import Panel
from ...models import OnlineGarch, OnlineLogHar
from ..quote import Basis
from .packing import pack, unpack

Values = NDArray[np.float64]


class OnlineForecaster(Protocol):
    """A fitted forecaster that is told of one closed row after the other.

    It may raise or give NaN; the calculator then takes the next one. Once it has raised it is not
    asked again before it is loaded anew: it may have missed a row.
    """

    @property
    def name(self) -> str:
        """Name of the forecaster, as its walk-forward scores are filed under."""
        ...

    @property
    def basis(self) -> Basis:
        """Its rung."""
        ...

    def advance(self, rows: Panel, features: Features) -> Values:
        """Take one closed row and forecast from its close.

        Parameters
        ----------
        rows : Panel
            One row.
        features : Features
            Of that row.

        Returns
        -------
        ndarray, shape (n_instruments, n_horizons)
            Variance of the sum of the next returns, decimal squared; NaN where nothing is known.
        """
        ...

    def snapshot(self) -> bytes:
        """Return all that it remembers."""
        ...

    def restore(self, saved: bytes) -> None:
        """Take over what :meth:`snapshot` returned; InputError if it does not fit."""
        ...


@runtime_checkable
class GivesProbabilities(Protocol):
    """A forecaster that says more than a variance."""

    @property
    def probabilities(self) -> Mapping[str, Values]:
        """Of the last row, each of shape (n_instruments, n_horizons).

        Any of ``stress_probability``, ``liquidity_stress_probability`` and ``liquidity_cost``;
        NaN where nothing is known.
        """
        ...


@runtime_checkable
class SeesThePrice(Protocol):
    """A forecaster that can say what it would forecast if the period closed at some price."""

    def provisional(self, place: int, log_return: float) -> Sequence[float]:
        """Return the variances of one instrument, by horizon; nothing is changed."""
        ...


@dataclass(frozen=True, kw_only=True)
class LinearRung:
    """The log-HAR regression on the features of the stream."""

    forecaster: OnlineLogHar
    name: str = "log-har"
    basis: Basis = Basis.LINEAR

    def advance(self, rows: Panel, features: Features) -> Values:
        """Forecast from the last row."""
        return self.forecaster.variance(features)

    def snapshot(self) -> bytes:
        """Return nothing: it remembers nothing."""
        return b""

    def restore(self, saved: bytes) -> None:
        """Accept nothing."""
        if saved:
            raise InputError(f"log-har remembers nothing, found {len(saved)} bytes; it is damaged")


@dataclass(frozen=True, kw_only=True)
class GarchRung:
    """The GARCH recursion on returns alone."""

    forecaster: OnlineGarch
    name: str = "gjr-t"
    basis: Basis = Basis.GARCH
    needs_features: bool = False

    def advance(self, rows: Panel, features: Features | None) -> Values:
        """Forecast from the last row."""
        return self.forecaster.advance(rows.log_return[-1])

    def provisional(self, place: int, log_return: float) -> Sequence[float]:
        """Return the variances of one instrument if its period closed with a return."""
        return self.forecaster.provisional(place, log_return)

    def snapshot(self) -> bytes:
        """Return the running variances."""
        return pack({"level": self.forecaster.level})

    def restore(self, saved: bytes) -> None:
        """Take over running variances of the same instruments."""
        level = unpack(saved).get("level")
        own = self.forecaster.level
        if not isinstance(level, np.ndarray) or (level.shape, level.dtype) != (
            own.shape,
            own.dtype,
        ):
            raise InputError(f"saved variances must be of {len(own)} instruments; damaged")
        if not ((level > 0.0) | np.isnan(level)).all():
            raise InputError("saved variances must be positive; they are damaged")
        own[...] = level
