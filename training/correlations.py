r"""Correlations that what-if starts from, estimated on the training data.

A log return is divided by the volatility that was forecast before it, out of sample, so that calm
and stormy years count alike (constant conditional correlation, Bollerslev 1990). The products of
two such scores are averaged over the periods at which both instruments have a return over the
same span; a Monday is none for a coin and a stock.

What was found is drawn to 0.5, as far as it is noise (empirical Bayes, Efron and Morris 1973):
with :math:`v = (1 - r^2)^2 / n` the error of :math:`r` over :math:`n` common periods, and
:math:`\tau^2` the mean of :math:`(r - 0.5)^2 - v` over all pairs, a pair keeps
:math:`\tau^2 / (\tau^2 + v)` of its distance. Pairs of different lengths need not fit together; if
an eigenvalue is too small, the whole is drawn to 0.5 by the least that repairs it (Higham, Strabić
and Šego 2016, Restoring definiteness via shrinking). The target is positive definite, so that this
always ends; pairs at 0.5 stay there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy.linalg import eigh

from ..bundles import PRIOR_CORRELATION
from ..errors import InputError
from ..markets import Panel
from ..models import Forecast

Array = NDArray[np.float64]
Counts = NDArray[np.int32]

FEWEST_COMMON = 60
"""Common periods below which a pair stays at :data:`~foremargin.bundles.PRIOR_CORRELATION`."""

_SMALLEST_EIGENVALUE = 1e-6  # relative to the target's
_SHOWN = 5  # pairs in a note


@dataclass(frozen=True, kw_only=True, eq=False)
class Correlations:
    """Correlations of log returns, each divided by its own volatility.

    Attributes
    ----------
    instruments : tuple of str
        Names, n of them.
    correlation : ndarray, shape (n, n)
        Symmetric, positive definite, with ones on the diagonal.
    common : ndarray of int32, shape (n, n)
        Periods at which both have a score; on the diagonal those of one.
    drawn : float
        How far all of it was drawn to 0.5 to be positive definite, in [0, 1].
    """

    instruments: tuple[str, ...]
    correlation: Array
    common: Counts
    drawn: float

    def __post_init__(self) -> None:
        for array in (self.correlation, self.common):
            array.setflags(write=False)

    def notes(self) -> tuple[str, ...]:
        """Return which pairs have too few common periods, in a sentence; nothing if none has."""
        rows, columns = np.nonzero(np.triu(self.common < FEWEST_COMMON, k=1))
        if not len(rows):
            return ()
        shown = [
            f"{self.instruments[i]} and {self.instruments[j]}"
            for i, j in zip(rows[:_SHOWN].tolist(), columns[:_SHOWN].tolist(), strict=True)
        ]
        more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return (
            f"what-if takes {PRIOR_CORRELATION} for the correlation of pairs with fewer than "
            f"{FEWEST_COMMON} common periods: {', '.join(shown)}{more}",
        )


def estimate_correlations(panel: Panel, past: Sequence[Forecast], *, horizon: int) -> Correlations:
    """Estimate the correlations of all instruments of a panel.

    Parameters
    ----------
    panel : Panel
        The training data.
    past : sequence of Forecast
        What the rungs of the ladder said out of sample, best first; the first one that said
        something about an instrument counts.
    horizon : int
        Of theirs that is taken, own periods.

    Returns
    -------
    Correlations
        A pair with fewer than :data:`FEWEST_COMMON` common periods has
        :data:`~foremargin.bundles.PRIOR_CORRELATION`, also if its scores were all zero.

    Raises
    ------
    InputError
        If a forecast does not have the horizon.
    """
    score, gap = _scores(panel, past, horizon=horizon)
    raw, common = _products(score, gap)
    correlation = _shrunk(raw, common)
    correlation, drawn = _definite(correlation)
    return Correlations(
        instruments=panel.instruments, correlation=correlation, common=common, drawn=drawn
    )


def write_correlations(found: Correlations) -> bytes:
    """Return the file of a bundle: ``correlation`` and ``common`` as safetensors."""
    arrays: dict[str, NDArray[np.generic]] = {
        "correlation": found.correlation,
        "common": found.common,
    }
    return save(arrays)


def _scores(
    panel: Panel, past: Sequence[Forecast], *, horizon: int
) -> tuple[Array, NDArray[np.int64]]:
    """Return returns over volatility known before them, and how many rows each of them spans.

    Shape (n_periods, n_instruments); the score is NaN and the span zero where there is none.
    """
    sigma = np.sqrt(_variance(panel, past, horizon=horizon) / horizon)
    score = np.full(sigma.shape, np.nan)
    gap = np.zeros(sigma.shape, dtype=np.int64)
    for i in range(panel.n_instruments):
        rows = np.flatnonzero(panel.present[:, i])
        score[rows[1:], i] = panel.log_return[rows[1:], i] / sigma[rows[:-1], i]
        gap[rows[1:], i] = np.diff(rows)
    known = np.isfinite(score)
    return np.where(known, score, np.nan), np.where(known, gap, 0)


def _variance(panel: Panel, past: Sequence[Forecast], *, horizon: int) -> Array:
    """Return what was forecast over the horizon at each row; NaN where nobody spoke."""
    out = np.full((panel.n_periods, panel.n_instruments), np.nan)
    for said in past:
        columns = [said.instruments.index(name) for name in panel.instruments]
        inside = np.isin(said.origin, panel.time)  # what is left out has no prices of them
        rows = np.searchsorted(panel.time, said.origin[inside])
        if horizon not in said.horizons:
            raise InputError(
                f"the horizon must be among those that {said.model} has forecast, "
                f"{said.horizons}, was {horizon}"
            )
        variance = said.variance[inside][:, columns, said.horizons.index(horizon)]
        usable = np.isnan(out[rows]) & np.isfinite(variance) & (variance > 0.0)
        out[rows] = np.where(usable, variance, out[rows])
    return out


def _products(score: Array, gap: NDArray[np.int64]) -> tuple[Array, Counts]:
    """Return the correlation about zero of every pair and over how many periods it is."""
    n = score.shape[1]
    cross, square, common = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    for span in np.unique(gap[gap > 0]):
        same = gap == span
        rows = same.any(axis=1)
        z, here = np.where(same, score, 0.0)[rows], same[rows].astype(np.float64)
        cross += z.T @ z
        square += (z**2).T @ here  # of i, where j is there too
        common += here.T @ here
    scale = np.sqrt(square * square.T)
    # A pair of which one never moved has no correlation.
    common = np.where(scale > 0.0, common, 0.0)
    raw = np.divide(cross, scale, out=np.full((n, n), PRIOR_CORRELATION), where=scale > 0.0)
    return np.clip((raw + raw.T) / 2.0, -1.0, 1.0), common.astype(np.int32)


def _shrunk(raw: Array, common: Counts) -> Array:
    """Return the correlations, each drawn to 0.5 as far as it is noise."""
    known = (common >= FEWEST_COMMON) & ~np.eye(len(raw), dtype=np.bool_)
    error = (1.0 - raw**2) ** 2 / np.maximum(common, 1)
    away = raw - PRIOR_CORRELATION
    spread = max(float(np.mean((away**2 - error)[known])), 0.0) if known.any() else 0.0
    total = spread + error
    kept = np.divide(spread, total, out=np.zeros_like(raw), where=known & (total > 0.0))
    out: Array = PRIOR_CORRELATION + kept * away
    np.fill_diagonal(out, 1.0)
    return out


def _definite(correlation: Array) -> tuple[Array, float]:
    """Return a positive definite matrix and how far it was drawn to the target for that."""
    target = np.full_like(correlation, PRIOR_CORRELATION)
    np.fill_diagonal(target, 1.0)
    (lowest,) = eigh(correlation, target, eigvals_only=True, subset_by_index=(0, 0))
    if lowest >= _SMALLEST_EIGENVALUE:
        return correlation, 0.0
    drawn = float((_SMALLEST_EIGENVALUE - lowest) / (1.0 - lowest))
    return (1.0 - drawn) * correlation + drawn * target, drawn
