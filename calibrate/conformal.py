"""Adaptive conformal inference on volatility-normalised losses.

Gibbs and Candes (2021), "Adaptive Conformal Inference Under Distribution Shift", NeurIPS: after
every outcome the tail probability aimed at moves by ``rate * (tail_probability - breach)``, so
that too many breaches make the margin rarer to breach, whatever the process. Dividing the losses
by a volatility forecast first is what keeps coverage even between calm and stressed times.

It stays within [tail/4, 3 tail]: without bounds it can leave (0, 1). The long-run
guarantee for any sequence holds as long as the bounds are not reached.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ShapeError
from .empirical import adaptive_quantile
from .pooling import PooledTail


@dataclass(frozen=True, kw_only=True, eq=False)
class ConformalMargin:
    """Margins and the tail probabilities behind them.

    Attributes
    ----------
    margin : ndarray, shape (n,)
        In the unit of the losses; NaN before there are enough outcomes.
    aimed_tail_probability : ndarray, shape (n,)
        Tail probability at which each margin was read, in [tail/4, 3 tail].
    """

    margin: NDArray[np.float64]
    aimed_tail_probability: NDArray[np.float64]


def adaptive_conformal_margin(
    loss: NDArray[np.float64],
    sigma: NDArray[np.float64],
    *,
    tail_probability: float,
    horizon: int = 1,
    window: int = 1_000,
    needed: int = 100,
    rate: float = 0.005,
    pooled: PooledTail | None = None,
) -> ConformalMargin:
    r"""Compute the margin :math:`\sigma_t \hat q_t` that holds a breach rate.

    :math:`\hat q_t` is the :math:`1 - a_t` quantile of the last scores :math:`\ell_s/\sigma_s`
    with :math:`s + h \le t`, and :math:`a_{t+1} = a_t + \gamma (p - 1\{\ell_{t-h} > m_{t-h}\})`.

    Parameters
    ----------
    loss : ndarray, shape (n,)
        Loss over the horizon after each origin, positive if money was lost; NaN if not known.
    sigma : ndarray, shape (n,)
        Volatility forecast over the same horizon, same unit, made at the origin; positive or
        NaN.
    tail_probability : float
        Target breach rate in (0, 1), for example 0.01.
    horizon : int
        Periods after which a loss is known, at least one.
    window : int
        Outcomes kept.
    needed : int
        Fewest outcomes; NaN before.
    rate : float
        Step :math:`\gamma` of the tail probability aimed at; 0 switches the adaptation off.
    pooled : PooledTail, optional
        What other instruments have shown, n rows: the quantile is the mean of theirs and of the own
        one, weighted by the number of own scores; theirs alone before there are enough of them.

    Raises
    ------
    ShapeError
        If `loss` and `sigma` differ in shape.
    InputError
        If a number is out of range.
    """
    if loss.shape != sigma.shape or loss.ndim != 1:
        raise ShapeError(
            f"loss and sigma must be one-dimensional and equally long, were {loss.shape} and "
            f"{sigma.shape}"
        )
    if not 0.0 < tail_probability < 0.25:
        raise InputError(
            f"tail_probability must be in (0, 0.25), was {tail_probability}; write 0.01 for 1 %"
        )
    if horizon < 1 or rate < 0.0 or not 1 <= needed <= window:
        raise InputError(
            "horizon must be at least 1, rate not negative and 1 <= needed <= window, were "
            f"{horizon}, {rate}, {needed} and {window}"
        )
    if np.any(sigma <= 0.0):
        raise InputError(
            f"sigma must be positive or NaN, found {np.sum(sigma <= 0.0)} values that are not"
        )
    others = PooledTail.none(len(loss)) if pooled is None else pooled
    if len(others.quantile) != len(loss):
        raise ShapeError(
            f"pooled must have a row for each of {len(loss)} losses, had {len(others.quantile)}"
        )
    quantile, aimed = adaptive_quantile(
        loss / sigma,
        others.quantile,
        tail_probability,
        horizon,
        window,
        needed,
        rate,
        others.weight,
    )
    return ConformalMargin(margin=quantile * sigma, aimed_tail_probability=aimed)
