"""The forecast: variance, tails and stress at every origin, instrument and horizon."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError, ShapeError

TAIL_PROBABILITIES = (0.01, 0.025, 0.05)
"""Tail probabilities of every forecast's value at risk and expected shortfall."""

_TAILS = (
    "value_at_risk_lower",
    "expected_shortfall_lower",
    "value_at_risk_upper",
    "expected_shortfall_upper",
)
_TAIL_LABELS = ("var_lower", "es_lower", "var_upper", "es_upper")
_PROBABILITIES = ("stress_probability", "liquidity_stress_probability")
_PER_HORIZON = (*_PROBABILITIES, "liquidity_cost")  # of the shape of the variance

REGIMES = ("calm", "elevated", "stressed")
"""Regimes of every forecast's `regime_probability`: forward variance below, between and above two
past quantiles of the instrument (see :class:`foremargin.features.Targets`)."""

_OPTIONAL = (*_TAILS, *_PER_HORIZON, "regime_probability")
_REGIME_COLUMNS = tuple(f"regime_{regime}_probability" for regime in REGIMES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """What one model said about the next periods; read-only arrays, NaN where it said nothing.

    Attributes
    ----------
    model : str
        Name of the forecaster.
    origin : ndarray of datetime64[ns], shape (n_origins,)
        Last time the model was allowed to see, UTC.
    instruments : tuple of str
        Names, in column order.
    horizons : tuple of int
        Numbers of the instrument's own periods ahead.
    variance : ndarray, shape (n_origins, n_instruments, n_horizons)
        Variance of the summed log return over the next `horizon` periods, decimal squared.
    value_at_risk_lower, value_at_risk_upper : ndarray or None
        Quantile of the loss of a long (falling price) and of a short (rising price), as a
        positive log return, shape (n_origins, n_instruments, n_horizons, n_tails) in the order of
        :data:`TAIL_PROBABILITIES`; None if the model has no tails of its own.
    expected_shortfall_lower, expected_shortfall_upper : ndarray or None
        Mean loss beyond the value at risk, same unit, sign and shape.
    stress_probability, liquidity_stress_probability : ndarray or None
        Probability, in [0, 1], that the targets of the same names become true, shape of
        `variance`; None if the model gives none.
    regime_probability : ndarray or None
        Probabilities of the regimes of the horizon, shape (n_origins, n_instruments, n_horizons,
        3) in the order of :data:`REGIMES`, summing to one; the last is the `stress_probability`.
    liquidity_cost : ndarray or None
        Expected mean relative cost of trading over the horizon, a fraction of notional (see
        :func:`foremargin.features.liquidity.relative_cost`), shape of `variance`.
    """

    model: str
    origin: NDArray[np.datetime64]
    instruments: tuple[str, ...]
    horizons: tuple[int, ...]
    variance: NDArray[np.float64]
    value_at_risk_lower: NDArray[np.float64] | None = None
    expected_shortfall_lower: NDArray[np.float64] | None = None
    value_at_risk_upper: NDArray[np.float64] | None = None
    expected_shortfall_upper: NDArray[np.float64] | None = None
    stress_probability: NDArray[np.float64] | None = None
    liquidity_stress_probability: NDArray[np.float64] | None = None
    regime_probability: NDArray[np.float64] | None = None
    liquidity_cost: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.origin), len(self.instruments), len(self.horizons))
        for name in ("variance", *_OPTIONAL):
            array = getattr(self, name)
            wanted = (*shape, *_extra_axis(name))
            if array is None:
                continue
            if array.shape != wanted:
                raise ShapeError(f"{name} must have shape {wanted}, was {array.shape}")
            array.setflags(write=False)
        if np.any(self.variance <= 0.0) or np.any(np.isinf(self.variance)):
            raise InputError(
                f"{self.model}: variance must be positive and finite, or NaN where there is no "
                f"forecast; found {np.sum(self.variance <= 0.0)} not positive and "
                f"{np.sum(np.isinf(self.variance))} infinite"
            )

    def sigma_horizon(self) -> NDArray[np.float64]:
        """Volatility of the summed log return over the horizon, decimal, shape of `variance`."""
        return np.asarray(np.sqrt(self.variance))

    def rows(self, start: int, stop: int) -> "Forecast":
        """Return the forecasts of origins `start` to ``stop - 1``, positions in this forecast."""
        kept: dict[str, Any] = {
            name: array[start:stop]
            for name in ("origin", "variance", *_OPTIONAL)
            if (array := getattr(self, name)) is not None
        }
        return replace(self, **kept)

    def with_stress(self, probability: NDArray[np.float64]) -> "Forecast":
        """Return the forecast with another stress probability, and regimes that agree with it.

        What is left beside stress is shared by the other regimes as before.

        Parameters
        ----------
        probability : ndarray
            In [0, 1], NaN where unknown; shape of `variance`.
        """
        regimes = self.regime_probability
        if regimes is not None:
            others = regimes[..., :-1]
            total = others.sum(axis=-1, keepdims=True)
            share = np.where(total > 0.0, others, 0.5) / np.where(total > 0.0, total, 1.0)
            share = np.where(np.isfinite(total), share, np.nan)
            left = (1.0 - probability)[..., None] * share
            regimes = np.concatenate([left, probability[..., None]], axis=-1)
        return replace(self, stress_probability=probability, regime_probability=regimes)

    def frame(self) -> pd.DataFrame:
        """Return a tidy table: one row per origin, instrument and horizon."""
        index = pd.MultiIndex.from_product(
            [pd.DatetimeIndex(self.origin, tz="UTC"), list(self.instruments), list(self.horizons)],
            names=["origin", "instrument", "horizon"],
        )
        columns = {"variance": self.variance.ravel()}
        for k, tail in enumerate(TAIL_PROBABILITIES):
            for label, name in zip(_TAIL_LABELS, _TAILS, strict=True):
                array = getattr(self, name)
                unknown = np.full(self.variance.size, np.nan)
                columns[f"{label}_{tail:g}"] = unknown if array is None else array[..., k].ravel()
        for name in _PER_HORIZON:
            array = getattr(self, name)
            columns[name] = np.full(self.variance.size, np.nan) if array is None else array.ravel()
        regimes = _or_unknown(self, "regime_probability")
        for k, column in enumerate(_REGIME_COLUMNS):
            columns[column] = regimes[..., k].ravel()
        table = pd.DataFrame(columns, index=index).reset_index()
        table.insert(0, "model", self.model)
        return table


def join_forecasts(parts: Sequence[Forecast]) -> Forecast:
    """Join the forecasts of one model over consecutive blocks of origins.

    A block in which the model gave no tails or probabilities is NaN there if another has some.
    """
    joined: dict[str, Any] = {"origin": np.concatenate([part.origin for part in parts])}
    for name in ("variance", *_OPTIONAL):
        if all(getattr(part, name) is None for part in parts):
            continue
        joined[name] = np.concatenate([_or_unknown(part, name) for part in parts])
    return replace(parts[0], **joined)


def _or_unknown(part: Forecast, name: str) -> NDArray[np.float64]:
    array: NDArray[np.float64] | None = getattr(part, name)
    if array is not None:
        return array
    return np.full((*part.variance.shape, *_extra_axis(name)), np.nan)


def _extra_axis(name: str) -> tuple[int, ...]:
    """Lengths of the axes that a field has behind those of the variance."""
    if name in _TAILS:
        return (len(TAIL_PROBABILITIES),)
    return (len(REGIMES),) if name == "regime_probability" else ()


def empty_variance(n_origins: int, n_instruments: int, n_horizons: int) -> NDArray[np.float64]:
    """Return an array of the shape of a forecast's variance, all NaN."""
    return np.full((n_origins, n_instruments, n_horizons), np.nan)
