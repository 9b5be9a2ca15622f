"""A market whose volatility doubles at a known moment."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from ...markets import DAYS_PER_YEAR, Missing, Panel
from .._checks import check_count

_PERSISTENCE = (0.9, 0.99)  # of the fast and the slow part of the log volatility, per day
_SPREAD = 0.3  # standard deviation of each part
_START = "2000-01-01"


@dataclass(frozen=True, kw_only=True)
class StepMarket:
    """Three stretches of days: ordinary, calm, and after the step; all in daily periods.

    In the ordinary stretch log volatility wanders around its usual value, half of it common to
    all instruments, so that models can learn how long volatility lasts: fitted on constant
    volatility alone they would learn that it never changes, and could not respond. Then it stands
    at its usual value, and from one day to the next at a multiple of it, for all instruments.

    Attributes
    ----------
    n_instruments : int
        Instruments with independent returns.
    n_fit : int
        Ordinary days that models are fitted on.
    n_ordinary : int
        Ordinary days after them, in which the policies read their tails.
    n_calm : int
        Days of constant volatility before the step.
    n_after : int
        Days after it.
    sigma : float
        Usual volatility of a day, decimal.
    factor : float
        What the step multiplies it with, > 0.
    steps : int
        Independent normal moves in a day, from which its realised variance is measured.
    """

    n_instruments: int = 8
    n_fit: int = 750
    n_ordinary: int = 500
    n_calm: int = 300
    n_after: int = 500
    sigma: float = 0.02
    factor: float = 2.0
    steps: int = 24

    def __post_init__(self) -> None:
        for name in ("n_instruments", "n_fit", "n_ordinary", "n_calm", "n_after", "steps"):
            check_count(name, getattr(self, name), minimum=1)
        if not (self.sigma > 0.0 and self.factor > 0.0):
            raise InputError(
                f"sigma and factor must be > 0, were {self.sigma} and {self.factor}; write 0.02 "
                "and 2.0 for two per cent a day that double"
            )

    @property
    def calm_row(self) -> int:
        """First day of constant volatility."""
        return self.n_fit + self.n_ordinary

    @property
    def step_row(self) -> int:
        """First day of the higher volatility."""
        return self.calm_row + self.n_calm

    @property
    def n_periods(self) -> int:
        """Days in all."""
        return self.step_row + self.n_after

    def panel(self, rng: np.random.Generator) -> Panel:
        """Draw one market.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of volatilities and returns; equal states give equal markets, whatever the
            policies.
        """
        shape = (self.n_periods, self.n_instruments)
        log_sigma = np.full(shape, np.log(self.sigma))
        common, own = self._wander(rng, 1), self._wander(rng, self.n_instruments)
        log_sigma[: self.calm_row] += np.sqrt(0.5) * (common + own)
        log_sigma[self.step_row :] += np.log(self.factor)
        moves = rng.standard_normal((*shape, self.steps)) / np.sqrt(self.steps)
        moves *= np.exp(log_sigma)[..., None]
        log_close = np.cumsum(moves.sum(axis=-1), axis=0)
        path = np.cumsum(moves, axis=-1)
        start = np.concatenate([np.zeros((1, shape[1])), log_close[:-1]])
        log_return = np.diff(log_close, axis=0, prepend=np.nan)
        day = pd.Timedelta(days=1)
        opens = pd.date_range(_START, periods=shape[0], freq=day)
        return Panel(
            time=np.asarray(opens + day, dtype="datetime64[ns]"),
            period=day,
            instruments=tuple(f"PATH{i}" for i in range(self.n_instruments)),
            close=100.0 * np.exp(log_close),
            log_return=log_return,
            missing=np.full(shape, Missing.PRESENT, dtype=np.int8),
            periods_per_year=np.full(self.n_instruments, DAYS_PER_YEAR),
            fields={
                "open": 100.0 * np.exp(start),
                "high": 100.0 * np.exp(start + np.maximum(path.max(axis=-1), 0.0)),
                "low": 100.0 * np.exp(start + np.minimum(path.min(axis=-1), 0.0)),
                "realized_variance": (moves**2).sum(axis=-1),
                "semivariance_negative": (np.minimum(moves, 0.0) ** 2).sum(axis=-1),
                "semivariance_positive": (np.maximum(moves, 0.0) ** 2).sum(axis=-1),
            },
            source="volatility step",
        )

    def _wander(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Two autoregressions of first order, each with its stationary spread."""
        out = np.zeros((self.calm_row, n))
        for persistence in _PERSISTENCE:
            shock = rng.standard_normal((self.calm_row, n))
            part = _SPREAD * shock[0]
            for t in range(self.calm_row):
                if t:
                    part = persistence * part + _SPREAD * np.sqrt(1 - persistence**2) * shock[t]
                out[t] += part
        return out
