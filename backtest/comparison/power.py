"""How large a difference a test of this length could have found."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from ...errors import InputError
from .._checks import (
    as_series,
    check_count,
    check_longer_than,
    check_probability,
    check_same_shape,
)
from ._long_run import check_varies, error_variance

_ROUNDING = 1e-12
_FAR = 6.0


@dataclass(frozen=True, kw_only=True)
class DetectableDifference:
    """The smallest difference of mean loss that a Diebold-Mariano test is likely to find.

    Attributes
    ----------
    absolute : float
        Unit of the loss, > 0; of either sign.
    relative : float
        The same over the mean loss of *b*, dimensionless: 0.05 is 5 %. NaN where that mean is
        not positive, as of a loss with a logarithm, whose level means nothing.
    standard_error : float
        Of the mean difference with `n_periods`, unit of the loss.
    n_periods : int
        Length of the test.
    """

    absolute: float
    relative: float
    standard_error: float
    n_periods: int


def detectable_difference(
    loss_a: ArrayLike,
    loss_b: ArrayLike,
    *,
    horizon: int = 1,
    n_periods: int | None = None,
    power: float = 0.8,
    significance_level: float = 0.05,
) -> DetectableDifference:
    r"""Smallest difference of mean loss that a test of this length finds with a given power.

    .. math:: \delta = \kappa\,\sqrt{\hat\omega^2 / n}\Big/\sqrt{\frac{n + 1 - 2h + h(h-1)/n}{n}}

    with the long-run variance :math:`\hat\omega^2` of :func:`diebold_mariano`, and
    :math:`\kappa` such that a noncentral t of n - 1 degrees of freedom and noncentrality
    :math:`\kappa` lies beyond the two-sided critical value with probability `power`: about 2.8
    at 80 % and 5 %. The mean difference found takes no part in it, so state the number before
    the verdict, best from validation losses with the length of the test period.

    Parameters
    ----------
    loss_a, loss_b : array_like, shape (n,)
        Losses of two forecasts for the same periods, same unit; *b* is the one to beat.
    horizon : int
        Number of periods :math:`h` the outcomes span, 1 <= h < n.
    n_periods : int or None
        Length of the test to plan, > horizon; None takes the n of the losses.
    power : float
        Probability in (0, 1) of a rejection if the difference is as large, for example 0.8;
        above `significance_level`.
    significance_level : float
        Probability in (0, 1) of a rejection if there is no difference, for example 0.05.

    Returns
    -------
    DetectableDifference
        In the unit of the loss, and relative to the mean loss of *b*. Identical losses give 0:
        any difference would be seen.

    Raises
    ------
    InputError
        If a value is not finite, lengths differ, an argument is out of range, or the difference
        is constant but not zero.

    References
    ----------
    Diebold and Mariano (1995), "Comparing Predictive Accuracy", JBES 13(3); Harvey, Leybourne
    and Newbold (1997), International Journal of Forecasting 13(2), for the correction.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(10.0, 1.0, (2, 400))
    >>> round(detectable_difference(a, b).relative, 3)
    0.019
    """
    check_count("horizon", horizon, minimum=1)
    check_probability("significance_level", significance_level, example="0.05 for 5 %")
    check_probability("power", power, example="0.8 for 80 %")
    if power <= significance_level:
        raise InputError(
            f"power must be above significance_level, was {power} with {significance_level}; "
            "a test rejects at least that often anyway"
        )
    a, b = as_series("loss_a", loss_a), as_series("loss_b", loss_b)
    check_same_shape(loss_a=a, loss_b=b)
    check_longer_than("loss_a", a, horizon, f"horizon {horizon}")
    n = len(a) if n_periods is None else n_periods
    check_count("n_periods", n, minimum=horizon + 1)
    difference = a - b
    if difference.any():
        check_varies(difference, rounding=_ROUNDING * max(np.abs(a).max(), np.abs(b).max()))
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    standard_error = float(np.sqrt(error_variance(difference, horizon) / n / correction))
    absolute = _noncentrality(n - 1, power, significance_level) * standard_error
    reference = float(b.mean())
    return DetectableDifference(
        absolute=absolute,
        relative=absolute / reference if reference > 0.0 else float("nan"),
        standard_error=standard_error,
        n_periods=n,
    )


def _noncentrality(df: int, power: float, significance_level: float) -> float:
    critical = float(stats.t.isf(significance_level / 2.0, df))

    def lacking(shift: float) -> float:
        beyond = float(stats.nct.sf(critical, df, shift))
        # The other side is less likely than a normal below -shift, and scipy loses it far out.
        if shift < _FAR:
            beyond += float(stats.nct.cdf(-critical, df, shift))
        return beyond - power

    # The root is near critical times the estimated over the true deviation, which is below 10.
    return float(optimize.brentq(lacking, 0.0, 10.0 * (critical + 1.0), xtol=1e-10))
