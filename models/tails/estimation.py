"""Estimates of the tail recursions: the best of a grid, polished without derivatives.

Both losses have kinks, and several minima: a grid of starts with the long-run level that the
data show, then the simplex of Nelder and Mead (1965) from the best two of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from .recursion import caviar_loss, score_driven_loss

Values = NDArray[np.float64]

_POLISHED = 2
_START_PERIODS = 250  # of whose losses the first quantile is taken
_LEAST = 0.05  # of the root mean square: a quantile is not below it, so that it can be divided by


@dataclass(frozen=True, kw_only=True, eq=False)
class TailEstimate:
    """Parameters of one recursion for one side and tail.

    Attributes
    ----------
    parameters : ndarray
        In the order that the recursion takes.
    start : float
        Quantile of the first loss; 0 where the recursion needs none.
    value : float
        Mean loss at the parameters, of losses in the unit that was fitted.
    converged : bool
        Whether the simplex ended by its own criterion.
    """

    parameters: Values
    start: float
    value: float
    converged: bool


def fit_caviar(loss: Values, *, tail: float, symmetric: bool) -> TailEstimate:
    """Estimate CAViaR by its quantile loss (Engle and Manganelli 2004).

    Parameters
    ----------
    loss : ndarray, shape (n,)
        Finite, of order one.
    tail : float
        Tail probability.
    symmetric : bool
        One coefficient for gains and losses (symmetric absolute value), or two (asymmetric
        slope).
    """
    start = _positive_quantile(loss[:_START_PERIODS], tail, np.sqrt(np.mean(loss**2)))
    usual = _positive_quantile(loss, tail, start)
    size = float(np.mean(np.abs(loss)))
    sides = ((1.0, 1.0),) if symmetric else ((1.0, 1.0), (1.6, 0.4))
    grid = [
        [(1.0 - news) * (1.0 - decay) * usual, decay]
        + [side * news * (1.0 - decay) * usual / size for side in (pair[:1] if symmetric else pair)]
        for decay, news, pair in product((0.7, 0.85, 0.93), (0.5, 0.9), sides)
    ]

    def value(x: Values) -> float:
        if (x < 0.0).any() or x[1] >= 1.0:
            return np.inf
        return caviar_loss(loss, _four(x), start, tail)

    x, best, converged = _best(value, grid)
    return TailEstimate(parameters=_four(x), start=start, value=best, converged=converged)


def fit_score_driven(loss: Values, *, tail: float) -> TailEstimate:
    """Estimate the one-factor score-driven model by FZ0 (Patton, Ziegel and Chen 2019).

    Parameters
    ----------
    loss : ndarray, shape (n,)
        Finite, of order one.
    tail : float
        Tail probability.
    """
    usual = _positive_quantile(loss, tail, np.sqrt(np.mean(loss**2)))
    beyond = float(loss[loss >= usual].mean()) if (loss >= usual).any() else usual
    ratio = max(beyond / usual - 1.0, _LEAST)
    # The last is the excess of the mean over the quantile, so that all four are positive.
    grid = [
        [decay, jump, level * usual, ratio]
        for decay, jump, level in product((0.9, 0.97, 0.99), (0.03, 0.1, 0.3), (0.8, 1.0))
    ]

    def parameters(x: Values) -> Values:
        return np.array([x[0], x[1], x[2], x[2] * (1.0 + x[3])])

    def value(x: Values) -> float:
        if (x <= 0.0).any() or x[0] >= 1.0:
            return np.inf
        return score_driven_loss(loss, parameters(x), tail)

    x, best, converged = _best(value, grid)
    return TailEstimate(parameters=parameters(x), start=0.0, value=best, converged=converged)


def _four(x: Values) -> Values:
    """Give both sides one coefficient where only one was estimated."""
    return np.array([x[0], x[1], x[2], x[-1]])


def _positive_quantile(loss: Values, tail: float, usual: float) -> float:
    """Empirical quantile; at least a small part of what is usual, so that it has a logarithm."""
    return max(float(np.quantile(loss, 1.0 - tail)), _LEAST * float(usual))


def _best(
    value: Callable[[Values], float], grid: Sequence[Sequence[float]]
) -> tuple[Values, float, bool]:
    starts = sorted((np.array(point) for point in grid), key=value)[:_POLISHED]
    results = [
        minimize(
            value, x, method="Nelder-Mead", options={"maxiter": 2_000, "xatol": 1e-4, "fatol": 1e-7}
        )
        for x in starts
    ]
    best = min(results, key=lambda result: float(result.fun))
    return np.asarray(best.x), float(best.fun), bool(best.success)
