r"""Expected-shortfall regression backtests of Bayer and Dimitriadis."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ...errors import ConvergenceError, InputError
from .._checks import check_count, check_longer_than
from .._results import TestResult
from ._resampling import SimulatedLoss, block_sizes, loss_blocks
from ._tail import Tail, as_tail
from .joint_regression import joint_regression, quantile_regression

Version = Literal["strict", "auxiliary", "intercept"]


def expected_shortfall_regression(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    expected_shortfall: ArrayLike,
    *,
    tail_probability: float,
    version: Version = "strict",
    simulated_loss: SimulatedLoss | None = None,
    n_resamples: int = 0,
    rng: np.random.Generator | int = 0,
) -> TestResult:
    r"""Test that the regression of the shortfall on its forecast has intercept 0 and slope 1.

    ===========  ============================  ====================  ========================
    version      loss                          its shortfall         its value at risk
    ===========  ============================  ====================  ========================
    strict       :math:`L_t`                   on 1 and :math:`e_t`  on 1 and :math:`e_t`
    auxiliary    :math:`L_t`                   on 1 and :math:`e_t`  on 1 and :math:`v_t`
    intercept    :math:`L_t - e_t`             on 1                  on 1 and :math:`e_t`
    ===========  ============================  ====================  ========================

    by :func:`foremargin.backtest.joint_regression`. Strict and auxiliary are Wald tests,
    :math:`(\hat\gamma - \gamma_0)' \hat\Sigma_\gamma^{-1} (\hat\gamma - \gamma_0) \sim \chi^2(2)`
    with :math:`\gamma_0 = (0, 1)`, two-sided. Intercept is the t test of :math:`\gamma_1 \le 0`
    against risk that is understated, :math:`\gamma_1 > 0`.

    Only the auxiliary version looks at the forecast of the value at risk, and only as a regressor;
    an error of its scale is no error to any of them.

    The laws above need thousands of periods: strict and auxiliary reject right forecasts too
    often, at 250 periods almost always. With `simulated_loss`, or `n_resamples` above zero, the
    statistic is compared with those of histories in which the forecasts are right. The bootstrap
    makes them as for :func:`acerbi_szekely_z2`, with losses below the value at risk drawn, relative
    to the shortfall, from those seen.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss, fraction of notional; positive means money lost.
    value_at_risk, expected_shortfall : array_like, shape (n,) or a number
        Forecasts as positive losses, same unit; ``0 < value_at_risk <= expected_shortfall``. The
        expected shortfall must vary, except in the intercept version; so must the value at risk in
        the auxiliary version.
    tail_probability : float
        Tail probability :math:`p` of both forecasts in (0, 1), for example 0.025.
    version : {"strict", "auxiliary", "intercept"}
        See above.
    simulated_loss : array_like, shape (n_simulations, n), or callable, optional
        Losses drawn from the forecast law of each period, same unit, rows independent; or a
        function of ``rng`` and a number of rows that returns such an array.
    n_resamples : int
        Draws of a callable or of the bootstrap; 0 takes the large-sample law. A regression each,
        some milliseconds.
    rng : numpy.random.Generator or int
        Source of randomness, or its seed; the default repeats exactly.

    Returns
    -------
    TestResult
        Wald statistic with ``df`` 2, or t statistic with ``df`` None: positive where risk is
        understated. No breach is an ordinary case, since the regression finds its own quantile; but
        the bootstrap then has nothing to draw from, and the large-sample law stands.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, a forecast is not positive or does not vary, the
        value at risk exceeds the expected shortfall, there are fewer than five periods, or the
        version is unknown.
    ConvergenceError
        If the regression does not settle.

    References
    ----------
    Bayer and Dimitriadis (2022), "Regression-Based Expected Shortfall Backtesting", Journal of
    Financial Econometrics 20(3).

    Examples
    --------
    >>> draw = np.random.default_rng(1)
    >>> sigma = np.exp(0.5 * draw.standard_normal(1000)) / 100
    >>> loss = sigma * draw.standard_normal(1000)
    >>> half = expected_shortfall_regression(
    ...     loss, 0.98 * sigma, 1.17 * sigma, tail_probability=0.025, version="intercept")
    >>> half.p_value < 0.01
    True
    """
    tail = as_tail(loss, value_at_risk, expected_shortfall, tail_probability=tail_probability)
    check_longer_than("loss", tail.loss, 4, "a regression of four coefficients")
    check_count("n_resamples", n_resamples, minimum=0)
    if version not in ("strict", "auxiliary", "intercept"):
        raise InputError(f'version must be "strict", "auxiliary" or "intercept", was {version!r}')
    statistic = _statistic(tail, tail_probability, version)
    n, draw = tail.loss.size, np.random.default_rng(rng)
    if simulated_loss is not None:
        blocks = loss_blocks(simulated_loss, n, n_resamples=n_resamples, rng=draw)
        p_value = _p_value(statistic, tail, blocks, tail_probability, version)
    elif n_resamples > 0 and tail.breach.any():
        blocks = _right_histories(tail, tail_probability, n_resamples, draw)
        p_value = _p_value(statistic, tail, blocks, tail_probability, version)
    elif version == "intercept":
        p_value = float(stats.norm.sf(statistic))
    else:
        p_value = float(stats.chi2.sf(statistic, 2))
    df = None if version == "intercept" else 2
    return TestResult(statistic=statistic, p_value=p_value, df=df)


def _statistic(tail: Tail, tail_probability: float, version: Version) -> float:
    if version == "intercept":
        return _intercept(tail, tail_probability)
    regressor = tail.expected_shortfall if version == "strict" else tail.value_at_risk
    ratio = float(np.mean(tail.value_at_risk / tail.expected_shortfall))
    fit = joint_regression(
        tail.loss,
        _with_constant(regressor),
        _with_constant(tail.expected_shortfall),
        tail_probability=tail_probability,
        start=[0.0, ratio if version == "strict" else 1.0, 0.0, 1.0],
    )
    error = fit.expected_shortfall_coefficient - np.array([0.0, 1.0])
    return float(error @ np.linalg.solve(fit.covariance[2:, 2:], error))


def _intercept(tail: Tail, tail_probability: float) -> float:
    loss, e = tail.loss - tail.expected_shortfall, tail.expected_shortfall
    varies = np.ptp(e) > 1e-10 * e.max()
    x = _with_constant(e) if varies else np.ones((e.size, 1))
    beta, gamma = quantile_regression(loss, x, tail_probability=tail_probability)
    v = x @ beta
    ratio = ((loss - v) / e)[loss > v]
    spread = ratio.var(ddof=1) if ratio.size > 1 else 0.0
    variance = np.mean(e**2 * spread + (1.0 - tail_probability) * (gamma - v) ** 2)
    return float(gamma / np.sqrt(variance / tail_probability / loss.size))


def _p_value(
    seen: float,
    tail: Tail,
    blocks: Iterator[NDArray[np.float64]],
    tail_probability: float,
    version: Version,
) -> float:
    n_draws, n_above = 0, 0
    for block in blocks:
        for loss in block:
            n_draws += 1
            try:
                drawn = _statistic(replace(tail, loss=loss), tail_probability, version)
            except ConvergenceError:
                drawn = np.inf  # counts against a rejection
            n_above += drawn >= seen
    return (n_above + 1) / (n_draws + 1)


def _right_histories(
    tail: Tail, tail_probability: float, n_resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Yield losses of histories in which both forecasts are right, shape (rows, n)."""
    ratio, level = tail.loss / tail.expected_shortfall, 1.0 - tail.gap
    excess = (ratio - level)[tail.breach]
    excess = excess * (tail.gap.mean() / excess.mean())
    calm = ratio[~tail.breach]
    if calm.size == 0:
        calm = level
    for some in block_sizes(n_resamples):
        shape = (some, ratio.size)
        above = level + excess[rng.integers(excess.size, size=shape)]
        below = np.minimum(calm[rng.integers(calm.size, size=shape)], level)
        breach = rng.random(shape) < tail_probability
        yield np.where(breach, above, below) * tail.expected_shortfall


def _with_constant(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.ones(values.size), values])
