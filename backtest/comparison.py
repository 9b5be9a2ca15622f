r"""Tests of whether one policy's loss is lower than another's, or than all others'.

All statistics are built on a loss difference :math:`d_t = a_t - b_t`, one number per origin;
positive means *a* is worse. Average over instruments per origin first: shocks are shared, so
instruments are not independent observations.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from arch.bootstrap import MCS
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import InputError, ShapeError
from ._checks import (
    as_series,
    as_values,
    check_count,
    check_longer_than,
    check_probability,
    check_same_shape,
)
from ._results import TestResult


def newey_west_t(difference: ArrayLike, *, lags: int) -> float:
    r"""T statistic of the mean of a dependent series.

    .. math:: t = \bar d \Big/ \sqrt{\Big(\hat\gamma_0 + 2\sum_{k=1}^{K}
              \Big(1 - \frac{k}{K+1}\Big)\hat\gamma_k\Big) / n}

    with autocovariances :math:`\hat\gamma_k = \frac1n\sum_t (d_t-\bar d)(d_{t-k}-\bar d)`;
    the Bartlett weights keep the variance from going negative [1]_.

    Parameters
    ----------
    difference : array_like, shape (n,)
        Loss difference, any unit, n >= 2.
    lags : int
        Number of autocovariances :math:`K`, 0 <= K < n; the horizon when outcomes overlap.

    Returns
    -------
    float
        Statistic, dimensionless; about standard normal if the mean is zero and n is large.
        A series of zeros gives 0.

    Raises
    ------
    InputError
        If a value is not finite, the series is too short, or it is constant but not zero.

    References
    ----------
    .. [1] Newey and West (1987), "A Simple, Positive Semi-Definite, Heteroskedasticity and
       Autocorrelation Consistent Covariance Matrix", Econometrica 55(3).

    Examples
    --------
    >>> newey_west_t([1.0, 3.0, 1.0, 3.0], lags=0)
    4.0
    """
    check_count("lags", lags, minimum=0)
    series = as_series("difference", difference)
    check_longer_than("difference", series, max(lags, 1), f"a variance with {lags} lags")
    if not series.any():
        return 0.0
    _check_varies(series)
    weights = 1.0 - np.arange(lags + 1) / (lags + 1)
    return float(series.mean() / np.sqrt(_long_run_variance(series, weights) / len(series)))


def diebold_mariano(loss_a: ArrayLike, loss_b: ArrayLike, *, horizon: int = 1) -> TestResult:
    r"""Test of equal expected loss, with the small-sample correction.

    .. math:: S = \sqrt{\frac{n + 1 - 2h + h(h-1)/n}{n}} \;
              \frac{\bar d}{\sqrt{(\hat\gamma_0 + 2\sum_{k=1}^{h-1}\hat\gamma_k)/n}},
              \qquad d_t = a_t - b_t

    referred to Student's t with n - 1 degrees of freedom, two-sided [1]_ [2]_. The equal
    weights are those of an h-step forecast error, whose autocovariances end at lag h - 1; where
    they give a variance that is not positive, Bartlett weights :math:`1 - k/h` replace them.

    Parameters
    ----------
    loss_a, loss_b : array_like, shape (n,)
        Losses of two forecasts for the same periods, same unit; lower is better.
    horizon : int
        Number of periods :math:`h` the outcomes span, 1 <= h < n.

    Returns
    -------
    TestResult
        ``statistic`` > 0 means that *a* has the larger loss. Equal losses give 0 and p-value 1.

    Raises
    ------
    InputError
        If a value is not finite, lengths differ, the series is too short for the horizon, or
        the difference is constant but not zero.

    References
    ----------
    .. [1] Diebold and Mariano (1995), "Comparing Predictive Accuracy", JBES 13(3).
    .. [2] Harvey, Leybourne and Newbold (1997), "Testing the equality of prediction mean
       squared errors", International Journal of Forecasting 13(2).

    Examples
    --------
    >>> worse, better = [1.0, 3.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]
    >>> diebold_mariano(worse, better).statistic > 0
    True
    """
    check_count("horizon", horizon, minimum=1)
    a, b = as_series("loss_a", loss_a), as_series("loss_b", loss_b)
    check_same_shape(loss_a=a, loss_b=b)
    check_longer_than("loss_a", a, horizon, f"horizon {horizon}")
    difference, n = a - b, len(a)
    if not difference.any():
        return TestResult(statistic=0.0, p_value=1.0, df=n - 1)
    _check_varies(difference)
    variance = _long_run_variance(difference, np.ones(horizon))
    # A sum of equally weighted autocovariances can cancel to rounding noise, or go negative.
    if variance <= 1e-12 * difference.var():
        variance = _long_run_variance(difference, 1.0 - np.arange(horizon) / horizon)
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    statistic = float(np.sqrt(correction) * difference.mean() / np.sqrt(variance / n))
    p_value = float(2.0 * stats.t.sf(abs(statistic), df=n - 1))
    return TestResult(statistic=statistic, p_value=p_value, df=n - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelConfidenceSet:
    """The models that the data cannot tell from the best one.

    Attributes
    ----------
    names : tuple, length n_models
        Column names of the losses, or 0, 1, ... for an array.
    p_values : ndarray of float64, shape (n_models,)
        Smallest `size` at which the model leaves the set, in [0, 1]; in the order of `names`.
    size : float
        Probability in (0, 1) that the set misses a best model; 0.1 is a 90 % set.
    """

    names: tuple[Hashable, ...]
    p_values: NDArray[np.float64]
    size: float

    def __post_init__(self) -> None:
        p_values = np.array(self.p_values, dtype=np.float64)
        p_values.setflags(write=False)
        object.__setattr__(self, "p_values", p_values)

    @property
    def included(self) -> tuple[Hashable, ...]:
        """Names of the models in the set, in the order of `names`; never empty."""
        pairs = zip(self.names, self.p_values, strict=True)
        return tuple(name for name, p_value in pairs if p_value > self.size)

    def frame(self) -> pd.DataFrame:
        """Return one row per model: ``p_value`` and ``included``."""
        return pd.DataFrame(
            {"p_value": self.p_values, "included": self.p_values > self.size},
            index=pd.Index(self.names, name="model"),
        )


def model_confidence_set(
    losses: pd.DataFrame | ArrayLike,
    *,
    size: float,
    block_length: int | None = None,
    n_resamples: int = 1_000,
    rng: np.random.Generator | int = 0,
) -> ModelConfidenceSet:
    """Set that holds the best model with probability 1 - `size`.

    Removes the worst model until equal expected loss of the rest is not rejected, by the range
    statistic under the stationary bootstrap of ``arch`` [1]_. Models with identical losses
    count as one and share its p-value; exact ties in mean loss go to the earlier column.

    Parameters
    ----------
    losses : DataFrame or array_like, shape (n, n_models)
        Loss per period and model, n >= 2, n_models >= 2; lower is better.
    size : float
        Probability in (0, 1) of missing a best model, for example 0.1 for a 90 % set.
    block_length : int or None
        Mean block length in periods, >= 1; at least the horizon when outcomes overlap. None
        takes the square root of n.
    n_resamples : int
        Number of bootstrap resamples, >= 1. p-values are multiples of its inverse.
    rng : numpy.random.Generator or int
        Source of randomness, or its seed; the default repeats exactly.

    Returns
    -------
    ModelConfidenceSet
        p-values and the models included.

    Raises
    ------
    InputError
        If losses are not finite, there are fewer than two models or periods, or two models
        differ by a constant (their difference then has no sampling error).

    References
    ----------
    .. [1] Hansen, Lunde and Nason (2011), "The Model Confidence Set", Econometrica 79(2).
    """
    check_probability("size", size, example="0.1 for a 90 % set")
    check_count("n_resamples", n_resamples, minimum=1)
    table = _as_loss_table(losses)
    names = tuple(losses.columns) if isinstance(losses, pd.DataFrame) else range(table.shape[1])
    if block_length is None:
        block_length = max(int(np.sqrt(len(table))), 1)
    check_count("block_length", block_length, minimum=1)
    first, twin_of = _distinct_columns(table)
    if len(first) == 1:
        p_values = np.ones(1)
    else:
        mcs = MCS(
            _without_ties(table[:, first]),
            size,
            reps=n_resamples,
            block_size=block_length,
            seed=rng,
        )
        mcs.compute()
        p_values = mcs.pvalues["Pvalue"].sort_index().to_numpy(dtype=np.float64)
    return ModelConfidenceSet(names=tuple(names), p_values=p_values[twin_of], size=size)


def _long_run_variance(series: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Weighted sum of autocovariances; ``weights[k]`` belongs to lag k, ``weights[0]`` is 1."""
    n, deviation = len(series), series - series.mean()
    autocovariance = [deviation[k:] @ deviation[: n - k] / n for k in range(len(weights))]
    return float(autocovariance[0] + 2.0 * np.dot(weights[1:], autocovariance[1:]))


def _check_varies(difference: NDArray[np.float64]) -> None:
    if np.ptp(difference) == 0.0:
        raise InputError(
            f"the loss difference must vary, was {difference[0]:g} in every period; a constant "
            "has no sampling error, so check that the two series are not shifted copies"
        )


def _as_loss_table(losses: pd.DataFrame | ArrayLike) -> NDArray[np.float64]:
    table = as_values("losses", losses)
    if table.ndim != 2 or table.shape[1] < 2:
        raise ShapeError(f"losses must have shape (n, n_models >= 2), was {table.shape}")
    check_longer_than("losses", table, 1, "a bootstrap")
    return table


def _distinct_columns(table: NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """Column numbers of the distinct models, and for each model its place among them."""
    first: list[int] = []
    twin_of: list[int] = []
    for column in range(table.shape[1]):
        spread = np.ptp(table[:, first] - table[:, [column]], axis=0)
        equal = [k for k, other in enumerate(first) if spread[k] == 0.0]
        if equal:
            _check_not_shifted(table, first[equal[0]], column)
        twin_of.append(equal[0] if equal else len(first))
        if not equal:
            first.append(column)
    return first, twin_of


def _check_not_shifted(table: NDArray[np.float64], one: int, other: int) -> None:
    if table[0, one] != table[0, other]:
        raise InputError(
            f"losses of two models must not differ by a constant, found columns {one} and "
            f"{other}; their order is certain, so drop the worse one"
        )


def _without_ties(table: NDArray[np.float64]) -> NDArray[np.float64]:
    # arch fails where models tie exactly in mean loss. A constant added to a column cancels in
    # the recentred bootstrap, and one of 1e-10 standard deviations moves no p-value.
    nudge = 1e-10 * table.std() * np.sqrt(np.arange(table.shape[1]))
    nudged: NDArray[np.float64] = table + nudge
    return nudged
