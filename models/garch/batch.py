"""GARCH models of many series in one call, by compiled code."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, NotEnoughHistoryError, ShapeError
from . import kernel_fit
from .expectations import expected_variance
from .fit import GarchFit, garch_fit
from .kernel_rows import FEWEST
from .options import ALL_PARAMETERS, GarchModel, garch_model
from .running import Estimates, fit_all, one_start_for_all
from .standard_errors import ErrorKind, standard_errors

Array = NDArray[np.float64]


class FitStatus(IntEnum):
    """How the estimation of a series ended."""

    CONVERGED = kernel_fit.CONVERGED
    """The likelihood is level in every direction."""
    AT_BOUND = kernel_fit.AT_BOUND
    """Level along a bound (no news, a persistence of one, a limit of nu) and lower off it."""
    NOT_CONVERGED = kernel_fit.NOT_CONVERGED
    """The best point that was found; it is no summit."""
    TOO_SHORT = kernel_fit.TOO_SHORT
    """Fewer than 100 returns: no estimate."""
    CONSTANT = kernel_fit.CONSTANT
    """The returns do not vary: no estimate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GarchBatch:
    """Maximum-likelihood estimates, one row per series (or per window).

    Attributes
    ----------
    model : GarchModel
        What was estimated.
    params : ndarray, shape (n_series, n_params)
        In the units of the returns; NaN for a series without an estimate.
    log_likelihood : ndarray, shape (n_series,)
        Of the returns as they were given.
    status : ndarray of int, shape (n_series,)
        Codes of :class:`FitStatus`.
    passes : ndarray of int, shape (n_series,)
        Likelihoods with gradient that the estimation took, from all its starts.
    next_variance : ndarray, shape (n_series,)
        Variance of the period after the series.
    log_return : ndarray, shape (n_values,)
        All returns end to end.
    rows : ndarray of int, shape (n_series, 2)
        First place of each series among them, and its length.
    """

    model: GarchModel
    params: Array
    log_likelihood: Array
    status: NDArray[np.int64]
    passes: NDArray[np.int64]
    next_variance: Array
    log_return: Array
    rows: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def param_names(self) -> tuple[str, ...]:
        """Columns of `params`."""
        return self.model.param_names

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Whether each series has a solution, inside its bounds or on one; shape (n_series,)."""
        return self.status <= FitStatus.AT_BOUND

    def standard_errors(self, kind: ErrorKind = "robust") -> Array:
        """Return standard errors of the parameters, shape (n_series, n_params).

        Parameters
        ----------
        kind : {"hessian", "opg", "robust"}
            Inverse of the second derivatives; inverse of the sum of outer products of scores
            (Berndt, Hall, Hall and Hausman 1974); the sandwich of both, which holds under a wrong
            law too (Bollerslev and Wooldridge 1992).

        Returns
        -------
        ndarray, shape (n_series, n_params)
            NaN for a parameter on a bound, where no error is symmetric (the others' are those
            along the bound), and for a series that has not converged or whose matrix is not
            positive definite.
        """
        return standard_errors(self.model, self.log_return, self.rows, self._theta(), kind=kind)

    def forecast_variance(self, horizon: int, *, cumulative: bool = False) -> Array:
        """Return expected variances of the periods after each series, shape (n_series, horizon).

        Parameters
        ----------
        horizon : int
            Number of periods ahead, at least one.
        cumulative : bool
            False: column j is the variance of the return of period j + 1 ahead. True: of the sum
            of the returns up to it, which is what a `Forecast` of this package holds.

        Notes
        -----
        Closed forms. GARCH and GJR: a first-order recursion, with the share of falls that the
        fitted law implies. EGARCH: a product of one-period expectations, over the normal law,
        or, since under a t law they are infinite, over the residuals of the series itself.
        """
        if horizon < 1:
            raise InputError(f"horizon must be a number of periods of at least 1, was {horizon}")
        path = expected_variance(
            self.model,
            self._theta(),
            self.next_variance,
            horizon=horizon,
            residuals=self.standardized_residuals,
        )
        return np.cumsum(path, axis=1) if cumulative else path

    def standardized_residuals(self, series: int) -> Array:
        """Return the residuals of one series over their conditional deviations, shape (n,)."""
        return self.fit(series).standardized_residuals(self._own(series))

    def fit(self, series: int) -> GarchFit:
        """Return the estimate of one series as an object that filters and forecasts."""
        return garch_fit(
            self.model,
            self._theta()[series],
            self._own(series),
            log_likelihood=float(self.log_likelihood[series]),
        )

    def frame(self) -> pd.DataFrame:
        """Return one row per series: parameters, log-likelihood, status, passes."""
        table = pd.DataFrame(self.params, columns=list(self.param_names))
        table["log_likelihood"] = self.log_likelihood
        table["status"] = [FitStatus(code).name.lower().replace("_", "-") for code in self.status]
        table["passes"] = self.passes
        return table

    def _own(self, series: int) -> Array:
        first, length = self.rows[series]
        return self.log_return[first : first + length]

    def _theta(self) -> Array:
        theta = np.zeros((len(self.params), len(ALL_PARAMETERS)))
        theta[:, self.model.columns] = self.params
        theta[np.isnan(self.params).any(axis=1)] = np.nan
        return theta


def fit_garch_batch(
    log_return: ArrayLike,
    *,
    volatility: str = "garch",
    distribution: str = "normal",
    mean: str = "constant",
    start_variance: str = "mean-square",
    start: ArrayLike | Literal["panel-median"] | None = None,
    device: str | None = None,
    n_threads: int | None = None,
) -> GarchBatch:
    """Estimate one GARCH model on each of many series by maximum likelihood.

    Value and gradient come from one pass of compiled code over a series, and so does the search;
    series are shared among threads, and no number depends on how many there are, on the unit of the
    returns, or (unless they share a start) on the other series.

    Parameters
    ----------
    log_return : array_like, shape (n_series, n_periods) or (n_periods,)
        Per period, decimal or percent: estimates are in the unit given. One dimension is one
        series. Series of unequal length are filled up with NaN at their start or end; a NaN inside,
        or anything infinite, is an error. A series of fewer than 100 returns, or of equal ones,
        gets NaN and its status.
    volatility : {"garch", "gjr", "egarch"}
        Bollerslev (1986); Glosten, Jagannathan and Runkle (1993); Nelson (1991). One lag each.
    distribution : {"normal", "t", "skewt"}
        Law of the standardised residuals: normal, Student's t, Hansen's (1994) skewed t.
    mean : {"constant", "zero"}
        Whether a mean is estimated.
    start_variance : {"mean-square", "exponential"}
        What stands before the data: the mean squared residual at the current mean, as in the
        published benchmarks, or an exponentially weighted one, as in `arch`.
    start : array_like or "panel-median", optional
        Parameters to start from, shape (n_params,) or (n_series, n_params), in the unit of the
        returns; or the median estimate of some of the series. Two cold searches by default.
    device : str, optional
        A torch device such as "cuda": the search runs there, in double precision, for all series
        at once. Compiled code on the processor by default.
    n_threads : int, optional
        All that numba may use by default.

    Raises
    ------
    InputError
        If a word is unknown, a return inside a series is not finite, or a start has a wrong shape.
    NotEnoughHistoryError
        If no series has 100 returns.
    """
    model = garch_model(
        volatility=volatility,
        distribution=distribution,
        mean=mean,
        start_variance=start_variance,
    )
    flat, rows = _end_to_end(log_return)
    begin = _starts(start, flat, rows, model)
    if device is None:
        found = fit_all(flat, rows, model, start=begin, n_threads=n_threads)
    else:
        from .device import fit_on_device  # only who asks for it pays for torch

        found = fit_on_device(flat, rows, model, start=begin, device=device)
    return as_batch(model, flat, rows, found)


def as_batch(
    model: GarchModel, flat: Array, rows: NDArray[np.int64], found: Estimates
) -> GarchBatch:
    """Put estimates together with what they were made on."""
    return GarchBatch(
        model=model,
        params=found.theta[:, model.columns],
        log_likelihood=found.log_likelihood,
        status=found.status,
        passes=found.passes,
        next_variance=found.next_variance,
        log_return=flat,
        rows=rows,
    )


def _end_to_end(log_return: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    """Return all series in one array, and where each begins and how long it is."""
    table = np.array(log_return, dtype=np.float64)
    table = table[None, :] if table.ndim == 1 else table
    if table.ndim != 2:
        raise ShapeError(
            f"log_return must have shape (n_series, n_periods) or (n_periods,), was {table.shape}"
        )
    known = ~np.isnan(table)
    n_periods = table.shape[1]
    first = np.where(known.any(axis=1), known.argmax(axis=1), 0)
    last = np.where(known.any(axis=1), n_periods - known[:, ::-1].argmax(axis=1), 0)
    length = last - first
    inside = np.sum(length - known.sum(axis=1))
    if inside or np.isinf(table).any():
        raise InputError(
            "log_return may be NaN before the start and after the end of a series only, found "
            f"{inside} inside and {int(np.isinf(table).sum())} infinite; drop them, or split the "
            "series"
        )
    if len(table) == 0 or length.max() < FEWEST:
        raise NotEnoughHistoryError(
            f"a series needs {FEWEST} returns, the longest of {len(table)} had "
            f"{length.max() if len(table) else 0}"
        )
    rows = np.column_stack([np.arange(len(table)) * n_periods + first, length]).astype(np.int64)
    return table.ravel(), rows


def _starts(
    start: ArrayLike | Literal["panel-median"] | None,
    flat: Array,
    rows: NDArray[np.int64],
    model: GarchModel,
) -> Array | None:
    if start is None:
        return None
    if isinstance(start, str):
        if start != "panel-median":
            raise InputError(f'start must be parameters or "panel-median", was {start!r}')
        return one_start_for_all(flat, rows, model)
    given = np.asarray(start, dtype=np.float64)
    shape = (len(rows), len(model.param_names))
    if given.shape not in (shape, shape[1:]):
        raise ShapeError(
            f"start must have shape {shape} or {shape[1:]} for {', '.join(model.param_names)}, "
            f"was {given.shape}"
        )
    out = np.zeros((len(rows), len(ALL_PARAMETERS)))
    out[:, model.columns] = given
    out[np.isnan(out).any(axis=1)] = np.nan
    return out
