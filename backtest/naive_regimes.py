"""Probabilities of regimes that need no model: what a forecast of regimes has to beat.

Rows come in order of origin and belong to instruments; probabilities have shape (n_rows,
n_regimes) in the order of :data:`~foremargin.models.REGIMES`, NaN where they are not known.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..models import REGIMES

Values = NDArray[np.float64]

REGIME_REFERENCES = ("climatology", "persistence", "transitions")
"""Names of what regimes are measured against; all are known at the origin.

``climatology``: the shares of the regimes among the instrument's own earlier outcomes.
``persistence``: the regime of the last `horizon` periods, for certain.
``transitions``: the shares of the regimes after earlier origins that were in the present regime.
"""

FEWEST_OUTCOMES = 60
"""Own earlier outcomes before their shares mean something."""

_PRIOR_CASES = 20.0  # cases of the climatology that are added to those of the present regime


def naive_regimes(
    regime: Values, regime_now: Values, instrument: NDArray[np.intp], *, horizon: int
) -> dict[str, Values]:
    """Return the probabilities of every one of :data:`REGIME_REFERENCES`.

    Parameters
    ----------
    regime, regime_now : ndarray, shape (n_rows,)
        Regime of the next and of the last `horizon` periods as positions in the order of
        :data:`~foremargin.models.REGIMES`; NaN where not known.
    instrument : ndarray of int, shape (n_rows,)
        Whose row it is.
    horizon : int
        Own periods. The outcome of a row is known `horizon` own rows later, or earlier than that
        where rows are missing.
    """
    after = _indicators(regime)
    before = _indicators(regime_now)
    climatology = np.full(after.shape, np.nan)
    transitions = np.full(after.shape, np.nan)
    for own in _own_rows(instrument):
        counts = _complete(after[own], horizon)
        n = counts.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            usual = np.where(n >= FEWEST_OUTCOMES, counts / n, np.nan)
        climatology[own] = usual
        for now in range(len(REGIMES)):
            here = before[own, now] == 1.0
            similar = _complete(after[own] * here[:, None], horizon)
            n = similar.sum(axis=1, keepdims=True)
            shrunk = (similar + _PRIOR_CASES * usual) / (n + _PRIOR_CASES)
            transitions[own[here]] = shrunk[here]
    known = np.isfinite(regime_now)[:, None]
    persistence = np.where(known, before, np.nan)
    return dict(zip(REGIME_REFERENCES, (climatology, persistence, transitions), strict=True))


def _indicators(regime: Values) -> Values:
    """1.0 in the column of the regime; a row of zeros where it is not known."""
    return np.asarray(regime[:, None] == np.arange(len(REGIMES)), dtype=np.float64)


def _own_rows(instrument: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for i in np.unique(instrument):
        yield np.flatnonzero(instrument == i)


def _complete(indicators: Values, horizon: int) -> Values:
    """Count what had come by each row: the outcomes of the rows `horizon` before it and earlier."""
    counts = np.zeros_like(indicators)
    counts[horizon:] = np.cumsum(indicators, axis=0)[:-horizon]
    return counts
