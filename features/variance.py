"""The variance of each period, from the best data there is for it.

Bars inside the period give realised variance; a bar per period gives the range-based estimate
of Garman and Klass (1980) plus the overnight move; a close alone gives the squared return.
A range estimate misses what happens while quotes are stale at the open (for the S&P 500 index
it is a third too small), so it is scaled, on past data only, to the variance of the returns.
"""

import numpy as np
from numpy.typing import NDArray

from ..markets import Panel
from .own_time import OwnTime, scatter

LOG_FLOOR = 0.02
"""Log variances are floored at this fraction of their trailing quarter's mean: an instrument whose
price did not move has a squared return of zero, which says little about its variance."""

_PRIOR_PERIODS = 60.0  # weight of "the range estimate is unbiased" against the data, periods


def parkinson_variance(own: OwnTime) -> NDArray[np.float64]:
    r"""Variance of the open session from its range alone: :math:`\ln(H/L)^2 / (4 \ln 2)`.

    Decimal squared, shape (n,). Parkinson (1980), Journal of Business 53(1).
    """
    log_range = np.log(own.values("high") / own.values("low"))
    return np.asarray(log_range**2 / (4.0 * np.log(2.0)), dtype=np.float64)


def garman_klass_variance(own: OwnTime) -> NDArray[np.float64]:
    r"""Variance of the open session: :math:`\ln(H/L)^2/2 - (2\ln 2 - 1)\ln(C/O)^2`.

    Decimal squared, shape (n,). Never negative when high and low enclose open and close.
    Garman and Klass (1980), Journal of Business 53(1).
    """
    log_range = np.log(own.values("high") / own.values("low"))
    log_body = np.log(own.close / own.values("open"))
    return np.asarray(0.5 * log_range**2 - (2.0 * np.log(2.0) - 1.0) * log_body**2)


def overnight_variance(own: OwnTime) -> NDArray[np.float64]:
    """Squared log return from the previous close to the open, decimal squared, shape (n,)."""
    return np.asarray((own.log_return - np.log(own.close / own.values("open"))) ** 2)


def range_variance(own: OwnTime) -> NDArray[np.float64]:
    """Overnight plus Garman-Klass variance, scaled to the returns seen so far, shape (n,).

    The scale at t is sum(return²) / sum(range estimate) over all periods up to t, with sixty
    periods' worth of weight on one, so that it is known at t and defined from the start.
    """
    raw = overnight_variance(own) + garman_klass_variance(own)
    # A range of zero (one trade, or none) carries no information about variance.
    raw = np.where(raw > 0.0, raw, np.nan)
    squared = own.log_return**2
    both = np.isfinite(raw) & np.isfinite(squared)
    seen = np.cumsum(both)
    total_range = np.cumsum(np.where(both, raw, 0.0))
    total_squared = np.cumsum(np.where(both, squared, 0.0))
    prior = _PRIOR_PERIODS * total_range / np.maximum(seen, 1)
    scale = np.divide(
        total_squared + prior, total_range + prior, out=np.ones(len(raw)), where=total_range > 0.0
    )
    return np.asarray(raw * scale)


def best_variance(own: OwnTime) -> NDArray[np.float64]:
    """Realised variance, else the range estimate, else the squared return, shape (n,).

    Chosen period by period, so that an instrument whose history begins with daily bars and goes
    on with hourly ones uses each for what it is. Decimal squared; NaN at the first period.
    """
    choices = [own.values("realized_variance"), range_variance(own), own.log_return**2]
    out = np.full(len(own.rows), np.nan)
    for choice in choices:
        out = np.where(np.isfinite(out), out, choice)
    return np.where(np.isfinite(own.log_return), out, np.nan)


def variance_measure(panel: Panel) -> tuple[str, ...]:
    """Say for each instrument which measure most of its variances come from."""
    names = []
    for i in range(panel.n_instruments):
        present = panel.present[:, i]
        if np.isfinite(panel.values("realized_variance")[present, i]).mean() > 0.5:
            names.append("realised, from bars inside the period")
        elif np.isfinite(panel.values("high")[present, i]).mean() > 0.5:
            names.append("range-based, Garman-Klass and overnight")
        else:
            names.append("squared close-to-close return")
    return tuple(names)


def panel_variance(panel: Panel) -> NDArray[np.float64]:
    """Return :func:`best_variance` of every instrument, shape (n_periods, n_instruments)."""
    return scatter(panel, best_variance)
