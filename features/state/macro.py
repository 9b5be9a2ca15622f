"""The state of the wider economy: volatility indices, rates, the curve, credit, the dollar.

Each series is taken from the panel's context, where it stands as it was known at the close of each
period and ends when it is too old. A series that is not there gives NaN. Scores compare with the
rows before, never with the whole sample.

The premium of implied over realised variance: Bollerslev, Tauchen and Zhou (2009), Review of
Financial Studies 22(11); here as a log ratio, and against *trailing* realised variance, for the
variance to come is not known.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..feature import Feature
from ..measures import Measures
from ..moving import Lag, TrailingMean, Values
from .context import (
    CREDIT,
    DOLLAR,
    DVOL,
    EQUITY,
    RATE,
    SLOPE,
    VIX,
    Series,
    rows_of,
    rows_per_year,
    series_of,
    spread_out,
    term_of_vix,
)
from .position import Change, Score, Shift

_PREMIUM_DAYS = 30  # what VIX and DVOL speak of
_STRETCH_DAYS = 90


@dataclass(frozen=True, kw_only=True, eq=False)
class RealizedOfLevel:
    """Trailing variance per row of a log level that may stand still between its own days.

    Attributes
    ----------
    before : Lag
        The level one known row ago.
    mean : TrailingMean
        Mean squared change over the window; a row without news counts as no change.
    """

    before: Lag
    mean: TrailingMean

    @classmethod
    def fresh(cls, *, window: int) -> Self:
        """Return the part before its first row; half a window must be known."""
        one = np.ones(1, dtype=np.int64)
        return cls(
            before=Lag.fresh(one), mean=TrailingMean.fresh(one * window, one * max(1, window // 2))
        )

    def advance(self, log_level: Values) -> Values:
        """Take further rows, shape (n_periods,); return the variance per row, decimal squared."""
        x = np.ascontiguousarray(log_level[:, None])
        known = np.isfinite(x)
        # The change after rows that are not known spans them.
        squared = (x - self.before.advance(x, known)) ** 2
        out: Values = self.mean.advance(squared, np.ones_like(known))[:, 0]
        return np.where(known[:, 0], out, np.nan)

    def update(self, log_level: float) -> float:
        """Take one row; the same as a chunk of one row."""
        return float(self.advance(np.array([log_level]))[0])


def _level(m: Measures, series: Series) -> Values:
    return spread_out(m, series_of(m, series))


def _change(m: Measures, series: Series) -> Values:
    rows = rows_of(m, 7)
    return spread_out(m, m.remember(lambda: Change.fresh(rows=rows)).advance(series_of(m, series)))


def _score(m: Measures, series: Series) -> Values:
    window = rows_of(m, 365)
    part = m.remember(lambda: Score.fresh(window=window, needed=min(window, 60)))
    return spread_out(m, part.advance(series_of(m, series)))


def _stretch(m: Measures, series: Series) -> Values:
    long = rows_of(m, _STRETCH_DAYS)
    part = m.remember(lambda: Shift.fresh(short=1, long=long, needed=max(2, long // 2)))
    return spread_out(m, part.advance(series_of(m, series)))


def _log_implied(m: Measures, series: Series) -> Values:
    return np.asarray(2.0 * series_of(m, series))


def _vix_premium(m: Measures) -> Values:
    window = rows_of(m, _PREMIUM_DAYS)
    part = m.remember(lambda: RealizedOfLevel.fresh(window=window))
    realized = part.advance(series_of(m, EQUITY)) * rows_per_year(m)
    log_realized = np.log(np.where(realized > 0.0, realized, np.nan))
    return spread_out(m, _log_implied(m, VIX) - log_realized)


def _dvol_premium(m: Measures) -> Values:
    realized = m.mean(m.variance, days=_PREMIUM_DAYS) * m.panel.periods_per_year
    log_realized = np.log(np.where(realized > 0.0, realized, np.nan))
    return spread_out(m, _log_implied(m, DVOL)) - log_realized


def _unit(series: Series) -> str:
    return "log of the series" if series.logarithmic else "percentage points"


def _position_of(series: Series, *, level: bool = True) -> tuple[Feature, ...]:
    """Level (where it says something by itself), change over a week, score against a year."""
    features = (
        Feature(
            name=f"{series.name}_level",
            unit=_unit(series),
            meaning=f"level of {series.meaning}",
            compute=lambda m: _level(m, series),
            look_back_days=0.0,
        ),
        Feature(
            name=f"{series.name}_change_week",
            unit=_unit(series),
            meaning=f"change over a week of {series.meaning}",
            compute=lambda m: _change(m, series),
            look_back_days=8.0,
        ),
        Feature(
            name=f"{series.name}_score",
            unit="standard deviations",
            meaning=f"level against the year before of {series.meaning}",
            compute=lambda m: _score(m, series),
            look_back_days=366.0,
        ),
    )
    return features if level else features[1:]


MACRO_FEATURES = (
    *_position_of(VIX),
    *_position_of(DVOL),
    *_position_of(CREDIT),
    *_position_of(SLOPE),
    *_position_of(RATE, level=False),
    *_position_of(DOLLAR, level=False),
    *_position_of(EQUITY, level=False),
    Feature(
        name="vix_term",
        unit="log of a ratio",
        meaning="one-month against three-month implied volatility of equities",
        compute=lambda m: spread_out(m, term_of_vix(m)),
        look_back_days=0.0,
    ),
    Feature(
        name="vix_stretch",
        unit="standard deviations",
        meaning="implied volatility of equities against its last ninety days",
        compute=lambda m: _stretch(m, VIX),
        look_back_days=90.0,
    ),
    Feature(
        name="dvol_stretch",
        unit="standard deviations",
        meaning="implied volatility of bitcoin against its last ninety days",
        compute=lambda m: _stretch(m, DVOL),
        look_back_days=90.0,
    ),
    Feature(
        name="vix_premium",
        unit="log of a ratio of variances",
        meaning="implied variance of equities over what their index realised in thirty days",
        compute=_vix_premium,
        look_back_days=31.0,
    ),
    Feature(
        name="dvol_premium",
        unit="log of a ratio of variances",
        meaning="implied variance of bitcoin over what the instrument realised in thirty days",
        compute=_dvol_premium,
        # The variance may be a range estimate whose scale is fitted on everything so far.
    ),
)
