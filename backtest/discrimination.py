r"""How good a probability of an event is: sharp, ranked right, and meant as said.

==================================  =============================================  ==========
function                            what it is                                     better
==================================  =============================================  ==========
:func:`brier_loss`                  :math:`(p - y)^2`, elementwise                 lower
:func:`log_loss`                    :math:`-\ln` of the probability of what came   lower
:func:`brier_skill_score`           one minus mean Brier over a reference's        higher
:func:`pr_auc`                      average precision of the ranking               higher
:func:`roc_auc`                     chance that an event ranks above a non-event   higher
:func:`expected_calibration_error`  mean distance of said and seen, in bins        lower
:func:`reliability_curve`           said and seen, bin by bin                      diagonal
==================================  =============================================  ==========

``event`` holds True/False or 1/0, ``probability`` values in [0, 1], one of each per case. The
*onset* version of a measure is the same on the cases in which the event was not already under
way at the origin: ``pr_auc(event[calm], probability[calm])``. Persistence looks good on all cases
and is worth nothing on these.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ._checks import as_series, check_count, check_same_shape

N_BINS = 10
"""Bins of a reliability curve unless told otherwise."""


def brier_loss(event: ArrayLike, probability: ArrayLike) -> NDArray[np.float64]:
    """Squared distance of the probability from what happened.

    Parameters
    ----------
    event : array_like, shape (n,)
        What happened: True/False or 1/0.
    probability : array_like, shape (n,)
        Forecast probability of it, in [0, 1].

    Returns
    -------
    ndarray
        Loss per case, in [0, 1]; lower is better.

    Raises
    ------
    InputError
        If an argument holds anything else, or the two differ in length.

    References
    ----------
    Brier (1950), "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78(1).

    Examples
    --------
    >>> brier_loss([1, 0], [0.8, 0.5])
    array([0.04, 0.25])
    """
    happened, said = _pair(event, probability)
    loss: NDArray[np.float64] = (said - happened) ** 2
    return loss


def log_loss(event: ArrayLike, probability: ArrayLike) -> NDArray[np.float64]:
    """Surprise: minus the logarithm of the probability that was given to what happened.

    Parameters
    ----------
    event, probability : array_like, shape (n,)
        As for :func:`brier_loss`.

    Returns
    -------
    ndarray
        Loss per case, nats, >= 0; infinite where what happened was called impossible.

    Raises
    ------
    InputError
        As :func:`brier_loss`.

    References
    ----------
    Good (1952), "Rational decisions", Journal of the Royal Statistical Society B 14(1).

    Examples
    --------
    >>> log_loss([1, 0], [0.5, 0.5]).round(4)
    array([0.6931, 0.6931])
    """
    happened, said = _pair(event, probability)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(np.where(happened, said, 1.0 - said)))


def brier_skill_score(
    event: ArrayLike, probability: ArrayLike, *, reference: ArrayLike | None = None
) -> float:
    """One minus the mean Brier loss over that of a reference.

    Parameters
    ----------
    event, probability : array_like, shape (n,)
        As for :func:`brier_loss`.
    reference : array_like, shape (n,), optional
        Probabilities to beat, for example what is so already (persistence). By default the share
        of events in these cases: a climatology that knows the outcome, so a hard one.

    Returns
    -------
    float
        1 is perfect, 0 as good as the reference; NaN if the reference makes no error.

    Raises
    ------
    InputError
        As :func:`brier_loss`.

    Examples
    --------
    >>> brier_skill_score([1, 1, 0, 0], [1.0, 0.5, 0.5, 0.0])
    0.5
    """
    happened, said = _pair(event, probability)
    base = np.full(len(happened), happened.mean()) if reference is None else reference
    beaten = float(brier_loss(happened, base).mean())
    return 1.0 - float(brier_loss(happened, said).mean()) / beaten if beaten > 0.0 else np.nan


def pr_auc(event: ArrayLike, probability: ArrayLike) -> float:
    r"""Area under the precision-recall curve, as average precision.

    .. math:: \sum_k (R_k - R_{k-1})\, P_k

    over the distinct probabilities from the largest down, with the precision :math:`P_k` and the
    recall :math:`R_k` of "event where at least this probability". Nothing is interpolated: a
    straight line between points promises more than a forecaster can do [1]_. Unlike the area
    under the ROC curve it is not flattered by the many easy non-events of a rare event.

    Parameters
    ----------
    event, probability : array_like, shape (n,)
        As for :func:`brier_loss`; any monotone score in [0, 1] will do.

    Returns
    -------
    float
        In (0, 1]; a ranking without skill gives about the share of events. NaN without an event.

    Raises
    ------
    InputError
        As :func:`brier_loss`.

    References
    ----------
    .. [1] Davis and Goadrich (2006), "The relationship between Precision-Recall and ROC curves",
       ICML.

    Examples
    --------
    >>> round(pr_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    caught, called = _ranked(event, probability)
    if not caught[-1]:
        return np.nan
    gained = np.diff(caught, prepend=0.0) / caught[-1]
    return float(np.sum(gained * caught / called))


def roc_auc(event: ArrayLike, probability: ArrayLike) -> float:
    """Chance that a random event was given a larger probability than a random non-event.

    Parameters
    ----------
    event, probability : array_like, shape (n,)
        As for :func:`brier_loss`.

    Returns
    -------
    float
        In [0, 1]; equal probabilities count half. NaN unless there are both.

    Raises
    ------
    InputError
        As :func:`brier_loss`.

    References
    ----------
    Hanley and McNeil (1982), "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", Radiology 143(1).

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    caught, called = _ranked(event, probability)
    false = called - caught
    if not caught[-1] or not false[-1]:
        return np.nan
    height = 0.5 * (caught + np.concatenate([[0.0], caught[:-1]]))
    return float(np.sum(np.diff(false, prepend=0.0) * height) / (caught[-1] * false[-1]))


def reliability_curve(
    event: ArrayLike,
    probability: ArrayLike,
    *,
    n_bins: int = N_BINS,
    equal_counts: bool = False,
) -> pd.DataFrame:
    """Compare what was said with what was seen, in bins of what was said.

    Parameters
    ----------
    event, probability : array_like, shape (n,)
        As for :func:`brier_loss`.
    n_bins : int
        Number of bins, >= 1; those without a case are left out.
    equal_counts : bool
        Whether every bin holds about as many cases; by default bins have equal width, as is usual.
        Equal probabilities are never split between bins.

    Returns
    -------
    pandas.DataFrame
        One row per bin: ``probability``, the mean of what was said; ``rate``, the share of events;
        ``n`` cases.

    Raises
    ------
    InputError
        As :func:`brier_loss`, or if `n_bins` is out of range.

    Examples
    --------
    >>> reliability_curve([0, 1, 1, 1], [0.2, 0.3, 0.8, 0.9], n_bins=2)
       probability  rate  n
    0         0.25   0.5  2
    1         0.85   1.0  2
    """
    check_count("n_bins", n_bins, minimum=1)
    happened, said = _pair(event, probability)
    inner = np.arange(1, n_bins) / n_bins
    edges = np.quantile(said, inner) if equal_counts else inner
    which = np.searchsorted(edges, said, side="right")
    n = np.bincount(which, minlength=n_bins)
    used = n > 0
    return pd.DataFrame(
        {
            "probability": np.bincount(which, weights=said, minlength=n_bins)[used] / n[used],
            "rate": np.bincount(which, weights=happened, minlength=n_bins)[used] / n[used],
            "n": n[used],
        }
    )


def expected_calibration_error(
    event: ArrayLike,
    probability: ArrayLike,
    *,
    n_bins: int = N_BINS,
    equal_counts: bool = False,
) -> float:
    r"""Mean distance of what was said from what was seen, :math:`\sum_b \frac{n_b}{n}|p_b - r_b|`.

    Chance alone makes it positive: in a bin of :math:`n_b` cases the rate of a perfect forecast
    still misses by about :math:`\sqrt{p_b(1-p_b)/n_b}`.

    Parameters
    ----------
    event, probability : array_like, shape (n,)
        As for :func:`brier_loss`.
    n_bins, equal_counts
        As for :func:`reliability_curve`.

    Returns
    -------
    float
        In [0, 1]; 0.02 is two points of probability.

    Raises
    ------
    InputError
        As :func:`reliability_curve`.

    References
    ----------
    Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI.

    Examples
    --------
    >>> round(expected_calibration_error([0, 1, 1, 1], [0.2, 0.3, 0.8, 0.9], n_bins=2), 10)
    0.2
    """
    curve = reliability_curve(event, probability, n_bins=n_bins, equal_counts=equal_counts)
    distance = (curve.probability - curve.rate).abs()
    return float((distance * curve.n).sum() / curve.n.sum())


def _pair(
    event: ArrayLike, probability: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    happened, said = as_series("event", event), as_series("probability", probability)
    check_same_shape(event=happened, probability=said)
    n_bad = int(((happened != 0.0) & (happened != 1.0)).sum())
    if n_bad:
        raise InputError(
            f"event must hold True/False or 0/1, found {n_bad} other values of {happened.size}; "
            "the arguments may be swapped"
        )
    n_bad = int(((said < 0.0) | (said > 1.0)).sum())
    if n_bad:
        raise InputError(
            f"probability must be in [0, 1], found {n_bad} outside of {said.size}; write 0.2 for "
            "20 %"
        )
    return happened, said


def _ranked(
    event: ArrayLike, probability: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Events, and cases, at or above each distinct probability, from the largest down."""
    happened, said = _pair(event, probability)
    order = np.argsort(-said, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(said[order])), len(said) - 1)
    caught = np.cumsum(happened[order])[last_of_tie]
    return caught, (last_of_tie + 1).astype(np.float64)
