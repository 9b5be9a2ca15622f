"""Whether the leader's volatility runs ahead of the others'.

The leader is the instrument with the largest traded value so far (decayed). The log variance of
each instrument, as a deviation from its own level, is regressed on its own last deviation and on
the leader's; the weights are exponentially decayed and use the rows up to now only. What the
leader adds to the others' next variance is a feature, and so is how much more it tells of them
than they of it.

Granger (1969), Econometrica 37(3), in a moving window; spillovers of volatility: Diebold and
Yilmaz (2012), International Journal of Forecasting 28(1).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..feature import Feature
from ..measures import Measures
from ..moving import Values, dense
from .comoments import decay_of

HALF_LIFE_DAYS = 90
"""Half-life of levels, traded values and regressions, calendar days."""

_LINK = np.dtype(
    [
        ("count", np.int64),
        ("weight", np.float64),
        ("yy", np.float64),  # moments of: value now (y), own value before (a), the other's (b)
        ("ya", np.float64),
        ("yb", np.float64),
        ("aa", np.float64),
        ("ab", np.float64),
        ("bb", np.float64),
    ]
)

_OWN = np.dtype(
    [
        ("level_total", np.float64),
        ("level_weight", np.float64),
        ("value_total", np.float64),
        ("value_weight", np.float64),
        ("deviation", np.float64),  # at the last row with a known variance
        ("leader_deviation", np.float64),  # the leader's at that row, and who it was
        ("leader", np.int64),
    ]
)


@njit(cache=True)
def _learn(link, y, a, b, decay):  # type: ignore[no-untyped-def]
    if np.isnan(y + a + b):
        return
    link.count += 1
    link.weight = decay * link.weight + 1.0
    link.yy = decay * link.yy + y * y
    link.ya = decay * link.ya + y * a
    link.yb = decay * link.yb + y * b
    link.aa = decay * link.aa + a * a
    link.ab = decay * link.ab + a * b
    link.bb = decay * link.bb + b * b


@njit(cache=True)
def _slope(link):  # type: ignore[no-untyped-def]
    """Weight of b when y is regressed on a and b; NaN where they cannot be told apart."""
    spread = link.aa * link.bb - link.ab * link.ab
    if not spread > 1e-10 * link.aa * link.bb:
        return np.nan
    return (link.yb * link.aa - link.ya * link.ab) / spread


@njit(cache=True)
def _partial(link):  # type: ignore[no-untyped-def]
    """Correlation of y with b, a held fixed."""
    left = link.yy * link.aa - link.ya * link.ya
    right = link.bb * link.aa - link.ab * link.ab
    if not (left > 1e-10 * link.yy * link.aa and right > 1e-10 * link.bb * link.aa):
        return np.nan
    return (link.yb * link.aa - link.ya * link.ab) / np.sqrt(left * right)


@njit(cache=True)
def _deviate(own, log_variance, value, decay):  # type: ignore[no-untyped-def]
    """Take one instrument's row; return its log variance minus its level before the row."""
    if np.isfinite(value):
        own.value_total = decay * own.value_total + value
        own.value_weight = decay * own.value_weight + 1.0
    if np.isnan(log_variance):
        return np.nan
    level = own.level_total / own.level_weight if own.level_weight > 0.0 else np.nan
    own.level_total = decay * own.level_total + log_variance
    own.level_weight = decay * own.level_weight + 1.0
    return log_variance - level


@njit(cache=True)
def _leader(own, deviation):  # type: ignore[no-untyped-def]
    """Return the column that trades most, among those known in this row; -1 if there is none."""
    best, leader = 0.0, -1
    for i in range(len(own)):
        if np.isfinite(deviation[i]) and own[i].value_weight > 0.0:
            value = own[i].value_total / own[i].value_weight
            if value > best:
                best, leader = value, i
    return leader


@njit(cache=True)
def _follow(deviation, leader, own, links, decay, needed, out):  # type: ignore[no-untyped-def]
    # links[i, 0]: instrument i after the leader; links[i, 1]: the leader after instrument i.
    ahead = deviation[leader]
    for i in range(len(own)):
        if np.isnan(deviation[i]):
            continue
        if i == leader:
            out[0, i], out[1, i] = 0.0, 0.0
            continue
        if own[i].leader == leader:
            before, ahead_before = own[i].deviation, own[i].leader_deviation
            _learn(links[i, 0], deviation[i], before, ahead_before, decay)
            _learn(links[i, 1], ahead, ahead_before, before, decay)
        if links[i, 0].count >= needed:
            out[0, i] = _slope(links[i, 0]) * ahead
            out[1, i] = _partial(links[i, 0]) - _partial(links[i, 1])


@njit(cache=True)
def _lead(log_variance, value, own, links, decay, needed):  # type: ignore[no-untyped-def]
    n_rows, n = log_variance.shape
    out = np.full((n_rows, 2, n), np.nan)
    deviation = np.empty(n)
    for t in range(n_rows):
        for i in range(n):
            deviation[i] = _deviate(own[i], log_variance[t, i], value[t, i], decay)
        leader = _leader(own, deviation)
        if leader < 0:
            continue
        _follow(deviation, leader, own, links, decay, needed, out[t])
        for i in range(n):
            if np.isfinite(deviation[i]):
                own[i].deviation, own[i].leader = deviation[i], leader
                own[i].leader_deviation = deviation[leader]
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class LeadPath:
    """What the leader says of each instrument, shape (n_periods, n_instruments).

    Attributes
    ----------
    push : ndarray
        Part of the next deviation of the log variance that the leader's last one stands for;
        zero for the leader itself.
    score : ndarray
        Partial correlation of the instrument with the leader's last deviation, minus that of
        the leader with the instrument's; -2 to 2, positive where the leader leads.
    """

    push: Values
    score: Values


@dataclass(frozen=True, kw_only=True, eq=False)
class LeadLag:
    """Regressions of each log variance on the leader's last one.

    Attributes
    ----------
    half_life : float
        Observations after which a weight has halved.
    needed : int
        Joint observations before a regression is used.
    own, links : structured ndarray
        What is remembered of each instrument and of its two regressions.
    """

    half_life: float
    needed: int
    own: NDArray[np.void]
    links: NDArray[np.void]

    @classmethod
    def fresh(cls, n_instruments: int, *, half_life: float, needed: int = 60) -> Self:
        """Return the part before its first row."""
        own = np.zeros(n_instruments, dtype=_OWN)
        own["leader"] = -1
        own["deviation"] = np.nan
        return cls(
            half_life=half_life,
            needed=needed,
            own=own,
            links=np.zeros((n_instruments, 2), dtype=_LINK),
        )

    def advance(self, log_variance: Values, quote_volume: Values) -> LeadPath:
        """Take further rows.

        Parameters
        ----------
        log_variance : ndarray, shape (n_periods, n_instruments)
            Log of decimal squared per period; NaN where absent.
        quote_volume : ndarray, shape (n_periods, n_instruments)
            Traded value, quote currency; NaN where unknown.
        """
        state = (self.own, self.links, decay_of(self.half_life), self.needed)
        out = _lead(dense(log_variance), dense(quote_volume), *state)
        return LeadPath(push=out[:, 0], score=out[:, 1])

    def update(self, log_variance: Values, quote_volume: Values) -> LeadPath:
        """Take one row, each of shape (n_instruments,); the same as a chunk of one row."""
        return self.advance(log_variance[None], quote_volume[None])


def _path(m: Measures) -> Values:
    n, half_life = m.panel.n_instruments, float(m.span(HALF_LIFE_DAYS).max())
    part = m.remember(lambda: LeadLag.fresh(n, half_life=half_life))
    path = part.advance(m.log_variance, m.field("quote_volume"))
    return np.stack([path.push, path.score])


LEAD_LAG_FEATURES = (
    Feature(
        name="leader_push",
        unit="log of a ratio of variances",
        meaning="what the leader's last variance adds to the next one of the instrument",
        compute=lambda m: m.once(_path)[0],
    ),
    Feature(
        name="leader_score",
        unit="difference of partial correlations",
        meaning="how much more the leader's variance tells of the instrument than the reverse",
        compute=lambda m: m.once(_path)[1],
    ),
)
