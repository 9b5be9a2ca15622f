"""The variance of each period, from the best data there is for it.

Bars inside the period give realised variance; a bar per period gives the range-based estimate
of Garman and Klass (1980) plus the overnight move; a close alone gives the squared return.
A range estimate misses what happens while quotes are stale at the open (for the S&P 500 index
it is a third too small), so it is scaled, on past data only, to the variance of the returns.
"""

import numpy as np

from ..markets import Panel
from .market_view import MarketView
from .moving import Values
from .ranges import garman_klass_variance, overnight_variance

LOG_FLOOR = 0.02
"""Log variances are floored at this fraction of their trailing quarter's mean: an instrument whose
price did not move has a squared return of zero, which says little about its variance."""

_PRIOR_PERIODS = 60.0  # weight of "the range estimate is unbiased" against the data, periods


def range_variance(m: MarketView) -> Values:
    """Overnight plus Garman-Klass variance, scaled to the returns seen so far.

    The scale at t is sum(return²) / sum(range estimate) over all periods up to t, with sixty
    periods' worth of weight on one, so that it is known at t and defined from the start.
    """
    raw = overnight_variance(m) + garman_klass_variance(m)
    # A range of zero (one trade, or none) carries no information about variance.
    raw = np.where(raw > 0.0, raw, np.nan)
    squared = m.log_return**2
    both = np.isfinite(raw) & np.isfinite(squared)
    seen = m.running_total(np.where(both, 1.0, 0.0))
    total_range = m.running_total(np.where(both, raw, 0.0))
    total_squared = m.running_total(np.where(both, squared, 0.0))
    prior = _PRIOR_PERIODS * total_range / np.maximum(seen, 1.0)
    known = np.where(total_range > 0.0, total_range + prior, np.nan)
    scale = np.where(total_range > 0.0, (total_squared + prior) / known, 1.0)
    return np.asarray(raw * scale)


def best_variance(m: MarketView) -> Values:
    """Realised variance, else the range estimate, else the squared return.

    Chosen period by period, so that an instrument whose history begins with daily bars and goes
    on with hourly ones uses each for what it is. Decimal squared, shape (n_periods,
    n_instruments); NaN at the first period, which may be incomplete. An instrument without any
    prices, of which somebody else has measured the variance, has no such period.
    """
    out = np.full(m.log_return.shape, np.nan)
    for choice in (m.field("realized_variance"), range_variance(m), m.log_return**2):
        out = np.where(np.isfinite(out), out, choice)
    whole = np.isfinite(m.log_return) | np.isnan(m.close)
    return np.where(whole, out, np.nan)


def floored_log_variance(m: MarketView) -> Values:
    """Log of the variance, floored at a fraction of its mean over ninety days."""
    return _floored_log(m, m.variance)


def floored_log_range(m: MarketView) -> Values:
    """Log of the realised range, floored likewise; of the variance where bars show no ranges.

    The noise of a realised range is a fraction of that of squared returns of the same bars.
    """
    known = m.field("realized_range")
    return _floored_log(m, np.where(np.isfinite(known), known, m.variance))


def _floored_log(m: MarketView, variance: Values) -> Values:
    floored = np.maximum(variance, LOG_FLOOR * m.mean(variance, days=90, min_periods=1))
    # A market that has never moved has no log variance yet.
    return np.asarray(np.log(np.where(floored > 0.0, floored, np.nan)))


def log_variance_level(m: MarketView) -> Values:
    """Return the expanding mean of the log variance: the long-run level known so far."""
    return m.expanding_mean(m.log_variance)


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
