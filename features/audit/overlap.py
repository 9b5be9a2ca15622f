"""Outcomes over several periods taken apart into single ones."""

from dataclasses import dataclass, replace

import numpy as np

from .statistics import Array
from .table import Series

_ROUNDING = 1e-6  # of the first sum, by which what is taken apart may miss it


@dataclass(frozen=True, kw_only=True, eq=False)
class Singles:
    """The same rows, with the outcome of the first period after each origin only.

    Attributes
    ----------
    series : Series
        Its `outcome` and `log_return` are of one period; those of the last rows are NaN.
    overlap : int
        Rows that shared a period of the outcomes; 1 for outcomes that did not overlap.
    """

    series: Series
    overlap: int


def singles_of(series: Series) -> Singles:
    r"""Recover single outcomes from overlapping sums of them.

    With :math:`Y_t = v_{t+1} + \dots + v_{t+m}` the differences give
    :math:`v_{t+m} = v_t + Y_t - Y_{t-1}`: m chains, each up to a constant. Variances are not
    negative, so that the smallest of a chain is taken as zero, and what the first sum still lacks
    is shared among the chains. Sums that do not overlap by m wander off and need more than the
    first sum: this is how the overlap is found.
    """
    known = np.flatnonzero(np.isfinite(series.outcome))
    whole = slice(int(known[0]), int(known[-1]) + 1) if len(known) else slice(0, 0)
    total = series.outcome[whole]
    if np.isfinite(total).all():
        for overlap in range(series.horizon, 1, -1):
            single = _taken_apart(total, overlap) if len(total) > 10 * overlap else None
            if single is not None:
                outcome = np.full(len(series.outcome), np.nan)
                outcome[whole] = single
                returns = np.full(len(outcome), np.nan)
                returns[whole] = _returns_taken_apart(series.log_return[whole], overlap)
                return Singles(
                    series=replace(series, outcome=outcome, log_return=returns), overlap=overlap
                )
    return Singles(series=series, overlap=1)


def _taken_apart(total: Array, overlap: int) -> Array | None:
    """Return the first term of each sum, shape (n,); None if the sums do not overlap so."""
    chains = _chains(total, overlap)
    lowest = np.array([chain.min() for chain in chains])
    lacking = total[0] + lowest.sum()
    if lacking < -_ROUNDING * total[0]:
        return None
    share = max(lacking, 0.0) / overlap
    out = np.empty(len(total))
    for c, chain in enumerate(chains):
        out[c::overlap] = chain - lowest[c] + share
    return out


def _returns_taken_apart(total: Array, overlap: int) -> Array:
    """Do the same for sums of either sign: every chain gets the mean of all."""
    out = np.full(len(total), np.nan)
    if np.isfinite(total).all():
        for c, chain in enumerate(_chains(total, overlap)):
            out[c::overlap] = chain - chain.mean() + total.mean() / overlap
    return out


def _chains(total: Array, overlap: int) -> list[Array]:
    """Return the first terms of the sums at rows c, c + m, ...: each less the first of them."""
    step = np.diff(total)  # step[t] = v[t + m + 1] - v[t + 1], the terms first at t + m and t
    return [
        np.concatenate([[0.0], np.cumsum(step[c::overlap])])[: len(total[c::overlap])]
        for c in range(overlap)
    ]
