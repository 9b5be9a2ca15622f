"""Financial turbulence: how unusual a day's returns are, together, given what is usual.

The squared Mahalanobis distance of the returns from their past mean under their past covariance,
per instrument, so that it is about one on a usual day whatever the number of instruments. It is
the product of two parts: the magnitude (the same distance as if nothing were correlated) and the
surprise in the correlations (what is left: above one when instruments that move together moved
apart, or the other way round).

Kritzman and Li (2010), "Skulls, Financial Turbulence, and Risk Management", Financial Analysts
Journal 66(5). Kinlaw and Turkington (2014), "Correlation surprise", Journal of Asset
Management 14(6).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from ..feature import Feature
from ..measures import Measures
from ..moving import Values, dense
from .comoments import (
    Pairs,
    decay_of,
    fresh_pairs,
    shrunk_correlation,
    take_row,
    usable,
    variance_of,
)
from .context import spread_out

HALF_LIFE_DAYS = 180
"""Half-life of the past that says what is usual, calendar days."""


@njit(cache=True)
def _cholesky(matrix):  # type: ignore[no-untyped-def]
    """Return the lower root of a correlation matrix, or one with a zero on its diagonal."""
    k = len(matrix)
    root = np.zeros((k, k))
    for i in range(k):
        for j in range(i + 1):
            rest = matrix[i, j]
            for m in range(j):
                rest -= root[i, m] * root[j, m]
            if i == j:
                # Rounding alone leaves about 1e-16 of a correlation matrix without a root.
                if rest < 1e-10:
                    return root
                root[i, i] = np.sqrt(rest)
            else:
                root[i, j] = rest / root[j, j]
    return root


@njit(cache=True)
def _safe_root(correlation):  # type: ignore[no-untyped-def]
    # Correlations from different days need not fit together; halving them always ends in a fit.
    root = _cholesky(correlation)
    while root[-1, -1] == 0.0:
        for i in range(len(correlation)):
            for j in range(len(correlation)):
                if i != j:
                    correlation[i, j] *= 0.5
        root = _cholesky(correlation)
    return root


@njit(cache=True)
def _distance(row, pairs, needed, out):  # type: ignore[no-untyped-def]
    """Write turbulence, magnitude and correlation surprise of a row against what came before."""
    chosen = usable(row, pairs, needed)
    k = len(chosen)
    if k == 0:
        return
    z = np.empty(k)
    for a in range(k):
        own = pairs[chosen[a], chosen[a]]
        z[a] = (row[chosen[a]] - own.mean_x) / np.sqrt(variance_of(own))
    root = _safe_root(shrunk_correlation(pairs, chosen))
    turbulence, magnitude = 0.0, 0.0
    for a in range(k):
        magnitude += z[a] * z[a] / k
        for b in range(a):
            z[a] -= root[a, b] * z[b]
        z[a] /= root[a, a]
        turbulence += z[a] * z[a] / k
    out[0], out[1] = turbulence, magnitude
    # One instrument alone has no correlation to be surprised by.
    if k > 1 and magnitude > 0.0:
        out[2] = turbulence / magnitude


@njit(cache=True)
def _turbulence(log_return, pairs, level, decay, needed):  # type: ignore[no-untyped-def]
    out = np.full((len(log_return), 3), np.nan)
    for t in range(len(log_return)):
        _distance(log_return[t], pairs, needed, out[t])
        take_row(log_return[t], pairs, level, decay)
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class TurbulencePath:
    """Turbulence of each row, shape (n_periods,); NaN where no instrument's past is known.

    Attributes
    ----------
    turbulence : ndarray
        Squared Mahalanobis distance per instrument, about 1 on average, never negative.
    magnitude : ndarray
        The same without correlations: mean squared standardised return.
    correlation_surprise : ndarray
        `turbulence / magnitude`; NaN for fewer than two instruments.
    """

    turbulence: Values
    magnitude: Values
    correlation_surprise: Values


@dataclass(frozen=True, kw_only=True, eq=False)
class Turbulence:
    """Turbulence of the instruments that trade in a row, against the rows before it.

    Attributes
    ----------
    half_life : float
        Observations after which a weight has halved.
    needed : int
        Returns of an instrument before it takes part.
    pairs, level : ndarray
        What :mod:`.comoments` remembers.

    Examples
    --------
    >>> rows = 0.02 * np.random.default_rng(0).normal(size=(500, 4))
    >>> rows[-1] = 0.1  # five standard deviations, all at once
    >>> path = Turbulence.fresh(4, half_life=180.0).advance(rows)
    >>> bool(path.turbulence[-1] > 15.0)
    True
    """

    half_life: float
    needed: int
    pairs: Pairs
    level: Values

    @classmethod
    def fresh(cls, n_instruments: int, *, half_life: float, needed: int = 60) -> Self:
        """Return the part before its first row."""
        return cls(
            half_life=half_life,
            needed=needed,
            pairs=fresh_pairs(n_instruments, n_instruments),
            level=np.zeros(n_instruments),
        )

    def advance(self, log_return: Values) -> TurbulencePath:
        """Take further rows of decimal log returns, (n_periods, n_instruments), NaN if absent."""
        decay = decay_of(self.half_life)
        path = _turbulence(dense(log_return), self.pairs, self.level, decay, self.needed)
        return TurbulencePath(
            turbulence=path[:, 0], magnitude=path[:, 1], correlation_surprise=path[:, 2]
        )

    def update(self, log_return: Values) -> TurbulencePath:
        """Take one row, shape (n_instruments,); the same as a chunk of one row."""
        return self.advance(log_return[None])


def _path(m: Measures) -> Values:
    n, half_life = m.panel.n_instruments, float(m.span(HALF_LIFE_DAYS).max())
    part = m.remember(lambda: Turbulence.fresh(n, half_life=half_life))
    path = part.advance(m.log_return)
    return np.stack([path.turbulence, path.magnitude, path.correlation_surprise])


def _log(m: Measures, which: int) -> Values:
    values = m.once(_path)[which]
    # No move at all has no log; such a row is unknown rather than infinitely calm.
    return spread_out(m, np.log(np.where(values > 0.0, values, np.nan)))


TURBULENCE_FEATURES = (
    Feature(
        name="turbulence",
        unit="log of a squared distance whose usual value is one",
        meaning="how unusual the returns of all instruments are together",
        compute=lambda m: _log(m, 0),
    ),
    Feature(
        name="turbulence_week",
        unit="log of a squared distance whose usual value is one",
        meaning="mean over a week of how unusual all returns are together",
        compute=lambda m: m.mean(_log(m, 0), days=7),
    ),
    Feature(
        name="turbulence_magnitude",
        unit="log of a squared distance whose usual value is one",
        meaning="how large the returns of all instruments are, correlations aside",
        compute=lambda m: _log(m, 1),
    ),
    Feature(
        name="correlation_surprise",
        unit="log of a ratio",
        meaning="what correlations add to how unusual the returns are",
        compute=lambda m: _log(m, 2),
    ),
)
