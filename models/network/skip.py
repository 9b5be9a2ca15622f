"""The linear skip: pooled regressions of a log, started by ridge and trained by QLIKE.

It is what the network says before it has learnt anything, and most of what it says afterwards.
Each regression is the mean of two, without and with the wide inputs: those that are one number for
the whole market have seen few independent days, and half of their weight is a good bet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import NotEnoughHistoryError
from ..offsets import log_offsets
from ..regressions.log_regression import TARGET_FLOOR, LogFit, fit_log_regression
from ..regressions.qlike_training import train_qlike

Values = NDArray[np.float64]

MIN_ROWS = 500
"""Fewest rows with a known outcome that a regression is fitted on."""


@dataclass(frozen=True, kw_only=True)
class LinearSkip:
    """One regression per horizon, and what sets instruments apart.

    Attributes
    ----------
    fits : tuple of LogFit
        One per horizon, on standardised inputs.
    log_offset : mapping of str to ndarray, shape (n_horizons,)
        Log of the bias that the regressions have for an instrument, shrunk to zero; an
        instrument that was not seen has none.
    """

    fits: tuple[LogFit, ...]
    log_offset: Mapping[str, Values]

    def predict(self, x: Values) -> Values:
        """Return logs without offsets, shape (B, H), for inputs of shape (B, n_inputs)."""
        return np.stack([fit.predict_log(x) + np.log(fit.correction) for fit in self.fits], axis=-1)

    def offsets(self, instruments: tuple[str, ...]) -> Values:
        """Return the offsets, shape (n_instruments, H)."""
        none = np.zeros(len(self.fits))
        return np.stack([self.log_offset.get(name, none) for name in instruments])


@dataclass(frozen=True, kw_only=True, eq=False)
class SkipData:
    """What a skip is fitted on; B rows, H horizons.

    Attributes
    ----------
    x : ndarray, shape (B, n_inputs)
        Standardised inputs.
    wide : ndarray of bool, shape (n_inputs,)
        Inputs that only one of the two regressions sees.
    ratio : ndarray, shape (B, H)
        Outcomes relative to what is usual for the instrument; NaN where not known.
    period, column : ndarray of int, shape (B,)
        Panel row and instrument of each.
    instruments : tuple of str
        Names in column order.
    horizons : tuple of int
        Numbers of own periods.
    """

    x: Values
    wide: NDArray[np.bool_]
    ratio: Values
    period: NDArray[np.intp]
    column: NDArray[np.intp]
    instruments: tuple[str, ...]
    horizons: tuple[int, ...]


def fit_skip(data: SkipData, *, penalty: float, qlike_prior: float) -> LinearSkip:
    """Fit the regressions of all horizons.

    Parameters
    ----------
    data : SkipData
        Rows whose outcome is not known at a horizon are left out of it.
    penalty, qlike_prior : float
        See :class:`.plan.TrainingPlan`.

    Raises
    ------
    NotEnoughHistoryError
        If fewer than 500 outcomes of a horizon are known.
    """
    fits, offsets = [], []
    for k, horizon in enumerate(data.horizons):
        used = np.isfinite(data.ratio[:, k])
        if used.sum() < MIN_ROWS:
            raise NotEnoughHistoryError(
                f"a pooled model needs {MIN_ROWS} rows with a known outcome at horizon {horizon}, "
                f"found {int(used.sum())}; start the forecasts later or add instruments"
            )
        x, ratio = data.x[used], data.ratio[used, k]
        per_period = used.sum() / len(np.unique(data.period[used]))
        rows = horizon * float(per_period)  # that say what one independent row would
        y = np.log(np.maximum(ratio, TARGET_FLOOR))
        parts = []
        for seen in (~data.wide, np.ones_like(data.wide)) if data.wide.any() else (~data.wide,):
            ridge = fit_log_regression(x[:, seen], y, ratio=ratio, penalty=penalty * rows)
            trained = train_qlike(ridge, x[:, seen], y, ratio=ratio, prior=qlike_prior * rows)
            parts.append(_on_all_inputs(trained, seen))
        fit = _mean_fit(parts)
        fits.append(fit)
        offsets.append(
            log_offsets(ratio / fit.predict(x), data.column[used], len(data.instruments))
        )
    by_name = dict(zip(data.instruments, np.stack(offsets, axis=-1), strict=True))
    return LinearSkip(fits=tuple(fits), log_offset=by_name)


def _on_all_inputs(fit: LogFit, seen: NDArray[np.bool_]) -> LogFit:
    coefficient = np.zeros(len(seen))
    coefficient[seen] = fit.coefficient
    return replace(fit, coefficient=coefficient)


def _mean_fit(parts: list[LogFit]) -> LogFit:
    """Mean of the logs of several fits; their bounds are the same, since their outcomes are."""
    intercepts = [fit.intercept + np.log(fit.correction) for fit in parts]
    return replace(
        parts[0],
        intercept=float(np.mean(intercepts)),
        coefficient=np.mean([fit.coefficient for fit in parts], axis=0),
        correction=1.0,
    )
