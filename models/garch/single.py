"""One series, or the instruments of a panel: compiled code first, `arch` where that fails."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import ConvergenceError, ForemarginError, InputError, NotEnoughHistoryError
from .fit import GarchFit, garch_fit
from .kernel_fit import AT_BOUND, CONVERGED
from .options import Distribution, GarchModel, Mean, StartVariance, Volatility
from .reference import fit_with_arch
from .running import Estimates, fit_all

Array = NDArray[np.float64]

MIN_RETURNS = 250
"""Fewest returns a GARCH model of this package is fitted on."""


def fit_garch(
    log_return: Array,
    *,
    volatility: Volatility = Volatility.GARCH,
    distribution: Distribution = Distribution.NORMAL,
    start_variance: StartVariance = StartVariance.EXPONENTIAL,
) -> GarchFit:
    """Estimate a model with a constant mean by maximum likelihood.

    Parameters
    ----------
    log_return : ndarray, shape (n,)
        Decimal, per period, finite, n >= 250.
    volatility : Volatility
        The recursion; one lag of each term.
    distribution : Distribution
        The law of the standardised residuals.
    start_variance : StartVariance
        What stands before the first observation.

    Raises
    ------
    NotEnoughHistoryError
        If there are fewer than 250 returns.
    InputError
        If a return is not finite, or all are equal.
    ConvergenceError
        If neither the compiled search nor `arch` finds a solution.
    """
    model = GarchModel(
        volatility=volatility,
        distribution=distribution,
        mean=Mean.CONSTANT,
        start_variance=start_variance,
    )
    found = fit_each([log_return], model)[0]
    if isinstance(found, ForemarginError):
        raise found
    return found


def fit_each(
    log_returns: Sequence[Array], model: GarchModel, *, start: Array | None = None
) -> list[GarchFit | ForemarginError]:
    """Return the estimate of each series, or the error that says why there is none.

    Parameters
    ----------
    log_returns : sequence of ndarray, each of shape (n,)
        Decimal, per period.
    model : GarchModel
        What to estimate.
    start : ndarray, shape (n_series, 7), optional
        Where to start; NaN in a row for a cold start.
    """
    out: list[GarchFit | ForemarginError | None] = [_refusal(series) for series in log_returns]
    usable = [i for i, error in enumerate(out) if error is None]
    if usable:
        length = np.array([len(log_returns[i]) for i in usable], dtype=np.int64)
        rows = np.column_stack([np.cumsum(length) - length, length])
        flat = np.concatenate([log_returns[i] for i in usable])
        found = fit_all(flat, rows, model, start=None if start is None else start[usable])
        for place, i in enumerate(usable):
            out[i] = _believed(log_returns[i], model, found, place)
    return [result for result in out if result is not None]


def _believed(
    log_return: Array, model: GarchModel, found: Estimates, place: int
) -> GarchFit | ConvergenceError:
    """Return what was found if it is a solution, else what `arch` finds."""
    theta, value = found.theta[place], float(found.log_likelihood[place])
    if found.status[place] not in (CONVERGED, AT_BOUND):
        try:
            theta, value = fit_with_arch(log_return, model)
        except ConvergenceError as error:
            return error
    return garch_fit(model, theta, log_return, log_likelihood=value)


def _refusal(log_return: Array) -> InputError | None:
    """Return the error that a series deserves before anything is estimated on it."""
    if len(log_return) < MIN_RETURNS:
        return NotEnoughHistoryError(
            f"a GARCH model needs {MIN_RETURNS} returns, found {len(log_return)}"
        )
    not_finite = int(np.sum(~np.isfinite(log_return)))
    # Returns that differ by rounding alone do not vary.
    if not_finite or np.ptp(log_return) <= 1e-9 * np.max(np.abs(log_return)):
        return InputError(
            f"log_return must be finite and must vary, found {not_finite} non-finite values among "
            f"{len(np.unique(log_return))} different ones; drop the first return, or the instrument"
        )
    return None
