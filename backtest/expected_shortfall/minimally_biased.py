"""The minimally biased test of Acerbi and Szekely: of the shortfall, hardly of the quantile."""

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .._results import TestResult
from ._resampling import (
    SimulatedLoss,
    compound_sums,
    loss_blocks,
    share_at_or_below,
    simulated_p_value,
)
from ._tail import Tail, as_tail


def acerbi_szekely_minimally_biased(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    expected_shortfall: ArrayLike,
    *,
    tail_probability: float,
    form: Literal["relative", "absolute"] = "relative",
    simulated_loss: SimulatedLoss | None = None,
    n_resamples: int = 5_000,
    rng: np.random.Generator | int = 0,
) -> TestResult:
    r"""Test of the expected shortfall that hardly feels an error of the value at risk.

    .. math:: Z_{abs} = \frac1n \sum_t \Bigl[e_t - v_t - \frac{(L_t - v_t)_+}{p}\Bigr], \qquad
              Z_{rel} = \frac1n \sum_t \frac{e_t - v_t - (L_t - v_t)_+ / p}{e_t}

    The expected shortfall is the minimum of :math:`v + E(L - v)_+ / p` over :math:`v`, so a small
    error of :math:`v` counts in the second order, and always makes the statistic lower.

    Without a law: histories with a binomial number of breaches, each of the excess of one that was
    seen, scaled so that the statistic is zero on average.

    Parameters
    ----------
    loss : array_like, shape (n,)
        Realised loss, fraction of notional; positive means money lost.
    value_at_risk, expected_shortfall : array_like, shape (n,) or a number
        Forecasts as positive losses, same unit; ``0 < value_at_risk <= expected_shortfall``.
    tail_probability : float
        Tail probability :math:`p` of both forecasts in (0, 1), for example 0.025.
    form : {"relative", "absolute"}
        Whether a period counts relative to its forecast, or in money: calm periods then hardly
        count.
    simulated_loss, n_resamples, rng
        As for :func:`acerbi_szekely_z1`; all histories count.

    Returns
    -------
    TestResult
        ``statistic`` is dimensionless (relative) or in the unit of the loss (absolute); ``df`` is
        None. No breach: the highest value possible, and p-value 1.

    Raises
    ------
    InputError
        If a value is not finite, shapes differ, a forecast is not positive, the value at risk
        exceeds the expected shortfall, or `form` is unknown.

    References
    ----------
    Acerbi and Szekely (2017), "General properties of backtestable statistics", SSRN 2905109.

    Examples
    --------
    >>> loss = [1.0] * 38 + [3.0, 5.0]
    >>> result = acerbi_szekely_minimally_biased(loss, 2.0, 2.5, tail_probability=0.025)
    >>> round(result.statistic, 10)
    -1.4
    """
    tail = as_tail(loss, value_at_risk, expected_shortfall, tail_probability=tail_probability)
    if form not in ("relative", "absolute"):
        raise InputError(f'form must be "relative" or "absolute", was {form!r}')
    weight = np.ones(tail.loss.size) if form == "relative" else tail.expected_shortfall
    statistic = partial(_unbiased, tail=tail, weight=weight, tail_probability=tail_probability)
    seen = float(statistic(tail.loss[None])[0])
    draw = np.random.default_rng(rng)
    if not tail.breach.any():
        p_value = 1.0
    elif simulated_loss is not None:
        blocks = loss_blocks(simulated_loss, tail.loss.size, n_resamples=n_resamples, rng=draw)
        p_value = simulated_p_value(statistic, tail.loss, blocks)
    else:
        level, excess = float(np.mean(weight * tail.gap)), tail.excess
        sums = compound_sums(
            excess * (level / weight.mean() / excess.mean()),
            weight,
            tail_probability=tail_probability,
            n_resamples=n_resamples,
            rng=draw,
        )
        p_value = share_at_or_below(level - sums / (tail.loss.size * tail_probability), seen)
    return TestResult(statistic=seen, p_value=p_value, df=None)


def _unbiased(
    loss: NDArray[np.float64],
    *,
    tail: Tail,
    weight: NDArray[np.float64],
    tail_probability: float,
) -> NDArray[np.float64]:
    excess = np.maximum(loss - tail.value_at_risk, 0.0) / tail.expected_shortfall
    statistic: NDArray[np.float64] = np.mean(
        weight * (tail.gap - excess / tail_probability), axis=1
    )
    return statistic
