"""The absorption ratio: how much of all variance a few common factors take up.

Markets in which everything hangs on one thread have a high ratio; it rises before many breaks,
not before all. The factors are the first fifth of the eigenvectors of the covariance; where a
fifth is not a whole number, the last one counts in part, so that the ratio does not jump when an
instrument is listed.

Kritzman, Li, Page and Rigobon (2011), "Principal Components as a Measure of Systemic Risk",
Journal of Portfolio Management 37(4).
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
from .context import rows_of, spread_out
from .position import Shift

HALF_LIFE_DAYS = 90
"""Half-life of the covariance, calendar days (the paper: 250 trading days within 500)."""

_SHARE = 0.2  # of the eigenvectors


@njit(cache=True)
def _ratio(row, pairs, needed):  # type: ignore[no-untyped-def]
    chosen = usable(row, pairs, needed)
    k = len(chosen)
    if k < 2:
        return np.nan
    covariance = shrunk_correlation(pairs, chosen)
    for a in range(k):
        for b in range(k):
            own, other = pairs[chosen[a], chosen[a]], pairs[chosen[b], chosen[b]]
            covariance[a, b] *= np.sqrt(variance_of(own) * variance_of(other))
    # Scaled to a mean of one, or tiny variances would be rounded as if they were noise.
    total = np.trace(covariance)
    parts = np.linalg.eigvalsh(covariance / total)[::-1]
    share = max(1.0, _SHARE * k)
    absorbed = 0.0
    for a in range(k):
        absorbed += max(parts[a], 0.0) * min(1.0, max(0.0, share - a))
    return min(1.0, absorbed)


@njit(cache=True)
def _ratios(log_return, pairs, level, decay, needed):  # type: ignore[no-untyped-def]
    out = np.full(len(log_return), np.nan)
    for t in range(len(log_return)):
        take_row(log_return[t], pairs, level, decay)
        out[t] = _ratio(log_return[t], pairs, needed)
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Absorption:
    """Absorption ratio of the instruments that trade in a row, the row included.

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
    >>> factor = np.random.default_rng(0).normal(size=(300, 1))
    >>> ratio = Absorption.fresh(5, half_life=90.0).advance(np.repeat(factor, 5, axis=1))
    >>> bool(ratio[-1] > 0.95)  # one factor is everything
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

    def advance(self, log_return: Values) -> Values:
        """Take further rows of decimal log returns; return the ratio at each.

        Parameters
        ----------
        log_return : ndarray, shape (n_periods, n_instruments)
            NaN where absent.

        Returns
        -------
        ndarray, shape (n_periods,)
            In (0, 1]; NaN where fewer than two instruments are known.
        """
        decay = decay_of(self.half_life)
        return np.asarray(_ratios(dense(log_return), self.pairs, self.level, decay, self.needed))

    def update(self, log_return: Values) -> float:
        """Take one row, shape (n_instruments,); the same as a chunk of one row."""
        return float(self.advance(log_return[None])[0])


def _absorption(m: Measures) -> Values:
    n, half_life = m.panel.n_instruments, float(m.span(HALF_LIFE_DAYS).max())
    part = m.remember(lambda: Absorption.fresh(n, half_life=half_life))
    return part.advance(m.log_return)


def _shift(m: Measures) -> Values:
    short, long = rows_of(m, 15), rows_of(m, 365)
    part = m.remember(lambda: Shift.fresh(short=short, long=long, needed=min(long, 60)))
    return spread_out(m, part.advance(m.once(_absorption)))


ABSORPTION_FEATURES = (
    Feature(
        name="absorption_ratio",
        unit="share of variance, 0 to 1",
        meaning="share of all variance in the first fifth of the common factors",
        compute=lambda m: spread_out(m, m.once(_absorption)),
    ),
    Feature(
        name="absorption_shift",
        unit="standard deviations",
        meaning="absorption ratio of fifteen days against its last year",
        compute=_shift,
    ),
)
