r"""Conditional calibration of Nolde and Ziegel: two moments that must be zero, whatever was known.

.. math:: V_{1t} = p - 1\{L_t > v_t\}, \qquad V_{2t} = e_t - v_t - \frac{(L_t - v_t)_+}{p}

Both have mean zero given the past if the forecasts are right, and negative means if risk is
understated. Multiplied with anything that was known before, they still do.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ...errors import InputError
from .._checks import check_longer_than
from .._results import TestResult
from ._tail import Tail, as_tail, as_volatility


def nolde_ziegel(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    expected_shortfall: ArrayLike,
    *,
    tail_probability: float,
    volatility: ArrayLike | None = None,
    alternative: Literal["two-sided", "understated"] = "two-sided",
) -> TestResult:
    r"""Test that value at risk and expected shortfall are calibrated together.

    With :math:`Z_t` the products of moments and what was known, of which there are :math:`q`:

    .. math:: T = n\,\bar Z' \Bigl(\tfrac1n \sum Z_t Z_t'\Bigr)^{-1} \bar Z \sim \chi^2(q), \qquad
              t_i = \sqrt n\, \bar Z_i \Big/ \sqrt{\tfrac1n \sum Z_{it}^2}

    =============  ================================  =============================================
    products       two-sided                         understated
    =============  ================================  =============================================
    simple         :math:`V_1, V_2`                  :math:`V_1, V_2`
    general        :math:`(g V_1 + V_2) / \sigma`    :math:`V_1,\; v V_1,\; V_2,\; V_2 / \sigma`
    =============  ================================  =============================================

    with :math:`g = (e - v) / p`; general where a volatility is given [1]_. "understated" refers
    each :math:`t_i` to the normal law, rejects for low values, and joins the p-values by the rule
    of Hommel [2]_, which holds for any dependence: :math:`\min_j (q\, C_q / j)\, p_{(j)}` with
    :math:`C_q = \sum_{i \le q} 1/i`.

    Large-sample, and breaches are few: see the guide for measured sizes.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss, fraction of notional; positive means money lost.
    value_at_risk, expected_shortfall : array_like, shape (n,) or a number
        Forecasts as positive losses, same unit; ``0 < value_at_risk <= expected_shortfall``.
    tail_probability : float
        Tail probability :math:`p` of both forecasts in (0, 1), for example 0.025.
    volatility : array_like, shape (n,) or a number, optional
        Volatility forecast :math:`\sigma` for the same periods, same unit, > 0.
    alternative : {"two-sided", "understated"}
        Whether overstated risk fails as well.

    Returns
    -------
    TestResult
        Two-sided: ``statistic`` is :math:`T`, ``df`` its degrees of freedom, fewer than
        :math:`q` where moments are collinear. Understated: the lowest :math:`t_i`, ``df`` None.
        No breach: the moments have no spread to be compared with, 0 and p-value 1; whether that
        is too few is a question for a coverage test.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, there are fewer than two periods, a forecast or
        volatility is not positive, the value at risk exceeds the expected shortfall, or
        `alternative` is unknown.

    References
    ----------
    .. [1] Nolde and Ziegel (2017), "Elicitability and backtesting: Perspectives for banking
       regulation", Annals of Applied Statistics 11(4).
    .. [2] Hommel (1983), "Tests of the overall hypothesis for arbitrary dependence structures",
       Biometrical Journal 25(5).

    Examples
    --------
    >>> loss = [1.0] * 38 + [3.0, 5.0]
    >>> nolde_ziegel(loss, 2.0, 2.5, tail_probability=0.025).df
    2
    """
    tail = as_tail(loss, value_at_risk, expected_shortfall, tail_probability=tail_probability)
    check_longer_than("loss", tail.loss, 1, "a variance")
    if alternative not in ("two-sided", "understated"):
        raise InputError(f'alternative must be "two-sided" or "understated", was {alternative!r}')
    moments = _moments(tail, tail_probability)
    sigma = None if volatility is None else as_volatility(volatility, tail.loss.size)
    if not tail.breach.any():
        return TestResult(statistic=0.0, p_value=1.0, df=None)
    if alternative == "two-sided":
        return _two_sided(_two_sided_products(moments, tail, sigma, tail_probability))
    return _understated(_one_sided_products(moments, tail, sigma))


def _moments(tail: Tail, tail_probability: float) -> NDArray[np.float64]:
    excess = np.maximum(tail.loss - tail.value_at_risk, 0.0)
    first = tail_probability - tail.breach
    second = tail.expected_shortfall - tail.value_at_risk - excess / tail_probability
    return np.column_stack([first, second])


def _two_sided_products(
    moments: NDArray[np.float64],
    tail: Tail,
    sigma: NDArray[np.float64] | None,
    tail_probability: float,
) -> NDArray[np.float64]:
    if sigma is None:
        return moments
    gap = tail.expected_shortfall - tail.value_at_risk
    product = (gap / tail_probability * moments[:, 0] + moments[:, 1]) / sigma
    return product[:, None]


def _one_sided_products(
    moments: NDArray[np.float64], tail: Tail, sigma: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    if sigma is None:
        return moments
    first, second = moments.T
    return np.column_stack([first, tail.value_at_risk * first, second, second / sigma])


def _two_sided(products: NDArray[np.float64]) -> TestResult:
    # n Z' (sum Z Z' / n)^-1 Z is the part of a column of ones that the products explain.
    scaled = products / np.linalg.norm(products, axis=0)
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    rank = int(np.sum(singular > singular[0] * len(scaled) * np.finfo(np.float64).eps))
    explained = left[:, :rank].sum(axis=0)
    statistic = float(explained @ explained)
    return TestResult(statistic=statistic, p_value=float(stats.chi2.sf(statistic, rank)), df=rank)


def _understated(products: NDArray[np.float64]) -> TestResult:
    n, q = products.shape
    t = np.sqrt(n) * products.mean(axis=0) / np.sqrt(np.mean(products**2, axis=0))
    rank = np.arange(1, q + 1)
    joined = np.min(q * np.sum(1.0 / rank) / rank * np.sort(stats.norm.cdf(t)))
    return TestResult(statistic=float(t.min()), p_value=float(min(joined, 1.0)), df=None)
