"""Filtered historical simulation: the scores that were seen are the law."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..upper_end import read_tail
from .law import Tail, as_scores, as_tail_probabilities


@dataclass(frozen=True, kw_only=True)
class Empirical:
    """Quantile of past scores and the mean of those at or beyond it.

    Barone-Adesi, Giannopoulos and Vosper (1999), Journal of Futures Markets 19(5).

    Attributes
    ----------
    pooled : bool
        Whether the scores of all instruments and both sides are one sample.
    """

    pooled: bool = False

    @property
    def name(self) -> str:
        """``empirical``, or ``empirical-pooled``."""
        return "empirical-pooled" if self.pooled else "empirical"

    def fit(self, score: ArrayLike, *, tail_probabilities: Sequence[float]) -> Tail:
        """Read the tail at (n + 1)(1 - p), interpolated."""
        ordered = np.sort(as_scores(score))
        tails = as_tail_probabilities(tail_probabilities)
        read = np.array([read_tail(ordered, ordered, tail) for tail in tails])
        return Tail(quantile=read[:, 0].copy(), mean_beyond=read[:, 1].copy())
