"""Which of several models the data cannot tell from the best."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from arch.bootstrap import MCS
from numpy.typing import ArrayLike, NDArray

from .._checks import check_count, check_probability
from ._loss_table import as_loss_table, distinct_columns


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelConfidenceSet:
    """The models that the data cannot tell from the best one.

    Attributes
    ----------
    names : tuple, length n_models
        Column names of the losses, or 0, 1, ... for an array.
    p_values : ndarray of float64, shape (n_models,)
        Smallest `size` at which the model leaves the set, in [0, 1]; in the order of `names`.
    size : float
        Probability in (0, 1) that the set misses a best model; 0.1 is a 90 % set.
    """

    names: tuple[Hashable, ...]
    p_values: NDArray[np.float64]
    size: float

    def __post_init__(self) -> None:
        p_values = np.array(self.p_values, dtype=np.float64)
        p_values.setflags(write=False)
        object.__setattr__(self, "p_values", p_values)

    @property
    def included(self) -> tuple[Hashable, ...]:
        """Names of the models in the set, in the order of `names`; never empty."""
        pairs = zip(self.names, self.p_values, strict=True)
        return tuple(name for name, p_value in pairs if p_value > self.size)

    def frame(self) -> pd.DataFrame:
        """Return one row per model: ``p_value`` and ``included``."""
        return pd.DataFrame(
            {"p_value": self.p_values, "included": self.p_values > self.size},
            index=pd.Index(self.names, name="model"),
        )


def model_confidence_set(
    losses: pd.DataFrame | ArrayLike,
    *,
    size: float,
    block_length: int | None = None,
    n_resamples: int = 1_000,
    rng: np.random.Generator | int = 0,
) -> ModelConfidenceSet:
    """Set that holds the best model with probability 1 - `size`.

    Removes the worst model until equal expected loss of the rest is not rejected, by the range
    statistic under the stationary bootstrap of ``arch`` [1]_. Models with identical losses
    count as one and share its p-value; exact ties in mean loss go to the earlier column.

    Parameters
    ----------
    losses : DataFrame or array_like, shape (n, n_models)
        Loss per period and model, n >= 2, n_models >= 2; lower is better.
    size : float
        Probability in (0, 1) of missing a best model, for example 0.1 for a 90 % set.
    block_length : int or None
        Mean block length in periods, >= 1; at least the horizon when outcomes overlap. None
        takes the square root of n.
    n_resamples : int
        Number of bootstrap resamples, >= 1. p-values are multiples of its inverse.
    rng : numpy.random.Generator or int
        Source of randomness, or its seed; the default repeats exactly.

    Returns
    -------
    ModelConfidenceSet
        p-values and the models included.

    Raises
    ------
    InputError
        If losses are not finite, there are fewer than two models or periods, or two models
        differ by a constant (their difference then has no sampling error).

    References
    ----------
    .. [1] Hansen, Lunde and Nason (2011), "The Model Confidence Set", Econometrica 79(2).
    """
    check_probability("size", size, example="0.1 for a 90 % set")
    check_count("n_resamples", n_resamples, minimum=1)
    table = as_loss_table(losses)
    names = tuple(losses.columns) if isinstance(losses, pd.DataFrame) else range(table.shape[1])
    if block_length is None:
        block_length = max(int(np.sqrt(len(table))), 1)
    check_count("block_length", block_length, minimum=1)
    first, twin_of = distinct_columns(table)
    if len(first) == 1:
        p_values = np.ones(1)
    else:
        mcs = MCS(
            _without_ties(table[:, first]),
            size,
            reps=n_resamples,
            block_size=block_length,
            seed=rng,
        )
        mcs.compute()
        p_values = mcs.pvalues["Pvalue"].sort_index().to_numpy(dtype=np.float64)
    return ModelConfidenceSet(names=tuple(names), p_values=p_values[twin_of], size=size)


def _without_ties(table: NDArray[np.float64]) -> NDArray[np.float64]:
    # arch fails where models tie exactly in mean loss. A constant added to a column cancels in
    # the recentred bootstrap, and one of 1e-10 standard deviations moves no p-value.
    nudge = 1e-10 * table.std() * np.sqrt(np.arange(table.shape[1]))
    nudged: NDArray[np.float64] = table + nudge
    return nudged
