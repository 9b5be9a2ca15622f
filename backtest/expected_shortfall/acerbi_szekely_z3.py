r"""The third test of Acerbi and Szekely: the whole law's tail, seen through the ranks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import interpolate, stats

from ...errors import InputError, NotEnoughHistoryError, ShapeError
from .._checks import as_series, as_values, check_probability
from .._results import TestResult
from ._resampling import block_sizes

Array = NDArray[np.float64]

_RAREST = 1e-30  # exceedance probability at which the integral of a tail is cut
_NODES = np.polynomial.legendre.leggauss(96)
_GRID = 256  # points of the curve that simulations are read from


def acerbi_szekely_z3(
    exceedance_probability: ArrayLike,
    loss_quantile: Callable[[Array], ArrayLike],
    *,
    tail_probability: float,
    n_resamples: int = 5_000,
    rng: np.random.Generator | int = 0,
) -> TestResult:
    r"""Test of the tail of the forecast law as a whole, by the ranks of what came.

    With :math:`m = \lfloor n p \rfloor` and :math:`Q_t(w)` the loss that the law of period t
    exceeds with probability w, the shortfall of a sample of exceedance probabilities is

    .. math:: \hat e_t(w) = \frac1m \sum_{j \le m} Q_t(w_{(j)}), \qquad
              Z_3 = 1 - \frac1n \sum_t \frac{\hat e_t(w)}{\mathrm E\,\hat e_t(W)}

    over the m smallest, with :math:`W` independent and uniform:
    :math:`\mathrm E\,\hat e_t = \frac nm \int_0^1 Q_t(w) \Pr\{B(n-1, w) < m\}\,dw`. Zero on average
    if the laws are right, negative if risk is understated. The p-value is the probability of a
    value this low or lower, by simulation of uniform samples; it is exact up to their number.
    No forecast of the shortfall enters: what is judged is the law.

    Parameters
    ----------
    exceedance_probability : array_like, shape (n,)
        One minus the probability integral transform: the probability, by the law of the period, of
        a loss larger than the one that came; in (0, 1). Take it from the survival function: one
        minus a distribution function loses the far tail.
    loss_quantile : callable
        Takes exceedance probabilities in (0, 1), shape (k,), and returns the losses that the law of
        each period exceeds with these, shape (n, k), unit of the loss (``isf`` in scipy).
    tail_probability : float
        Tail probability :math:`p` in (0, 1), for example 0.025; at least 1 / n.
    n_resamples : int
        Simulated samples, >= 1. P-values are multiples of about its inverse.
    rng : numpy.random.Generator or int
        Source of randomness, or its seed; the default repeats exactly.

    Returns
    -------
    TestResult
        ``statistic`` is :math:`Z_3`, dimensionless; ``df`` is None. The m smallest always exist,
        so a sample without a breach is an ordinary case.

    Raises
    ------
    InputError
        If a value is not finite or not in (0, 1), n times the tail probability is below 1, or
        `loss_quantile` returns another shape, losses that are not finite, or an expected shortfall
        that is not positive.

    References
    ----------
    Acerbi and Szekely (2014), "Back-testing expected shortfall", Risk 27(11).

    Examples
    --------
    >>> law = lambda w: stats.norm.isf(w) * np.ones((100, 1))
    >>> ideal = (np.arange(100) + 0.5) / 100
    >>> abs(acerbi_szekely_z3(ideal, law, tail_probability=0.05).statistic) < 0.02
    True
    """
    ranks = _as_exceedance(exceedance_probability)
    check_probability("tail_probability", tail_probability, example="0.025 for 2.5 %")
    size = _Size(n=ranks.size, m=int(np.floor(ranks.size * tail_probability * (1 + 1e-12))))
    if size.m < 1:
        raise NotEnoughHistoryError(
            f"exceedance_probability must hold at least {1 / tail_probability:.0f} periods at tail "
            f"probability {tail_probability}, was {size.n}; use a longer test period"
        )
    smallest = np.sort(ranks)[: size.m]
    at_seen, curve = _mean_ratio(smallest, loss_quantile, size)
    n_above = 0
    seen = float(at_seen.mean())
    draw = np.random.default_rng(rng)
    for some in block_sizes(n_resamples):
        n_above += int(np.sum(curve(_smallest_uniforms(size, some, draw)).mean(axis=1) >= seen))
    p_value = (n_above + 1) / (n_resamples + 1)
    return TestResult(statistic=1.0 - seen, p_value=p_value, df=None)


@dataclass(frozen=True, kw_only=True)
class _Size:
    """Periods, and how many of them are the tail."""

    n: int
    m: int

    @property
    def widest(self) -> float:
        """Exceedance probability that the tail of a uniform sample hardly ever reaches."""
        return float(stats.beta.isf(1e-16, self.m, self.n - self.m + 1))


def _mean_ratio(
    smallest: Array, loss_quantile: Callable[[Array], ArrayLike], size: _Size
) -> tuple[Array, Callable[[Array], Array]]:
    """Mean over periods of loss over expected shortfall: at `smallest`, and as a curve.

    Every statistic is a mean of this one function of the exceedance probability, so that
    simulations need no law.
    """
    node, weight = _quadrature(size)
    grid = np.geomspace(1e-4 / size.n**2, max(size.widest, smallest[-1]), _GRID)
    losses = _losses(np.concatenate([node, grid, smallest]), loss_quantile, size.n)
    expected = losses[:, : node.size] @ weight
    if np.any(expected <= 0.0):
        n_bad = int(np.sum(expected <= 0.0))
        raise InputError(
            f"the expected shortfall of every law must be > 0, found {n_bad} that are not; "
            "loss_quantile must take exceedance probabilities and return losses"
        )
    ratio = np.mean(losses[:, node.size :] / expected[:, None], axis=0)
    spline = interpolate.PchipInterpolator(np.log(grid), ratio[: grid.size])

    def curve(probability: Array) -> Array:
        values: Array = spline(np.log(np.clip(probability, grid[0], grid[-1])))
        return values

    return ratio[grid.size :], curve


def _quadrature(size: _Size) -> tuple[Array, Array]:
    """Nodes and weights whose sum of products with Q is the expected shortfall of a sample."""
    # Q bends on the scale of the logarithm; its weight is n / m, and falls to nothing around p.
    bend = float(stats.beta.ppf(1e-6, size.m, size.n - size.m + 1))
    at, share = _NODES
    pieces = []
    for low, high in ((_RAREST, bend), (bend, size.widest)):
        half = 0.5 * np.log(high / low)
        node = low * np.exp(half * (at + 1.0))
        pieces.append((node, half * node * share))
    node, weight = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return node, weight * stats.binom.cdf(size.m - 1, size.n - 1, node) * (size.n / size.m)


def _smallest_uniforms(size: _Size, rows: int, rng: np.random.Generator) -> Array:
    """Draw the m smallest of n uniform numbers, shape (rows, m)."""
    arrival = np.cumsum(rng.standard_exponential((rows, size.m)), axis=1)
    rest = rng.gamma(size.n + 1 - size.m, size=rows)
    uniform: Array = arrival / (arrival[:, -1] + rest)[:, None]
    return uniform


def _losses(probability: Array, loss_quantile: Callable[[Array], ArrayLike], n: int) -> Array:
    losses = as_values("loss_quantile(...)", loss_quantile(probability))
    if losses.shape != (n, probability.size):
        raise ShapeError(
            f"loss_quantile must return shape ({n}, {probability.size}) for {probability.size} "
            f"probabilities, returned {losses.shape}; one row per period"
        )
    return losses


def _as_exceedance(values: ArrayLike) -> Array:
    series = as_series("exceedance_probability", values)
    n_bad = int(np.sum((series <= 0.0) | (series >= 1.0)))
    if n_bad:
        raise InputError(
            f"exceedance_probability must be in (0, 1), found {n_bad} of {series.size} outside; "
            "take it from the survival function of the forecast law, and give the law a tail that "
            "reaches every loss"
        )
    return series
