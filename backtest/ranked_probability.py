r"""How good the probabilities of ordered classes are, such as calm, elevated and stressed.

======================================  ============================================  ======
function                                what it is                                    better
======================================  ============================================  ======
:func:`ranked_probability_loss`         squared distance of distribution functions    lower
:func:`ranked_probability_skill_score`  one minus its mean over a reference's         higher
:func:`class_log_loss`                  :math:`-\ln` of the probability of what came  lower
:func:`class_accuracy_score`            share of cases in the most probable class     higher
======================================  ============================================  ======

``outcome`` holds the position of the class that came, from 0 to K - 1 in the order of the classes;
``probability`` one row per case and one column per class. The first three are proper: nobody gains
by saying something else than what they believe. Accuracy is not, and says little where one class
is the most probable most of the time.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError
from ._checks import as_series, as_values

_ROUNDING = 1e-6  # by which probabilities may miss one: they may come from single precision


def ranked_probability_loss(outcome: ArrayLike, probability: ArrayLike) -> NDArray[np.float64]:
    r"""Squared distance of what was said from what came, which knows that classes are ordered.

    .. math:: \frac{1}{K-1} \sum_{k=1}^{K-1} \bigl(P(\text{class} \le k) - 1\{y \le k\}\bigr)^2

    the mean of the Brier losses of "at most this class" [1]_ [2]_. Stress called calm costs more
    than stress called elevated; a Brier loss per class would not tell them apart. With two
    classes it is the Brier loss. Others leave out :math:`1/(K-1)`: three classes then give twice
    as much.

    Parameters
    ----------
    outcome : array_like, shape (n,)
        Class that came: 0 is the lowest, K - 1 the highest.
    probability : array_like, shape (n, K)
        Forecast probabilities of the classes, lowest first, in [0, 1]; each row sums to one.

    Returns
    -------
    ndarray, shape (n,)
        Loss per case, in [0, 1]; lower is better, 0 is certain and right.

    Raises
    ------
    InputError
        If a value is not finite, an outcome is not one of the classes, a probability lies outside
        of [0, 1], or a row does not sum to one within 1e-6.
    ShapeError
        If the shapes are others.

    References
    ----------
    .. [1] Epstein (1969), "A scoring system for probability forecasts of ranked categories",
       Journal of Applied Meteorology 8(6).
    .. [2] Murphy (1971), "A note on the ranked probability score", Journal of Applied
       Meteorology 10(1), for the form used here.

    Examples
    --------
    >>> ranked_probability_loss([2, 0], [[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]]).round(4)
    array([0.445, 0.   ])
    """
    came, said = _pair(outcome, probability)
    at_most = np.cumsum(said, axis=1)[:, :-1]
    happened = came[:, None] <= np.arange(said.shape[1] - 1)
    loss: NDArray[np.float64] = ((at_most - happened) ** 2).mean(axis=1)
    return loss


def ranked_probability_skill_score(
    outcome: ArrayLike, probability: ArrayLike, *, reference: ArrayLike | None = None
) -> float:
    """One minus the mean ranked probability loss over that of a reference.

    Parameters
    ----------
    outcome, probability : array_like
        As for :func:`ranked_probability_loss`.
    reference : array_like, shape (n, K), optional
        Probabilities to beat. By default the shares of the classes in these cases, in every row:
        a climatology that knows the outcome, so a hard one.

    Returns
    -------
    float
        1 is perfect, 0 as good as the reference; NaN if the reference makes no error.

    Raises
    ------
    InputError, ShapeError
        As :func:`ranked_probability_loss`.

    Examples
    --------
    >>> ranked_probability_skill_score([0, 2], [[1.0, 0.0, 0.0], [0.5, 0.0, 0.5]])
    0.5
    """
    came, said = _pair(outcome, probability)
    if reference is None:
        shares = np.bincount(came, minlength=said.shape[1]) / len(came)
        reference = np.broadcast_to(shares, said.shape)
    beaten = float(ranked_probability_loss(came, reference).mean())
    loss = float(ranked_probability_loss(came, said).mean())
    return 1.0 - loss / beaten if beaten > 0.0 else np.nan


def class_log_loss(outcome: ArrayLike, probability: ArrayLike) -> NDArray[np.float64]:
    """Surprise: minus the logarithm of the probability that was given to the class that came.

    Parameters
    ----------
    outcome, probability : array_like
        As for :func:`ranked_probability_loss`.

    Returns
    -------
    ndarray, shape (n,)
        Loss per case, nats, >= 0; infinite where what came was called impossible.

    Raises
    ------
    InputError, ShapeError
        As :func:`ranked_probability_loss`.

    References
    ----------
    Good (1952), "Rational decisions", Journal of the Royal Statistical Society B 14(1).

    Examples
    --------
    >>> class_log_loss([1], [[0.25, 0.5, 0.25]]).round(4)
    array([0.6931])
    """
    came, said = _pair(outcome, probability)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(said[np.arange(len(came)), came]))


def class_accuracy_score(outcome: ArrayLike, probability: ArrayLike) -> float:
    """Share of cases in which the most probable class came; a tie of m classes counts 1 / m.

    Parameters
    ----------
    outcome, probability : array_like
        As for :func:`ranked_probability_loss`.

    Returns
    -------
    float
        In [0, 1]; without skill the share of the most frequent class.

    Raises
    ------
    InputError, ShapeError
        As :func:`ranked_probability_loss`.

    Examples
    --------
    >>> class_accuracy_score([0, 2], [[0.6, 0.3, 0.1], [0.5, 0.0, 0.5]])
    0.75
    """
    came, said = _pair(outcome, probability)
    top = said == said.max(axis=1, keepdims=True)
    return float((top[np.arange(len(came)), came] / top.sum(axis=1)).mean())


def _pair(
    outcome: ArrayLike, probability: ArrayLike
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    came, said = as_series("outcome", outcome), as_values("probability", probability)
    if said.ndim != 2 or len(said) != len(came) or said.shape[1] < 2:
        raise ShapeError(
            f"probability must have shape ({len(came)}, n_classes) with at least 2 classes, was "
            f"{said.shape}; pass one row per outcome"
        )
    n_classes = said.shape[1]
    n_bad = int((~np.isin(came, np.arange(n_classes))).sum())
    if n_bad:
        raise InputError(
            f"outcome must be a class from 0 to {n_classes - 1}, found {n_bad} other values of "
            f"{came.size}; number the classes in the order of the columns"
        )
    n_bad = int(((said < 0.0) | (said > 1.0)).sum())
    if n_bad:
        raise InputError(
            f"probability must be in [0, 1], found {n_bad} outside of {said.size}; write 0.2 for "
            "20 %"
        )
    missed = np.abs(said.sum(axis=1) - 1.0)
    n_bad = int((missed > _ROUNDING).sum())
    if n_bad:
        raise InputError(
            f"probability must sum to one in every row, found {n_bad} of {len(said)} rows that "
            f"miss it, by {missed.max():.3g} at most; pass all classes, and probabilities of "
            "single classes, not of 'at most'"
        )
    return came.astype(np.intp), said
