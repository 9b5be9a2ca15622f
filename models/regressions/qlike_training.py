"""Training of a log regression by QLIKE: the loss it is judged by, from where least squares ended.

Least squares on logs weighs a day on which variance halved like one on which it doubled; QLIKE
weighs the second more, as a margin does (Patton 2011, Journal of Econometrics 160(1)). A prior
keeps the coefficients near those of least squares, since few days decide about QLIKE.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .log_regression import LogFit

Values = NDArray[np.float64]

_CLIP = 2.0  # log error from which the loss goes on as a straight line: one day is one day
_STEPS = 50
_TOLERANCE = 1e-10  # of the loss, relative


def train_qlike(fit: LogFit, x: Values, y: Values, *, ratio: Values, prior: float) -> LogFit:
    r"""Move the coefficients of a fit towards the smallest QLIKE.

    .. math:: \min_{a, b} \sum_i L(y_i - a - b' x_i) + \tfrac{p}{2} |b - b_0|^2, \qquad
        L(u) = e^u - u - 1

    by Newton's method, halving steps that do not help; the problem is convex. Above two, :math:`L`
    goes on along its tangent. The correction of the bias is made afresh.

    Parameters
    ----------
    fit : LogFit
        Where to start: least squares.
    x : ndarray, shape (n, n_terms)
        Terms of about unit variance.
    y : ndarray, shape (n,)
        Log targets.
    ratio : ndarray, shape (n,)
        Their unfloored variances relative to the level.
    prior : float
        Weight :math:`p` of the coefficients of `fit`, observations.
    """
    design = np.column_stack([np.ones(len(x)), x])
    start = np.concatenate([[fit.intercept + np.log(fit.correction)], fit.coefficient])
    weight = np.concatenate([[0.0], np.full(x.shape[1], prior)])
    b, loss = start, _loss(y - design @ start)
    for _ in range(_STEPS):
        u = y - design @ b
        slope, curvature = _derivatives(u)
        gradient = design.T @ slope - weight * (b - start)
        hessian = (design.T * curvature) @ design + np.diag(weight)
        step = np.linalg.pinv(hessian, hermitian=True) @ gradient
        moved, new_loss = _best_along(design, y, b, step, start=start, weight=weight, loss=loss)
        done = loss - new_loss <= _TOLERANCE * abs(loss)
        b, loss = moved, new_loss
        if done:
            break
    trained = replace(fit, intercept=float(b[0]), coefficient=b[1:], correction=1.0)
    return replace(trained, correction=float(np.mean(ratio / trained.predict(x))))


def _best_along(
    design: Values,
    y: Values,
    b: Values,
    step: Values,
    *,
    start: Values,
    weight: Values,
    loss: float,
) -> tuple[Values, float]:
    """Return the first of full step, half, quarter ... that lowers the loss, and its loss."""
    for _ in range(20):
        moved = b + step
        gap = moved - start
        new_loss = _loss(y - design @ moved) + 0.5 * float(weight @ gap**2)
        if new_loss <= loss:
            return moved, new_loss
        step = 0.5 * step
    return b, loss


def _loss(u: Values) -> float:
    cut = np.minimum(u, _CLIP)
    return float(np.sum(np.exp(cut) * (1.0 + u - cut) - u - 1.0))


def _derivatives(u: Values) -> tuple[Values, Values]:
    """Slope of the loss in u, and its curvature; that of the straight line is taken as one."""
    grown = np.exp(np.minimum(u, _CLIP))
    return grown - 1.0, np.where(u < _CLIP, grown, 1.0)
