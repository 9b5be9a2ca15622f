r"""Tests of Acerbi and Szekely: the ratio of losses beyond the value at risk to the forecast.

With :math:`L` the loss, :math:`v` and :math:`e` the forecasts, :math:`I_t = 1\{L_t > v_t\}` and
:math:`x = \sum I_t`, every statistic is zero on average if the forecasts are right and negative if
risk is understated. The papers write profit :math:`y = -L`, and some texts negative forecasts:
:math:`y_t / (-e_t) = L_t / e_t`, so the values are the same.

All p-values are one-sided: the probability of a value this low or lower. Where the whole law of
each period is known, hand over losses drawn from it (`simulated_loss`): that is the test of the
papers, and exact. Without a law the bootstrap of each docstring stands in; it assumes
that the size of breaches, relative to the forecast, has one law in all periods. Outcomes over a
horizon of several periods overlap: thin them first.
"""

from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._results import TestResult
from ._resampling import (
    SimulatedLoss,
    bootstrap_mean_p_value,
    compound_sums,
    loss_blocks,
    share_at_or_below,
    simulated_p_value,
)
from ._tail import Tail, as_tail

Z2_CRITICAL_VALUES = MappingProxyType({0.05: -0.70, 0.0001: -1.8})
"""Critical values of Z2 by significance level, at 250 periods and 2.5 %: nearly the same for normal
and moderately heavy tails (Acerbi and Szekely 2014). For other lengths or tails they are wrong."""


def acerbi_szekely_z1(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    expected_shortfall: ArrayLike,
    *,
    tail_probability: float,
    simulated_loss: SimulatedLoss | None = None,
    n_resamples: int = 5_000,
    rng: np.random.Generator | int = 0,
) -> TestResult:
    r"""Test of the expected shortfall given a breach.

    .. math:: Z_1 = 1 - \frac1x \sum_t \frac{I_t L_t}{e_t}

    Blind to the number of breaches: test the value at risk beside it. Without a law, the
    studentised bootstrap of the mean of :math:`L_t/e_t - 1` over the breaches, as in
    :func:`mcneil_frey`.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss, fraction of notional; positive means money lost.
    value_at_risk, expected_shortfall : array_like, shape (n,) or a number
        Forecasts as positive losses, same unit; ``0 < value_at_risk <= expected_shortfall``.
    tail_probability : float
        Tail probability of both forecasts in (0, 1). Checked; this statistic does not need it.
    simulated_loss : array_like, shape (n_simulations, n), or callable, optional
        Losses drawn from the forecast law of each period, same unit, rows independent; or a
        function of ``rng`` and a number of rows that returns such an array. Histories without a
        breach are left out.
    n_resamples : int
        Draws of a callable or of the bootstrap, >= 1. P-values are multiples of about its inverse.
    rng : numpy.random.Generator or int
        Source of randomness, or its seed; the default repeats exactly.

    Returns
    -------
    TestResult
        ``statistic`` is :math:`Z_1`, dimensionless, at most 1; ``df`` is None. No breach: 0 and
        p-value 1, there is nothing to compare. One breach without a law: p-value 1.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, a forecast is not positive, the value at risk
        exceeds the expected shortfall, or all breaches are off by the same factor and no law is
        given.

    References
    ----------
    Acerbi and Szekely (2014), "Back-testing expected shortfall", Risk 27(11).

    Examples
    --------
    >>> result = acerbi_szekely_z1([1.0, 3.0, 5.0], 2.0, 2.5, tail_probability=0.025)
    >>> round(result.statistic, 10)
    -0.6
    """
    tail = as_tail(loss, value_at_risk, expected_shortfall, tail_probability=tail_probability)
    n_breaches = int(tail.breach.sum())
    if n_breaches == 0:
        return TestResult(statistic=0.0, p_value=1.0, df=None)
    statistic = partial(_z1, tail=tail)
    draw = np.random.default_rng(rng)
    if simulated_loss is not None:
        blocks = loss_blocks(simulated_loss, tail.loss.size, n_resamples=n_resamples, rng=draw)
        p_value = simulated_p_value(statistic, tail.loss, blocks)
    elif n_breaches == 1:
        p_value = 1.0
    else:
        residual = (tail.loss / tail.expected_shortfall - 1.0)[tail.breach]
        p_value = bootstrap_mean_p_value(residual, n_resamples=n_resamples, rng=draw)
    return TestResult(statistic=float(statistic(tail.loss[None])[0]), p_value=p_value, df=None)


def acerbi_szekely_z2(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    expected_shortfall: ArrayLike,
    *,
    tail_probability: float,
    simulated_loss: SimulatedLoss | None = None,
    n_resamples: int = 5_000,
    rng: np.random.Generator | int = 0,
) -> TestResult:
    r"""Test of the number and of the size of breaches together.

    .. math:: Z_2 = 1 - \sum_t \frac{I_t L_t}{n\,p\,e_t}

    Without a law: histories with a binomial number of breaches, each of the size of one that was
    seen, its excess over the value at risk scaled so that the mean ratio :math:`L_t / e_t` is 1.
    :data:`Z2_CRITICAL_VALUES` are the published ones for 250 periods at 2.5 %. They are not
    turned into p-values, since two points are not a law.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss, fraction of notional; positive means money lost.
    value_at_risk, expected_shortfall : array_like, shape (n,) or a number
        Forecasts as positive losses, same unit; ``0 < value_at_risk <= expected_shortfall``.
    tail_probability : float
        Tail probability :math:`p` of both forecasts in (0, 1), for example 0.025.
    simulated_loss, n_resamples, rng
        As for :func:`acerbi_szekely_z1`; all histories count.

    Returns
    -------
    TestResult
        ``statistic`` is :math:`Z_2`, dimensionless, at most 1; ``df`` is None. No breach: 1, its
        highest value, and p-value 1.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, a forecast is not positive, or the value at risk
        exceeds the expected shortfall.

    References
    ----------
    Acerbi and Szekely (2014), "Back-testing expected shortfall", Risk 27(11).

    Examples
    --------
    >>> loss = [1.0] * 38 + [3.0, 5.0]
    >>> round(acerbi_szekely_z2(loss, 2.0, 2.5, tail_probability=0.025).statistic, 10)
    -2.2
    """
    tail = as_tail(loss, value_at_risk, expected_shortfall, tail_probability=tail_probability)
    statistic = partial(_z2, tail=tail, tail_probability=tail_probability)
    seen = float(statistic(tail.loss[None])[0])
    draw = np.random.default_rng(rng)
    if not tail.breach.any():
        p_value = 1.0
    elif simulated_loss is not None:
        blocks = loss_blocks(simulated_loss, tail.loss.size, n_resamples=n_resamples, rng=draw)
        p_value = simulated_p_value(statistic, tail.loss, blocks)
    else:
        gap = tail.gap[tail.breach]
        excess = tail.excess
        sums = compound_sums(
            1.0 - gap + excess * (gap.mean() / excess.mean()),
            np.ones(tail.loss.size),
            tail_probability=tail_probability,
            n_resamples=n_resamples,
            rng=draw,
        )
        p_value = share_at_or_below(1.0 - sums / (tail.loss.size * tail_probability), seen)
    return TestResult(statistic=seen, p_value=p_value, df=None)


def _z1(loss: NDArray[np.float64], *, tail: Tail) -> NDArray[np.float64]:
    """Z1 of each row of losses, shape (rows, n); NaN where a row has no breach."""
    breach = loss > tail.value_at_risk
    total = np.where(breach, loss / tail.expected_shortfall, 0.0).sum(axis=1)
    n_breaches = breach.sum(axis=1)
    mean: NDArray[np.float64] = np.divide(
        total, n_breaches, out=np.full(len(loss), np.nan), where=n_breaches > 0
    )
    return 1.0 - mean


def _z2(loss: NDArray[np.float64], *, tail: Tail, tail_probability: float) -> NDArray[np.float64]:
    breach = loss > tail.value_at_risk
    total = np.where(breach, loss / tail.expected_shortfall, 0.0).sum(axis=1)
    statistic: NDArray[np.float64] = 1.0 - total / (loss.shape[1] * tail_probability)
    return statistic
