"""The normal law: what a margin would be if scores had no heavy tails."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .law import Tail, as_scores, as_tail_probabilities


@dataclass(frozen=True, kw_only=True)
class Normal:
    """Normal scores of mean zero, with the root mean square of the past ones.

    Attributes
    ----------
    pooled : bool
        Whether the scores of all instruments and both sides are fitted together.
    """

    pooled: bool = False

    @property
    def name(self) -> str:
        """``normal``."""
        return "normal-pooled" if self.pooled else "normal"

    def fit(self, score: ArrayLike, *, tail_probabilities: Sequence[float]) -> Tail:
        """Fit the scale and read the tail."""
        values = as_scores(score)
        unit = normal_tail(tail_probabilities)
        scale = float(np.sqrt(np.mean(values**2)))
        return Tail(quantile=scale * unit.quantile, mean_beyond=scale * unit.mean_beyond)


def normal_tail(tail_probabilities: Sequence[float]) -> Tail:
    r"""Return the tail of the standard normal law: :math:`z_p` and :math:`\varphi(z_p) / p`.

    Examples
    --------
    >>> tail = normal_tail([0.025, 0.01])
    >>> tail.quantile.round(6).tolist(), tail.mean_beyond.round(6).tolist()
    ([1.959964, 2.326348], [2.337803, 2.665214])
    """
    tails = as_tail_probabilities(tail_probabilities)
    quantile = stats.norm.isf(tails)
    return Tail(quantile=quantile, mean_beyond=stats.norm.pdf(quantile) / tails)
