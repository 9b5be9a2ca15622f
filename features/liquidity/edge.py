r"""EDGE (Ardia, Guidotti and Kroencke 2024): open, high, low and close weighted efficiently.

A traded log price is an efficient one plus :math:`S/2` with a random sign. Let :math:`o, c` be log
open and close, :math:`\eta` the middle of log high and log low, and a prime the bar before. The
increments

.. math::

    r_1 = \eta - o,\; r_2 = o - \eta',\; r_3 = \eta - c',\; r_4 = c' - \eta',\; r_5 = o - c'

share one trade in neighbouring pairs, with opposite sign, so that each of :math:`r_1 r_2`,
:math:`r_1 r_5`, :math:`r_3 r_4` and :math:`r_5 r_4` has the mean :math:`-S^2/4` if the middle of
the range is free of the shared trade. With few trades it is not: a bar that opens at its high has
half the bounce of its open in its middle. Averaged over the bars,

.. math::

    E[r_1 r_2] = -\tfrac{S^2}{8}(P(o \ne h) + P(o \ne l)),

and the same with the close for the other pair. Two estimates follow, each from an open and a close,

.. math::

    S^2_1 = -\tfrac{4}{p_o} E[\bar r_1 r_2] - \tfrac{4}{p_c} E[\bar r_3 r_4], \qquad
    S^2_2 = -\tfrac{4}{p_o} E[\bar r_1 r_5] - \tfrac{4}{p_c} E[\bar r_5 r_4],

where :math:`p_o = P(o \ne h, \tau) + P(o \ne l, \tau)`, :math:`p_c` likewise of the close before,
:math:`\tau` says that the bar traded (not :math:`h = l = c'`), and a bar over an increment takes
away its mean per traded bar. They are weighted by the inverse of their variances, as the method of
moments asks. Journal of Financial Economics 161, 103916.

It cannot see a spread that is far below the volatility of a bar divided by the fourth root of
their number: the estimate is then noise, half the time negative. It needs trade prices, since
bars of mid prices have no bounce; and it takes trades at the two sides as equally likely and
independent, which they are not within a bar of an electronic market.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .log_bars import LogBars
from .spread_estimator import SpreadEstimator, signed_root

Array = NDArray[np.float64]

_PAIRS = [(i, j) for i in range(4) for j in range(i, 4)]


def _terms(bars: LogBars) -> Sequence[Array]:
    middle, before = bars.mid_range, bars.previous_mid_range
    r1, r2 = middle - bars.open, bars.open - before
    r3, r4 = middle - bars.previous_close, bars.previous_close - before
    r5 = bars.open - bars.previous_close
    still = (bars.high == bars.low) & (bars.low == bars.previous_close)
    traded = np.where(np.isnan(r3), np.nan, ~still)
    opens = traded * ((bars.open != bars.high) + 1.0 * (bars.open != bars.low))
    at_high, at_low = (
        bars.previous_close == bars.previous_high,
        bars.previous_close == bars.previous_low,
    )
    closes = traded * (2.0 - at_high - at_low)
    first = (r1 * r2, traded * r2, r3 * r4, traded * r4)
    second = (r1 * r5, traded * r5, r5 * r4, traded * r4)
    squares = [part[i] * part[j] for part in (first, second) for i, j in _PAIRS]
    return traded, opens, closes, traded * r1, traded * r3, traded * r5, *first, *second, *squares


def _spread(means: Sequence[Array]) -> Array:
    traded, opens, closes, r1, r3, r5 = means[:6]
    opens, closes = (np.where(share > 0.0, share, np.nan) for share in (opens, closes))
    open_weight, close_weight = -4.0 / opens, -4.0 / closes
    first = _moment(
        (open_weight, -open_weight * r1 / traded, close_weight, -close_weight * r3 / traded),
        means[6:10],
        means[14:24],
    )
    second = _moment(
        (open_weight, -open_weight * r1 / traded, close_weight, -close_weight * r5 / traded),
        means[10:14],
        means[24:34],
    )
    total = first[1] + second[1]
    weighted = (second[1] * first[0] + first[1] * second[0]) / total
    return signed_root(np.where(total > 0.0, weighted, 0.5 * (first[0] + second[0])))


def _moment(
    weights: Sequence[Array], means: Sequence[Array], squares: Sequence[Array]
) -> tuple[Array, Array]:
    mean: Array = np.sum([w * x for w, x in zip(weights, means, strict=True)], axis=0)
    second: Array = np.sum(
        [
            (1.0 if i == j else 2.0) * weights[i] * weights[j] * square
            for (i, j), square in zip(_PAIRS, squares, strict=True)
        ],
        axis=0,
    )
    # A difference of rounded sums may fall below zero where the variance is zero.
    return mean, np.maximum(second - mean**2, 0.0)


EDGE = SpreadEstimator(
    name="edge",
    source="Ardia, Guidotti and Kroencke (2024), Journal of Financial Economics 161",
    terms=_terms,
    spread_from_means=_spread,
)
"""The efficient discrete generalised estimator."""
