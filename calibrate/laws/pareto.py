"""Peaks over a threshold: a generalised Pareto law for the largest scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..pareto import pareto_tail
from .law import Tail, as_scores, as_tail_probabilities


@dataclass(frozen=True, kw_only=True)
class Pareto:
    """Tail of :mod:`foremargin.calibrate.pareto`; McNeil and Frey (2000).

    Attributes
    ----------
    pooled : bool
        Whether the scores of all instruments and both sides are one sample.
    """

    pooled: bool = False

    @property
    def name(self) -> str:
        """``pareto``, or ``pareto-pooled``."""
        return "pareto-pooled" if self.pooled else "pareto"

    def fit(self, score: ArrayLike, *, tail_probabilities: Sequence[float]) -> Tail:
        """Fit shape and scale of the largest tenth by probability-weighted moments."""
        ordered = np.sort(as_scores(score))
        tails = as_tail_probabilities(tail_probabilities)
        read = np.array([pareto_tail(ordered, ordered, tail) for tail in tails])
        return Tail(quantile=read[:, 0].copy(), mean_beyond=read[:, 1].copy())
