"""Forecasters of the tails themselves: CAViaR and the one-factor score-driven model.

One recursion per instrument, side and tail probability gives the value at risk of the next
period. Longer horizons, shortfalls and the variance are multiples of it, taken from the window of
the fit: nothing but the shape of the window is carried over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ...features import History
from ..forecast import TAIL_PROBABILITIES, Forecast, empty_variance
from .estimation import TailEstimate, fit_caviar, fit_score_driven
from .multiples import SIDES, TailMultiples, take_multiples
from .recursion import caviar_path, score_driven_path

Values = NDArray[np.float64]

MIN_RETURNS = 250
"""Fewest returns a tail recursion is fitted on; at 1 % they hold two or three losses beyond."""

_WARM_UP = 20  # own periods of a window before its recursions say anything


class TailLaw(StrEnum):
    """Which recursion the tail follows."""

    SYMMETRIC = "caviar-sav"
    """CAViaR, symmetric absolute value: gains and losses move the quantile alike."""
    ASYMMETRIC = "caviar-as"
    """CAViaR, asymmetric slope: each by its own coefficient."""
    SCORE_DRIVEN = "fz-1f"
    """One factor for quantile and shortfall, driven by the score of their joint loss FZ0."""


@dataclass(frozen=True, kw_only=True)
class TailRecursion:
    """A tail recursion for every instrument by itself.

    Engle and Manganelli (2004), Journal of Business and Economic Statistics 22(4), for CAViaR;
    Patton, Ziegel and Chen (2019), Journal of Econometrics 211(2), for the score-driven model.

    Attributes
    ----------
    law : TailLaw
        The recursion.
    window : int
        Most recent own periods that a fit uses.
    refit_days : int
        Calendar days between two fits.
    """

    law: TailLaw = TailLaw.SCORE_DRIVEN
    window: int = 2_500
    refit_days: int = 182

    @property
    def name(self) -> str:
        """``caviar-sav``, ``caviar-as`` or ``fz-1f``."""
        return str(self.law)

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedTailRecursion":
        """Fit every instrument that has 250 returns; note each fit that does not converge."""
        fits: dict[str, TailFit] = {}
        notes: list[str] = []
        for i, instrument in enumerate(history.panel.instruments):
            rows = np.flatnonzero(np.isfinite(history.panel.log_return[:, i]))
            rows = rows[max(0, len(rows) - self.window) :]
            log_return = history.panel.log_return[rows, i]
            scale = float(np.sqrt(np.mean(log_return**2))) if len(rows) else 0.0
            if len(rows) < MIN_RETURNS or scale == 0.0:
                continue  # no forecast, which the tables show as NaN
            estimates = tuple(
                _estimate(self.law, sign * log_return / scale, tail)
                for sign in SIDES
                for tail in TAIL_PROBABILITIES
            )
            unsure = sum(not estimate.converged for estimate in estimates)
            if unsure:
                notes.append(f"{instrument}, {len(rows)} returns: {unsure} of 6 did not converge")
            fits[instrument] = TailFit(
                estimates=estimates,
                scale=scale,
                first_row=int(rows[0]),
                multiples=take_multiples(
                    scale * _paths(self.law, estimates, log_return / scale),
                    history.targets.log_return[rows, i],
                    history.targets.variance[rows, i],
                    horizons=history.horizons,
                    shortfall=_own_shortfall(self.law, estimates),
                ),
            )
        return FittedTailRecursion(spec=self, fits=fits, notes=tuple(notes))


@dataclass(frozen=True, kw_only=True, eq=False)
class TailFit:
    """Estimates of one instrument.

    Attributes
    ----------
    estimates : tuple of TailEstimate, length 6
        Per side, then per tail probability.
    scale : float
        Decimal return that the recursions see as one.
    first_row : int
        Panel row in which the recursions start.
    multiples : TailMultiples
        From the next period's value at risk to everything else.
    """

    estimates: tuple[TailEstimate, ...]
    scale: float
    first_row: int
    multiples: TailMultiples


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedTailRecursion:
    """Estimates per instrument.

    Attributes
    ----------
    spec : TailRecursion
        What was fitted.
    fits : mapping of str to TailFit
        By instrument; those without enough returns are absent.
    notes : tuple of str
        Fits that did not converge.
    """

    spec: TailRecursion
    fits: Mapping[str, TailFit]
    notes: tuple[str, ...]

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Run the recursions from the start of each window; forecast from each origin."""
        panel = history.panel.upto(origins.stop)
        n_horizons = len(history.horizons)
        variance = empty_variance(panel.n_periods, panel.n_instruments, n_horizons)
        tails = np.full((2, 2, *variance.shape, len(TAIL_PROBABILITIES)), np.nan)
        for i, instrument in enumerate(panel.instruments):
            if instrument not in self.fits:
                continue
            fit = self.fits[instrument]
            rows = np.flatnonzero(np.isfinite(panel.log_return[:, i]))
            rows = rows[rows >= fit.first_row]
            path = _paths(self.spec.law, fit.estimates, panel.log_return[rows, i] / fit.scale)
            after, path = rows[_WARM_UP:], path[_WARM_UP:] * fit.scale
            variance[after, i], tails[:, :, after, i] = fit.multiples.apply(path)
        tails = tails[:, :, origins]
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=variance[origins],
            value_at_risk_lower=tails[0, 0],
            expected_shortfall_lower=tails[1, 0],
            value_at_risk_upper=tails[0, 1],
            expected_shortfall_upper=tails[1, 1],
        )


def _estimate(law: TailLaw, loss: Values, tail: float) -> TailEstimate:
    if law is TailLaw.SCORE_DRIVEN:
        return fit_score_driven(loss, tail=tail)
    return fit_caviar(loss, tail=tail, symmetric=law is TailLaw.SYMMETRIC)


def _own_shortfall(law: TailLaw, estimates: tuple[TailEstimate, ...]) -> Values | None:
    """Ratio of shortfall to value at risk, shape (2, n_tails); None if the law has none."""
    if law is not TailLaw.SCORE_DRIVEN:
        return None
    ratio = [estimate.parameters[3] / estimate.parameters[2] for estimate in estimates]
    return np.array(ratio).reshape(len(SIDES), len(TAIL_PROBABILITIES))


def _paths(law: TailLaw, estimates: tuple[TailEstimate, ...], log_return: Values) -> Values:
    """Next period's value at risk after each return, in its unit, shape (n, 2, n_tails)."""
    n_tails = len(TAIL_PROBABILITIES)
    out = np.empty((len(log_return), len(SIDES), n_tails))
    for s, sign in enumerate(SIDES):
        for p, tail in enumerate(TAIL_PROBABILITIES):
            estimate = estimates[s * n_tails + p]
            loss = sign * log_return
            if law is TailLaw.SCORE_DRIVEN:
                out[:, s, p] = score_driven_path(loss, estimate.parameters, tail)[0]
            else:
                out[:, s, p] = caviar_path(loss, estimate.parameters, estimate.start)
    return out
