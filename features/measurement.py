"""What other measures of the same period say about its variance: sign, jumps and noise.

Realised variance is one noisy measure of the variance of a period. The sign of the moves it was
made of (Patton and Sheppard 2015, Review of Economics and Statistics 97(3)), measures that jumps
or the noise of quotes cannot reach, and the quarticity, which says how noisy it was (Bollerslev,
Patton and Quaedvlieg 2016, Journal of Econometrics 192(1)), each say how much of it will last.
Everything is a ratio, so that the unit of a source does not matter.
"""

import numpy as np

from .feature import Feature
from .measures import Measures
from .moving import Values

_BALANCE = "fraction, -1 to 1"
_RATIO = "log of a ratio"
_DAYS = {"week": 7.0, "month": 30.0}


def _signed_jump(m: Measures) -> Values:
    down, up = m.field("semivariance_negative"), m.field("semivariance_positive")
    total = down + up
    return np.asarray((up - down) / np.where(total > 0.0, total, np.nan))


def _log_ratio(m: Measures, name: str, span: str) -> Values:
    part, whole = m.field(name), m.field("realized_variance")
    if span != "last":
        both = np.isfinite(part + whole)
        part, whole = (m.mean(np.where(both, x, np.nan), days=_DAYS[span]) for x in (part, whole))
    usable = (part > 0.0) & (whole > 0.0)
    return np.log(np.where(usable, part, np.nan) / np.where(usable, whole, np.nan))


def _noise(m: Measures) -> Values:
    """Log of the root of quarticity over variance, less its expanding mean: free of units."""
    quarticity, variance = m.field("realized_quarticity"), m.field("realized_variance")
    usable = (quarticity > 0.0) & (variance > 0.0)
    root = np.sqrt(np.where(usable, quarticity, np.nan))
    noise = np.log(root / np.where(usable, variance, np.nan))
    return np.asarray(noise - m.expanding_mean(noise))


def _noise_of_news(m: Measures) -> Values:
    news = m.log_variance - m.ewma(m.log_variance, half_life_days=30)
    return np.asarray(m.once(_noise) * news)


def _ratio_feature(name: str, field: str, span: str, what: str) -> Feature:
    return Feature(
        name=f"{name}_{span}",
        unit=_RATIO,
        meaning=f"{what} over realised variance, last {'period' if span == 'last' else span}",
        compute=lambda m: _log_ratio(m, field, span),
        look_back_days=1.0 if span == "last" else _DAYS[span],
    )


MEASUREMENT_FEATURES = (
    Feature(
        name="signed_jump_last",
        unit=_BALANCE,
        meaning="positive less negative semivariance over their sum, last period",
        compute=lambda m: m.once(_signed_jump),
        look_back_days=1.0,
    ),
    Feature(
        name="signed_jump_fall",
        unit=_BALANCE,
        meaning="the same if negative, else zero",
        compute=lambda m: np.minimum(m.once(_signed_jump), 0.0),
        look_back_days=1.0,
    ),
    Feature(
        name="signed_jump_week",
        unit=_BALANCE,
        meaning="the same, exponential mean with a half-life of three and a half days",
        compute=lambda m: m.ewma(m.once(_signed_jump), half_life_days=3.5),
    ),
    Feature(
        name="signed_jump_month",
        unit=_BALANCE,
        meaning="the same, exponential mean with a half-life of two weeks",
        compute=lambda m: m.ewma(m.once(_signed_jump), half_life_days=14.0),
    ),
    *(
        _ratio_feature(name, field, span, what)
        for name, field, what, spans in (
            ("bipower_ratio", "bipower_variance", "bipower variance", ("last", "week", "month")),
            ("median_ratio", "median_variance", "median variance", ("last", "week")),
            ("kernel_ratio", "realized_kernel", "realised kernel", ("last", "week")),
        )
        for span in spans
    ),
    Feature(
        name="noise_last",
        unit="log of a ratio to the instrument's expanding mean",
        meaning="root of quarticity over variance: how noisy the last period's variance was",
        compute=lambda m: m.once(_noise),
    ),
    Feature(
        name="noise_of_news",
        unit="product of two logs",
        meaning="the same times how far the last variance was from its mean of a month",
        compute=_noise_of_news,
    ),
)
"""More about the last variances than their size; NaN where a source has no such measure."""
