"""Forward targets: what happened after an origin, kept apart from what was known at it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..markets import Panel
from .liquidity import detrended_log_amihud
from .liquidity.cost import relative_cost
from .liquidity.volume import DETREND_DAYS
from .measures import Measures
from .own_time import OwnTime, own_times, trailing_mean, trailing_sum

STRESS_QUANTILE = 0.8
"""Stress is forward variance above this quantile of what the instrument had shown so far."""

ELEVATED_QUANTILE = 0.6
"""Variance above this quantile of what the instrument had shown so far is elevated."""

LIQUIDITY_STRESS_QUANTILE = 0.9
"""Liquidity stress is forward illiquidity above this quantile of the last year."""

LABEL_DAYS = 250
"""Own history needed before a quantile of it means something, calendar days."""

LIQUIDITY_DAYS = 365
"""Past that the quantile of illiquidity looks at, calendar days."""


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
    regime : ndarray
        2.0 (stressed) where `stress` is 1.0; else 1.0 (elevated) if `variance` exceeds the 60 %
        quantile of the trailing variances, and 0.0 (calm) if not.
    illiquidity : ndarray
        Mean detrended log Amihud illiquidity of the next periods, log of a ratio.
    liquidity_stress : ndarray
        1.0 if `illiquidity` exceeds the 90 % quantile of its trailing values in the year before
        the origin, else 0.0.
    liquidity_cost : ndarray
        Mean relative cost of trading in the next periods, a fraction of notional (see
        :func:`foremargin.features.liquidity.relative_cost`).
    stress_threshold, elevated_threshold : ndarray
        The variances above which `stress` and an elevated `regime` begin, decimal squared over the
        horizon.
    liquidity_cost_level : ndarray
        Geometric mean of the relative cost over the last ninety days, a fraction of notional; the
        same at all horizons.
    illiquidity_threshold : ndarray
        The illiquidity above which `liquidity_stress` begins, log of a ratio.
    stress_now, liquidity_stress_now : ndarray
        1.0 if the last `horizon` periods up to the origin were above the thresholds of `stress`
        and `liquidity_stress`, else 0.0; known at the origin. Stress that begins, an *onset*,
        is `stress` where `stress_now` is 0.
    regime_now : ndarray
        The regime of the last `horizon` periods up to the origin, by the same thresholds as
        `regime`; known at the origin.
    liquidity_cost_now : ndarray
        Mean relative cost of the last `horizon` periods up to the origin, a fraction of notional.
    known_at : ndarray of int
        Panel row at whose close the outcome is complete; n_periods where it never is.
    """

    horizons: tuple[int, ...]
    variance: NDArray[np.float64]
    log_return: NDArray[np.float64]
    stress: NDArray[np.float64]
    regime: NDArray[np.float64]
    illiquidity: NDArray[np.float64]
    liquidity_stress: NDArray[np.float64]
    liquidity_cost: NDArray[np.float64]
    stress_threshold: NDArray[np.float64]
    elevated_threshold: NDArray[np.float64]
    liquidity_cost_level: NDArray[np.float64]
    illiquidity_threshold: NDArray[np.float64]
    stress_now: NDArray[np.float64]
    liquidity_stress_now: NDArray[np.float64]
    regime_now: NDArray[np.float64]
    liquidity_cost_now: NDArray[np.float64]
    known_at: NDArray[np.intp]

    def __post_init__(self) -> None:
        for name in (*_OUTCOMES, *_AT_ORIGIN):
            getattr(self, name).setflags(write=False)
        self.known_at.setflags(write=False)

    def upto(self, stop: int) -> "Targets":
        """Return the outcomes known at the close of row ``stop - 1``; the others are NaN.

        This is the embargo: a model fitted on the result cannot see an outcome that was not
        complete when it is fitted.
        """
        known = self.known_at[:stop] < stop
        masked = {name: np.where(known, getattr(self, name)[:stop], np.nan) for name in _OUTCOMES}
        for name in _AT_ORIGIN:
            masked[name] = getattr(self, name)[:stop].copy()
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


_OUTCOMES = (
    *("variance", "log_return", "stress", "regime"),
    *("illiquidity", "liquidity_stress", "liquidity_cost"),
)
_AT_ORIGIN = (
    *("stress_threshold", "elevated_threshold", "stress_now", "regime_now"),
    *("illiquidity_threshold", "liquidity_stress_now"),
    *("liquidity_cost_level", "liquidity_cost_now"),
)


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
    out = {name: np.full(shape, np.nan) for name in (*_OUTCOMES, *_AT_ORIGIN)}
    known_at = np.full(shape, panel.n_periods, dtype=np.intp)
    panel_illiquidity = measures.once(detrended_log_amihud)
    panel_cost = relative_cost(measures)
    cost_level = np.exp(measures.mean(np.log(panel_cost), days=DETREND_DAYS))
    out["liquidity_cost_level"][:] = cost_level[..., None]
    for own in own_times(panel):
        illiquidity = panel_illiquidity[own.rows, own.column]
        variance = measures.variance[own.rows, own.column]
        cost = panel_cost[own.rows, own.column]
        for k, horizon in enumerate(horizons):
            cell = (own.rows, own.column, k)
            known_at[cell] = _row_after(own, horizon, panel.n_periods)
            trailing = trailing_sum(variance, horizon)
            threshold, elevated = (
                _past_quantile(trailing, quantile, window=None, needed=own.span(LABEL_DAYS))
                for quantile in (STRESS_QUANTILE, ELEVATED_QUANTILE)
            )
            out["variance"][cell] = _ahead(trailing, horizon)
            returns = trailing_sum(own.log_return, horizon)
            out["log_return"][cell] = _ahead(returns, horizon)
            out["stress_threshold"][cell] = threshold
            out["stress"][cell] = _exceeds(_ahead(trailing, horizon), threshold)
            out["stress_now"][cell] = _exceeds(trailing, threshold)
            out["elevated_threshold"][cell] = elevated
            is_elevated = _exceeds(_ahead(trailing, horizon), elevated)
            out["regime"][cell] = is_elevated + out["stress"][cell]
            out["regime_now"][cell] = _exceeds(trailing, elevated) + out["stress_now"][cell]
            out["liquidity_cost_now"][cell] = trailing_mean(cost, horizon)
            out["liquidity_cost"][cell] = _ahead(out["liquidity_cost_now"][cell], horizon)
            trailing, threshold = _trailing_illiquidity(own, illiquidity, horizon)
            out["illiquidity"][cell] = _ahead(trailing, horizon)
            out["illiquidity_threshold"][cell] = threshold
            out["liquidity_stress"][cell] = _exceeds(_ahead(trailing, horizon), threshold)
            out["liquidity_stress_now"][cell] = _exceeds(trailing, threshold)
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


def _trailing_illiquidity(
    own: OwnTime, illiquidity: NDArray[np.float64], horizon: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean illiquidity of the last periods, and the threshold it is compared with."""
    trailing = trailing_mean(illiquidity, horizon)
    threshold = _past_quantile(
        trailing,
        LIQUIDITY_STRESS_QUANTILE,
        window=own.span(LIQUIDITY_DAYS),
        needed=own.span(LABEL_DAYS),
    )
    return trailing, threshold
