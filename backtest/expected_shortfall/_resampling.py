"""P-values by simulation and by bootstrap; a p-value is never zero.

With M draws of which k are at least as extreme as what was seen, the p-value is (k + 1) / (M + 1):
what was seen is one more draw if the hypothesis holds (Davison and Hinkley 1997, 4.2).
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .._checks import as_values, check_count

Array = NDArray[np.float64]

SimulatedLoss = ArrayLike | Callable[[np.random.Generator, int], ArrayLike]
"""Losses drawn from the forecaster's own law, or a function of ``rng`` and a number of rows."""

_ROWS_AT_ONCE = 500  # of (rows, n) arrays; all at once would take hundreds of megabytes


def simulated_p_value(
    statistic: Callable[[Array], Array], loss: Array, blocks: Iterator[Array]
) -> float:
    """Share of simulated statistics at or below the one of `loss`; NaN ones do not count."""
    seen = statistic(loss[None, :])[0]
    n_draws, n_below = 0, 0
    for block in blocks:
        drawn = statistic(block)
        n_draws += int(np.sum(~np.isnan(drawn)))
        n_below += int(np.sum(drawn <= seen))
    return (n_below + 1) / (n_draws + 1)


def share_at_or_below(drawn: Array, seen: float) -> float:
    """P-value of `seen` among draws that a scale has given the right mean."""
    # The scale leaves rounding errors on values that are equal.
    return (int(np.sum(drawn <= seen + 1e-12 * max(1.0, abs(seen)))) + 1) / (drawn.size + 1)


def loss_blocks(
    simulated_loss: SimulatedLoss, n: int, *, n_resamples: int, rng: np.random.Generator
) -> Iterator[Array]:
    """Yield simulated losses, shape (rows, n), a block at a time."""
    if not callable(simulated_loss):
        rows = _as_rows(simulated_loss, n)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            yield rows[first : first + _ROWS_AT_ONCE]
        return
    for some in block_sizes(n_resamples):
        rows = _as_rows(simulated_loss(rng, some), n)
        if len(rows) != some:
            raise ShapeError(
                f"simulated_loss(rng, {some}) must return {some} rows, returned {len(rows)}; "
                "return one row per simulated history"
            )
        yield rows


def block_sizes(n_resamples: int) -> Iterator[int]:
    """Sizes of the blocks that make up `n_resamples`."""
    check_count("n_resamples", n_resamples, minimum=1)
    for first in range(0, n_resamples, _ROWS_AT_ONCE):
        yield min(_ROWS_AT_ONCE, n_resamples - first)


def t_statistic(residual: Array) -> float:
    """Mean over its standard error; 0 where all are zero, shape of `residual` (x >= 2,)."""
    if not residual.any():
        return 0.0
    mean, deviation = residual.mean(), residual.std(ddof=1)
    # Forecasts proportional to the loss leave differences of rounding only.
    if deviation <= 1e-12 * abs(mean):
        raise InputError(
            f"losses beyond the value at risk must vary around the expected shortfall, all "
            f"{residual.size} were off by {mean:g}; a constant has no sampling error, so check "
            "that the loss is not a copy of the forecast"
        )
    return float(mean / deviation * np.sqrt(residual.size))


def bootstrap_mean_p_value(residual: Array, *, n_resamples: int, rng: np.random.Generator) -> float:
    """P-value of mean zero against a positive mean: the studentised bootstrap.

    The t statistic is compared with those of resamples of the centred residuals (Efron and
    Tibshirani 1993, 16.4). A resample of equal values has an infinite t, so that the p-value of
    two residuals is at least about 1/4.
    """
    seen, centred, x = t_statistic(residual), residual - residual.mean(), residual.size
    n_above = 0
    for some in block_sizes(n_resamples):
        drawn = centred[rng.integers(x, size=(some, x))]
        with np.errstate(divide="ignore", invalid="ignore"):
            t = drawn.mean(axis=1) / drawn.std(axis=1, ddof=1) * np.sqrt(x)
        n_above += int(np.sum(~(t < seen)))  # 0 / 0 counts against a rejection
    return (n_above + 1) / (n_resamples + 1)


def compound_sums(
    value: Array,
    weight: Array,
    *,
    tail_probability: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> Array:
    """Add up values over the breaches of simulated histories.

    The number of breaches of a history is binomial: each of n periods breaches with the tail
    probability. A breach adds a value drawn from `value`, shape (x,), times a weight drawn from
    `weight`, shape (n,).

    Returns
    -------
    ndarray of float64, shape (n_resamples,)
        Sums, unit of value times weight.
    """
    n, sums = weight.size, []
    for some in block_sizes(n_resamples):
        n_breaches = rng.binomial(n, tail_probability, size=some)
        shape = (some, max(int(n_breaches.max()), 1))
        drawn = value[rng.integers(value.size, size=shape)]
        drawn = drawn * weight[rng.integers(n, size=shape)]
        sums.append(np.where(np.arange(shape[1]) < n_breaches[:, None], drawn, 0.0).sum(axis=1))
    return np.concatenate(sums)


def _as_rows(simulated_loss: ArrayLike, n: int) -> Array:
    rows = as_values("simulated_loss", simulated_loss)
    if rows.ndim != 2 or rows.shape[1] != n or len(rows) == 0:
        raise ShapeError(
            f"simulated_loss must have shape (n_simulations, {n}), was {rows.shape}; "
            "draw one loss per period of the test from the law forecast for it"
        )
    return rows
