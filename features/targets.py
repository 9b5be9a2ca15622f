"""Forward targets: what happened after an origin, kept apart from what was known at it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..markets import Panel
from .liquidity import detrended_log_amihud
from .measures import Measures
from .own_time import OwnTime, own_times, trailing_mean, trailing_sum

STRESS_QUANTILE = 0.8
"""Stress is forward variance above this quantile of what the instrument had shown so far."""

LIQUIDITY_STRESS_QUANTILE = 0.9
"""Liquidity stress is forward illiquidity above this quantile of the last year."""

_LABEL_DAYS = 250  # own history needed before a quantile of it means something, calendar days


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """Outcomes over the next `horizon` own periods after each origin; read-only arrays.

    All have shape (n_periods, n_instruments, n_horizons); row t is the outcome *after* t.

    Attributes
    ----------
    horizons : tuple of int
        Numbers of own periods.
    variance : ndarray
        Sum of the variances of the next periods, decimal squared.
    log_return : ndarray
        Sum of the log returns of the next periods, decimal.
    stress : ndarray
        1.0 if `variance` exceeds the 80 % quantile of the instrument's trailing variances known
        at the origin, else 0.0.
    liquidity_stress : ndarray
        1.0 if the mean detrended log Amihud illiquidity of the next periods exceeds the 90 %
        quantile of its trailing values in the year before the origin, else 0.0.
    stress_threshold : ndarray
        The variance above which `stress` begins, decimal squared over the horizon.
    known_at : ndarray of int
        Panel row at whose close the outcome is complete; n_periods where it never is.
    """

    horizons: tuple[int, ...]
    variance: NDArray[np.float64]
    log_return: NDArray[np.float64]
    stress: NDArray[np.float64]
    liquidity_stress: NDArray[np.float64]
    stress_threshold: NDArray[np.float64]
    known_at: NDArray[np.intp]

    def __post_init__(self) -> None:
        for name in _OUTCOMES:
            getattr(self, name).setflags(write=False)
        self.known_at.setflags(write=False)

    def upto(self, stop: int) -> "Targets":
        """Return the outcomes known at the close of row ``stop - 1``; the others are NaN.

        This is the embargo: a model fitted on the result cannot see an outcome that was not
        complete when it is fitted.
        """
        known = self.known_at[:stop] < stop
        masked = {name: np.where(known, getattr(self, name)[:stop], np.nan) for name in _OUTCOMES}
        # The threshold is known at the origin itself.
        masked["stress_threshold"] = self.stress_threshold[:stop].copy()
        return Targets(
            horizons=self.horizons,
            known_at=np.where(known, self.known_at[:stop], stop),
            **masked,
        )

    def at(self, horizon: int) -> int:
        """Return the position of a horizon on the last axis."""
        if horizon not in self.horizons:
            raise InputError(f"horizon must be one of {list(self.horizons)}, was {horizon}")
        return self.horizons.index(horizon)


_OUTCOMES = ("variance", "log_return", "stress", "liquidity_stress", "stress_threshold")


def build_targets(panel: Panel, *, horizons: Sequence[int]) -> Targets:
    """Compute the forward targets of a panel for several horizons.

    Raises
    ------
    InputError
        If `horizons` is empty, not increasing, or holds a number below one.
    """
    horizons = tuple(int(h) for h in horizons)
    if not horizons or min(horizons) < 1 or list(horizons) != sorted(set(horizons)):
        raise InputError(
            f"horizons must be increasing numbers of periods, at least 1, was {list(horizons)}"
        )
    measures = Measures(panel=panel)
    shape = (panel.n_periods, panel.n_instruments, len(horizons))
    out = {name: np.full(shape, np.nan) for name in _OUTCOMES}
    known_at = np.full(shape, panel.n_periods, dtype=np.intp)
    panel_illiquidity = measures.once(detrended_log_amihud)
    for own in own_times(panel):
        illiquidity = panel_illiquidity[own.rows, own.column]
        variance = measures.variance[own.rows, own.column]
        for k, horizon in enumerate(horizons):
            cell = (own.rows, own.column, k)
            known_at[cell] = _row_after(own, horizon, panel.n_periods)
            trailing = trailing_sum(variance, horizon)
            threshold = _past_quantile(
                trailing, STRESS_QUANTILE, window=None, needed=own.span(_LABEL_DAYS)
            )
            out["variance"][cell] = _ahead(trailing, horizon)
            returns = trailing_sum(own.log_return, horizon)
            out["log_return"][cell] = _ahead(returns, horizon)
            out["stress_threshold"][cell] = threshold
            out["stress"][cell] = _exceeds(_ahead(trailing, horizon), threshold)
            out["liquidity_stress"][cell] = _liquidity_stress(own, illiquidity, horizon)
    return Targets(horizons=horizons, known_at=known_at, **out)


def _row_after(own: OwnTime, horizon: int, never: int) -> NDArray[np.intp]:
    rows = np.full(len(own.rows), never, dtype=np.intp)
    rows[: max(0, len(rows) - horizon)] = own.rows[horizon:]
    return rows


def _ahead(trailing: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    """Turn "over the last `horizon` periods" into "over the next"; NaN at the end."""
    out = np.full(len(trailing), np.nan)
    out[: max(0, len(out) - horizon)] = trailing[horizon:]
    return out


def _past_quantile(
    values: NDArray[np.float64], quantile: float, *, window: int | None, needed: int
) -> NDArray[np.float64]:
    """Quantile of the values up to and including each row; NaN on fewer than `needed`."""
    series = pd.Series(values)
    past = (
        series.expanding(min_periods=needed)
        if window is None
        else series.rolling(window, min_periods=min(needed, window))
    )
    return np.asarray(past.quantile(quantile), dtype=np.float64)


def _exceeds(value: NDArray[np.float64], threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(value) & np.isfinite(threshold)
    return np.where(known, (value > threshold).astype(np.float64), np.nan)


def _liquidity_stress(
    own: OwnTime, illiquidity: NDArray[np.float64], horizon: int
) -> NDArray[np.float64]:
    trailing = trailing_mean(illiquidity, horizon)
    threshold = _past_quantile(
        trailing,
        LIQUIDITY_STRESS_QUANTILE,
        window=own.span(days=365),
        needed=own.span(_LABEL_DAYS),
    )
    return _exceeds(_ahead(trailing, horizon), threshold)
