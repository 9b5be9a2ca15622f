"""Recursions of a quantile and of a mean beyond it, in the units of their input; compiled.

All take the losses of one side, positive where money was lost, and return at position t what is
expected after the loss at t is known.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Values = NDArray[np.float64]

_FURTHEST = 6.0  # logs by which a scale may leave its long-run level: a factor of 400


@njit(cache=True)
def caviar_path(loss: Values, parameters: Values, start: float) -> Values:
    """Quantile after each loss: ``q = level + decay q + up max(loss, 0) + down max(-loss, 0)``.

    Parameters
    ----------
    loss : ndarray, shape (n,)
        Finite.
    parameters : ndarray, shape (4,)
        ``level, decay, up, down``, none negative.
    start : float
        Quantile of the first loss, positive.
    """
    level, decay, up, down = parameters
    out = np.empty(len(loss))
    quantile = start
    for t in range(len(loss)):
        news = up * loss[t] if loss[t] > 0.0 else -down * loss[t]
        quantile = level + decay * quantile + news
        out[t] = quantile
    return out


@njit(cache=True)
def caviar_loss(loss: Values, parameters: Values, start: float, tail: float) -> float:
    """Mean quantile loss ``q + max(loss - q, 0) / tail`` of the path."""
    path = caviar_path(loss, parameters, start)
    total = 0.0
    for t in range(1, len(loss)):
        total += path[t - 1] + max(loss[t] - path[t - 1], 0.0) / tail
    return total / (len(loss) - 1)


@njit(cache=True)
def score_driven_path(loss: Values, parameters: Values, tail: float) -> tuple[Values, Values]:
    """Quantile and mean beyond it, both multiples of one scale that answers to their loss.

    ``k = decay k + jump (tail-scaled score)``, ``v = quantile exp(k)``, ``e = beyond exp(k)``; the
    score of a loss is ``1{loss >= v} loss / e - tail``: a breach lifts the scale, its absence
    lets it fall.

    Parameters
    ----------
    loss : ndarray, shape (n,)
        Finite.
    parameters : ndarray, shape (4,)
        ``decay, jump, quantile, beyond``.
    tail : float
        Tail probability.
    """
    decay, jump, quantile, beyond = parameters
    v, e = np.empty(len(loss)), np.empty(len(loss))
    log_scale, scale = 0.0, 1.0
    for t in range(len(loss)):
        score = -tail
        if loss[t] >= quantile * scale:
            score += loss[t] / (beyond * scale)
        log_scale = min(max(decay * log_scale + jump * score, -_FURTHEST), _FURTHEST)
        scale = np.exp(log_scale)
        v[t], e[t] = quantile * scale, beyond * scale
    return v, e


@njit(cache=True)
def score_driven_loss(loss: Values, parameters: Values, tail: float) -> float:
    """Mean FZ0 loss ``max(loss - v, 0) / (tail e) + v / e + log e - 1`` of the path."""
    v, e = score_driven_path(loss, parameters, tail)
    total = 0.0
    for t in range(1, len(loss)):
        excess = max(loss[t] - v[t - 1], 0.0)
        total += excess / (tail * e[t - 1]) + v[t - 1] / e[t - 1] + np.log(e[t - 1]) - 1.0
    return total / (len(loss) - 1)
