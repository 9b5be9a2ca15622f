"""Whether any of several models is better than a benchmark, however many were tried."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from arch.bootstrap import SPA
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .._checks import check_count, check_longer_than
from ._loss_table import as_loss_table

_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class SuperiorAbility:
    """Outcome of a test that no model is better than the benchmark.

    Attributes
    ----------
    benchmark : hashable
        Column that the others were compared with.
    names : tuple, length n_models
        Columns of the others, in the order given.
    gain : ndarray of float64, shape (n_models,)
        Mean loss of the benchmark minus that of the model, unit of the loss; positive: the
        model did better.
    standard_error : ndarray of float64, shape (n_models,)
        Of the gain, same unit, > 0.
    statistic : float
        Largest ratio of a gain to its standard error, or 0 if no gain is positive.
    p_value_lower, p_value, p_value_upper : float
        In [0, 1], in this order. The middle one is Hansen's consistent p-value, the one to
        use; the upper one takes every model to be as good as the benchmark, as White's Reality
        Check does, the lower one takes every model that did worse to be worse.
    """

    benchmark: Hashable
    names: tuple[Hashable, ...]
    gain: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    statistic: float
    p_value_lower: float
    p_value: float
    p_value_upper: float

    def __post_init__(self) -> None:
        for name in ("gain", "standard_error"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def frame(self) -> pd.DataFrame:
        """Return one row per model: ``gain``, ``standard_error`` and their ratio ``t``."""
        return pd.DataFrame(
            {
                "gain": self.gain,
                "standard_error": self.standard_error,
                "t": self.gain / self.standard_error,
            },
            index=pd.Index(self.names, name="model"),
        )


def superior_predictive_ability(
    losses: pd.DataFrame | ArrayLike,
    *,
    benchmark: Hashable,
    block_length: int | None = None,
    n_resamples: int = 1_000,
    rng: np.random.Generator | int = 0,
) -> SuperiorAbility:
    r"""Test that no model has a lower expected loss than the benchmark.

    .. math:: T = \max\Big(0,\; \max_k \frac{\sqrt n\,\bar d_k}{\hat\omega_k}\Big),
              \qquad d_{kt} = \ell_{0t} - \ell_{kt}

    against the stationary bootstrap of ``arch``, recentred at zero for the models that are not
    clearly worse, :math:`\sqrt n\,\bar d_k \ge -\hat\omega_k\sqrt{2\ln\ln n}` [1]_. The long-run
    deviation :math:`\hat\omega_k` is that of the resampling scheme itself. ``arch`` 8 does not
    divide by it, whatever its argument ``studentize`` says: it gets the divided differences.

    Parameters
    ----------
    losses : DataFrame or array_like, shape (n, n_models + 1)
        Loss per origin of the benchmark and the others, n >= 3; lower is better.
    benchmark : hashable
        Column name of the benchmark; for an array its number.
    block_length : int or None
        Mean block length in periods, >= 1; at least the horizon when outcomes overlap. None
        takes the square root of n.
    n_resamples : int
        Number of bootstrap resamples, >= 1. p-values are multiples of its inverse.
    rng : numpy.random.Generator or int
        Source of randomness, or its seed; the default repeats exactly.

    Returns
    -------
    SuperiorAbility
        A small ``p_value`` says that at least one model is better than the benchmark.

    Raises
    ------
    InputError
        If losses are not finite, there is no such benchmark, there are too few models or
        origins, or a model differs from the benchmark by nothing or a constant: its gain has no
        sampling error, and the test is not defined.

    References
    ----------
    .. [1] Hansen (2005), "A Test for Superior Predictive Ability", JBES 23(4).

    Examples
    --------
    >>> losses = np.random.default_rng(0).exponential(1.0, (200, 3)) - [0.0, 0.0, 0.5]
    >>> superior_predictive_ability(losses, benchmark=0, n_resamples=200).p_value < 0.05
    True
    """
    check_count("n_resamples", n_resamples, minimum=1)
    table = as_loss_table(losses)
    check_longer_than("losses", table, 2, "the bound of Hansen's test")
    if block_length is None:
        block_length = max(int(np.sqrt(len(table))), 1)
    check_count("block_length", block_length, minimum=1)
    columns = tuple(losses.columns) if isinstance(losses, pd.DataFrame) else range(table.shape[1])
    place = _place_of(benchmark, columns)
    names = tuple(name for k, name in enumerate(columns) if k != place)
    difference = table[:, [place]] - np.delete(table, place, axis=1)
    _check_each_varies(difference, names, benchmark, _ROUNDING * np.abs(table).max())
    deviation = np.sqrt(_resampled_variance(difference, block_length))
    p_values = _p_values(difference / deviation, block_length, n_resamples, rng)
    gain, standard_error = difference.mean(axis=0), deviation / np.sqrt(len(table))
    return SuperiorAbility(
        benchmark=benchmark,
        names=names,
        gain=gain,
        standard_error=standard_error,
        statistic=max(0.0, float((gain / standard_error).max())),
        p_value_lower=p_values["lower"],
        p_value=p_values["consistent"],
        p_value_upper=p_values["upper"],
    )


def _place_of(benchmark: Hashable, columns: tuple[Hashable, ...] | range) -> int:
    places = [k for k, name in enumerate(columns) if name == benchmark]
    if len(places) != 1:
        raise InputError(
            f"benchmark must name one column of losses, {benchmark!r} names {len(places)}; "
            f"columns are {', '.join(map(repr, columns))}"
        )
    return places[0]


def _check_each_varies(
    difference: NDArray[np.float64],
    names: tuple[Hashable, ...],
    benchmark: Hashable,
    rounding: float,
) -> None:
    for name, series in zip(names, difference.T, strict=True):
        if np.ptp(series) <= rounding:
            raise InputError(
                f"a model must not differ from the benchmark by a constant, found {name!r} and "
                f"{benchmark!r} with {series[0]:g} in every period; drop {name!r}: a copy says "
                "nothing new, and the order of shifted copies is certain"
            )


def _resampled_variance(difference: NDArray[np.float64], block_length: int) -> NDArray[np.float64]:
    """Variance of sqrt(n) times a mean under the stationary bootstrap, per column; > 0."""
    n = len(difference)
    deviation = difference - difference.mean(axis=0)
    # Blocks wrap around, so a resampled pair at lag k is a pair of a circle of n periods that a
    # block has not cut: k has the weight (1 - 1/b)^k, and the circle counts each lag once.
    spectrum = np.abs(np.fft.rfft(deviation, axis=0)) ** 2
    circular = np.fft.irfft(spectrum, n=n, axis=0) / n
    lag = np.arange(1, n)
    weights = 2.0 * (1.0 - lag / n) * (1.0 - 1.0 / block_length) ** lag
    return np.asarray(circular[0] + weights @ circular[1:], dtype=np.float64)


def _p_values(
    studentised: NDArray[np.float64],
    block_length: int,
    n_resamples: int,
    rng: np.random.Generator | int,
) -> dict[str, float]:
    # A last model equal to the benchmark puts the zero into both maxima, as Hansen defines them.
    models = np.column_stack([-studentised, np.zeros(len(studentised))])
    spa = SPA(np.zeros(len(models)), models, block_size=block_length, reps=n_resamples, seed=rng)
    spa.compute()
    return {str(name): float(value) for name, value in spa.pvalues.items()}
