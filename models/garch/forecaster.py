"""A forecaster of the GARCH family: every instrument by itself, all in one call."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import ConvergenceError, ForemarginError
from ...features import History
from ..forecast import Forecast, empty_variance
from ..forecaster import FittedForecaster
from .fit import GarchFit, theta_of
from .options import ALL_PARAMETERS, Distribution, GarchModel, Mean, StartVariance, Volatility
from .single import MIN_RETURNS, fit_each

_EXPLOSION = 1e4  # times the largest squared return that no expected variance per period exceeds


@dataclass(frozen=True, kw_only=True)
class Garch:
    """A model of the GARCH family for every instrument by itself.

    Attributes
    ----------
    volatility : Volatility
        The recursion.
    distribution : Distribution
        The law of the standardised residuals.
    window : int
        Most recent own periods that a fit uses.
    refit_days : int
        Calendar days between two fits.
    """

    volatility: Volatility = Volatility.GARCH
    distribution: Distribution = Distribution.NORMAL
    window: int = 2_500
    refit_days: int = 91

    @property
    def name(self) -> str:
        """``gjr-t``: the recursion and the law."""
        return f"{self.volatility}-{self.distribution}"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedGarch":
        """Fit every instrument that has enough returns; note each fit that does not converge.

        Such an instrument is fitted with normal errors instead; if that does not converge
        either, it has no forecast until the next fit.
        """
        return self._fit(history, {})

    def refit(
        self, history: History, *, previous: FittedForecaster, rng: np.random.Generator
    ) -> "FittedGarch":
        """Fit again, each instrument from its previous estimate.

        The solution is that of a cold fit up to rounding, unless the likelihood has two summits of
        which only one is seen from there.
        """
        known = previous.fits if isinstance(previous, FittedGarch) else {}
        return self._fit(history, {name: estimate for name, (estimate, _) in known.items()})

    def _fit(self, history: History, known: Mapping[str, GarchFit]) -> "FittedGarch":
        first_row: dict[str, int] = {}
        n_returns: dict[str, int] = {}
        window: dict[str, NDArray[np.float64]] = {}
        for i, instrument in enumerate(history.panel.instruments):
            rows, log_return = _returns(history, i)
            if len(rows) >= MIN_RETURNS:  # else no forecast, which the tables show as NaN
                first = max(0, len(rows) - self.window)
                first_row[instrument], n_returns[instrument] = int(rows[first]), len(rows)
                window[instrument] = log_return[first:]
        fits: dict[str, GarchFit] = {}
        notes: list[str] = []
        # The quasi-likelihood with normal errors estimates the same variance.
        for law in (self.distribution, Distribution.NORMAL):
            left = [name for name in window if name not in fits]
            model = GarchModel(
                volatility=self.volatility,
                distribution=law,
                mean=Mean.CONSTANT,
                start_variance=StartVariance.EXPONENTIAL,
            )
            start = np.array([_start(model, known.get(name)) for name in left])
            for name, found in zip(
                left, fit_each([window[name] for name in left], model, start=start), strict=True
            ):
                error = _refusal(found, window[name], history.horizons)
                if error is not None:
                    notes.append(f"{name}, {n_returns[name]} returns: {error}")
                elif isinstance(found, GarchFit):
                    fits[name] = found
        return FittedGarch(
            spec=self,
            fits={name: (fits[name], first_row[name]) for name in window if name in fits},
            notes=tuple(notes),
        )


@dataclass(frozen=True, kw_only=True)
class FittedGarch:
    """Estimates per instrument, with the panel row each window starts in.

    Attributes
    ----------
    spec : Garch
        What was fitted.
    fits : mapping of str to (GarchFit, int)
        Estimate and first panel row of its window; instruments without one have no forecast.
    notes : tuple of str
        Fits that did not converge.
    """

    spec: Garch
    fits: Mapping[str, tuple[GarchFit, int]]
    notes: tuple[str, ...]

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Filter from the start of each window; forecast from each origin."""
        past = history.upto(origins.stop)
        panel, horizons = past.panel, history.horizons
        variance = empty_variance(panel.n_periods, panel.n_instruments, len(horizons))
        for i, instrument in enumerate(panel.instruments):
            if instrument not in self.fits:
                continue
            estimate, first_row = self.fits[instrument]
            rows, log_return = _returns(past, i)
            inside = rows >= first_row
            variance[rows[inside], i] = estimate.next_variance(
                log_return[inside], horizons=horizons
            )
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=horizons,
            variance=variance[origins],
        )


def _start(model: GarchModel, previous: GarchFit | None) -> NDArray[np.float64]:
    """Return the parameters of a previous estimate of the same model, or NaN for a cold start."""
    if previous is None or tuple(previous.parameters) != model.param_names:
        return np.full(len(ALL_PARAMETERS), np.nan)
    return theta_of(previous)


def _refusal(
    found: GarchFit | ForemarginError, log_return: NDArray[np.float64], horizons: tuple[int, ...]
) -> ForemarginError | None:
    """Return why there is no estimate, or why it is not used: it explodes on its own data."""
    if isinstance(found, ForemarginError):
        return found
    with np.errstate(over="ignore"):
        expected = found.next_variance(log_return, horizons=horizons) / np.array(horizons)
    highest = _EXPLOSION * float(np.max(log_return**2))
    if (expected <= highest).all():
        return None
    return ConvergenceError(
        f"{found.volatility}: the expected variance must stay below {_EXPLOSION:g} times "
        f"the largest squared return over {horizons[-1]} periods, but explodes; the data do "
        "not fit this recursion"
    )


def _returns(history: History, column: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    log_return = history.panel.log_return[:, column]
    rows = np.flatnonzero(np.isfinite(log_return))
    return rows, log_return[rows]
