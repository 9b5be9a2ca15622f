"""Tails over several periods by simulation: volatility moves on the way, and tails thin out.

The square root of time keeps the tail of one period. The sum of several has a lighter one where
periods are independent, and a heavier one where a large loss raises the volatility of those after
it. Residuals are drawn from the past and run through the variance recursion (Barone-Adesi,
Giannopoulos and Vosper 1999).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .law import Tail, as_scores, as_tail_probabilities

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class VarianceRecursion:
    r"""How a return moves the next variance: GARCH (1,1) with the asymmetry of GJR.

    .. math:: h_{t+1} = \omega + (\alpha + \gamma 1\{e_t < 0\}) e_t^2 + \beta h_t

    Attributes
    ----------
    omega : float
        Decimal squared, not negative.
    alpha, gamma, beta : float
        Dimensionless; `alpha`, ``alpha + gamma`` and `beta` not negative.
    """

    omega: float
    alpha: float
    beta: float
    gamma: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.omega, self.alpha, self.alpha + self.gamma, self.beta)
        if not np.isfinite(numbers).all() or min(numbers) < 0.0:
            raise InputError(
                "omega, alpha, alpha + gamma and beta must be finite and not negative, were "
                f"{', '.join(f'{number:g}' for number in numbers)}"
            )


def simulate_horizon(
    variance: ArrayLike,
    residual: ArrayLike,
    *,
    recursion: VarianceRecursion,
    horizon: int,
    rng: np.random.Generator,
    n_paths: int = 20_000,
) -> Values:
    """Draw sums of log returns over the next `horizon` periods.

    All origins share their draws, so that two variances differ by what they are and not by luck.

    Parameters
    ----------
    variance : array_like, shape (n,)
        Of the next period, decimal squared, positive.
    residual : array_like, shape (k,)
        Past returns over their volatility, at least 100; drawn with replacement.
    recursion : VarianceRecursion
        How volatility moves on.
    horizon : int
        Periods, at least 1.
    rng : numpy.random.Generator
        Draws the residuals.
    n_paths : int
        Per origin, at least 1.

    Returns
    -------
    ndarray, shape (n, n_paths)
        Log returns.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    start = np.atleast_1d(np.asarray(variance, dtype=np.float64))
    if start.ndim != 1 or not np.all((start > 0.0) & np.isfinite(start)):
        raise InputError(
            f"variance must be one-dimensional, positive and finite, had shape {start.shape} and "
            f"{np.sum(~((start > 0.0) & np.isfinite(start)))} values that are not"
        )
    if horizon < 1 or n_paths < 1:
        raise InputError(f"horizon and n_paths must be at least 1, were {horizon} and {n_paths}")
    past = as_scores(residual)
    drawn = past[rng.integers(len(past), size=(n_paths, horizon))]
    weights = (recursion.omega, recursion.alpha, recursion.gamma, recursion.beta)
    return np.asarray(_run(start, drawn, weights))


@njit(cache=True)
def _run(start: Values, drawn: Values, weights: tuple[float, float, float, float]) -> Values:
    omega, alpha, gamma, beta = weights
    n_paths, horizon = drawn.shape
    out = np.empty((len(start), n_paths))
    for i in range(len(start)):
        for path in range(n_paths):
            h, total = start[i], 0.0
            for step in range(horizon):
                move = np.sqrt(h) * drawn[path, step]
                total += move
                follow = alpha + (gamma if move < 0.0 else 0.0)
                h = omega + follow * move * move + beta * h
            out[i, path] = total
    return out


def simulated_tails(
    log_return: ArrayLike, *, tail_probabilities: Sequence[float]
) -> tuple[Tail, Tail]:
    """Read the tails of one origin's simulated returns, of a long and of a short.

    Parameters
    ----------
    log_return : array_like, shape (n_paths,)
        Simulated.
    tail_probabilities : sequence of float
        Each in (0, 0.5).

    Returns
    -------
    lower, upper : Tail
        As positive log losses.
    """
    values = as_scores(log_return)
    tails = as_tail_probabilities(tail_probabilities)
    return _sample_tail(-values, tails), _sample_tail(values, tails)


def _sample_tail(loss: Values, tails: Values) -> Tail:
    ordered = np.sort(loss)
    quantile = np.quantile(ordered, 1.0 - tails)
    first = np.searchsorted(ordered, quantile)
    beyond = np.array([ordered[at:].mean() for at in first])
    return Tail(quantile=quantile, mean_beyond=beyond)
