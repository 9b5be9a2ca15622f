"""Fitted forecasters one period at a time: what a batch forecast says, row by row."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import Features
from .fitted_window import FittedOnWindow
from .forecaster import FittedForecaster
from .garch import Volatility
from .garch.forecaster import FittedGarch
from .regressions.log_har import LOG_HAR_TERMS, FittedLogHar

Values = NDArray[np.float64]

_PARAMETERS = ("mu", "scale", "omega", "alpha", "gamma", "beta")


@dataclass(frozen=True, kw_only=True, eq=False)
class OnlineLogHar:
    """A fitted log-HAR over all instruments at once; it remembers nothing.

    Attributes
    ----------
    terms : tuple of str
        Features that it looks at.
    horizons : tuple of int
        Own periods ahead.
    intercept, correction, low, high : ndarray, shape (n_instruments, n_horizons)
        See :class:`.regressions.log_regression.LogFit`; NaN where there is no fit.
    coefficient : ndarray, shape (n_instruments, n_horizons, n_terms)
        Of the terms.
    """

    terms: tuple[str, ...]
    horizons: tuple[int, ...]
    intercept: Values
    correction: Values
    low: Values
    high: Values
    coefficient: Values

    @classmethod
    def of(
        cls,
        fitted: FittedForecaster,
        *,
        instruments: tuple[str, ...],
        horizons: tuple[int, ...],
        features: tuple[str, ...],
    ) -> Self:
        """Stack the regressions of a fitted log-HAR.

        Raises
        ------
        InputError
            If it is another forecaster, or its terms are not among the features.
        """
        inner, _ = _unwrapped(fitted)
        terms = tuple(name for name in LOG_HAR_TERMS if name in features)
        if not isinstance(inner, FittedLogHar):
            raise InputError(f"this must be a fitted log-har, was {type(inner).__name__}")
        shape = (len(instruments), len(horizons))
        numbers = {n: np.full(shape, np.nan) for n in ("intercept", "correction", "low", "high")}
        coefficient = np.full((*shape, len(terms)), np.nan)
        for i, instrument in enumerate(instruments):
            for k, horizon in enumerate(horizons):
                fit = inner.fits.get((instrument, horizon))
                if fit is None:
                    continue
                if len(fit.coefficient) != len(terms):
                    raise InputError(
                        f"log-har was fitted on {len(fit.coefficient)} terms, found {terms} among "
                        "the features; serve it with the features it was fitted on"
                    )
                coefficient[i, k] = fit.coefficient
                for name, array in numbers.items():
                    array[i, k] = getattr(fit, name)
        return cls(terms=terms, horizons=horizons, coefficient=coefficient, **numbers)

    def variance(self, features: Features) -> Values:
        """Return the variance over each horizon after the last row, (n_instruments, n_horizons).

        Decimal squared; NaN where there is no fit or a term is not known.
        """
        x = np.stack([features.column(name)[-1] for name in self.terms], axis=-1)
        linear = self.intercept + np.einsum("ikt,it->ik", self.coefficient, x)
        bounded = np.clip(linear, self.low, self.high)
        level = np.exp(features.level[-1])[:, None]
        with np.errstate(over="ignore"):
            ratio = np.exp(bounded) * self.correction
            return np.asarray(ratio * np.array(self.horizons) * level)


@dataclass(kw_only=True, eq=False)
class OnlineGarch:
    """Fitted GARCH or GJR recursions over all instruments at once.

    Attributes
    ----------
    horizons : tuple of int
        Own periods ahead.
    mu, scale, omega, alpha, gamma, beta, persistence : ndarray, shape (n_instruments,)
        See :class:`.garch.GarchFit`; NaN where there is no fit.
    level : ndarray, shape (n_instruments,)
        Variance of the next period, in the unit of the fit.
    """

    horizons: tuple[int, ...]
    mu: Values
    scale: Values
    omega: Values
    alpha: Values
    gamma: Values
    beta: Values
    persistence: Values
    level: Values

    @classmethod
    def after(
        cls,
        fitted: FittedForecaster,
        log_return: Values,
        *,
        instruments: tuple[str, ...],
        horizons: tuple[int, ...],
    ) -> Self:
        """Return the recursions after the last row of a panel.

        Parameters
        ----------
        fitted : FittedForecaster
            A fitted GARCH or GJR.
        log_return : ndarray, shape (n_periods, n_instruments)
            Of the whole panel that it was fitted on, and of what came after.
        instruments : tuple of str
            Its columns.
        horizons : tuple of int
            Increasing.

        Raises
        ------
        InputError
            If it is another forecaster, or an EGARCH.
        """
        inner, offset = _unwrapped(fitted)
        if not isinstance(inner, FittedGarch) or inner.spec.volatility is Volatility.EGARCH:
            raise InputError(f"this must be a fitted GARCH or GJR, was {_name_of(inner)}")
        numbers = {n: np.full(len(instruments), np.nan) for n in (*_PARAMETERS, "persistence")}
        level = np.full(len(instruments), np.nan)
        first = np.full(len(instruments), len(log_return))
        for i, instrument in enumerate(instruments):
            if instrument not in inner.fits:
                continue
            fit, first_row = inner.fits[instrument]
            for name in _PARAMETERS:
                numbers[name][i] = getattr(fit, name)
            numbers["persistence"][i] = fit.alpha + fit.beta + fit.gamma * fit.down_moment
            level[i] = fit.omega + (fit.alpha + 0.5 * fit.gamma + fit.beta) * fit.start
            first[i] = first_row + offset
        made = cls(horizons=horizons, level=level, **numbers)
        for row in range(int(first.min(initial=len(log_return))), len(log_return)):
            made._move(np.where(row >= first, log_return[row], np.nan))
        return made

    def advance(self, log_return: Values) -> Values:
        """Take the next returns and forecast from there.

        Parameters
        ----------
        log_return : ndarray, shape (n_instruments,)
            Decimal; NaN where the instrument has none.

        Returns
        -------
        ndarray, shape (n_instruments, n_horizons)
            Variance over each horizon, decimal squared; NaN where there is no fit or no return.
        """
        self._move(log_return)
        level = np.where(np.isfinite(log_return), self.level, np.nan)
        return self._ahead(level, self.omega, self.persistence, self.scale)

    def provisional(self, place: int, log_return: float) -> Values:
        """Return what :meth:`advance` would say of one instrument; shape (n_horizons,)."""
        one = slice(place, place + 1)
        level = self._next(np.array([log_return]), one)
        return self._ahead(level, self.omega[one], self.persistence[one], self.scale[one])[0]

    def _move(self, log_return: Values) -> None:
        known = np.isfinite(log_return)
        self.level = np.where(known, self._next(log_return, slice(None)), self.level)

    def _next(self, log_return: Values, of: slice) -> Values:
        # The order of the terms is that of `gjr_variance`: the same bits.
        residual = (log_return - self.mu[of]) / self.scale[of]
        squared = residual * residual
        down = np.where(residual < 0.0, squared, 0.0)
        moved = self.omega[of] + self.alpha[of] * squared + self.gamma[of] * down
        return np.asarray(moved + self.beta[of] * self.level[of])

    def _ahead(self, level: Values, omega: Values, persistence: Values, scale: Values) -> Values:
        expected, total = level.copy(), np.zeros(len(level))
        out = np.empty((len(level), len(self.horizons)))
        for step in range(1, self.horizons[-1] + 1):
            total = total + expected
            if step in self.horizons:
                out[:, self.horizons.index(step)] = total
            expected = omega + persistence * expected
        return np.asarray(out * (scale**2)[:, None])


def _unwrapped(fitted: FittedForecaster) -> tuple[FittedForecaster, int]:
    """Return the forecaster inside a window, and the panel row that is its row 0."""
    if isinstance(fitted, FittedOnWindow):
        return fitted.fitted, fitted.first_row
    return fitted, 0


def _name_of(fitted: FittedForecaster) -> str:
    return str(getattr(getattr(fitted, "spec", fitted), "name", type(fitted).__name__))
