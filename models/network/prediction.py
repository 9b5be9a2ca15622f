"""What the ensemble says of some origins, and the forecast that it makes; without PyTorch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..forecast import Forecast

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What is known at B origins beside what the network sees; H horizons.

    Attributes
    ----------
    level : ndarray, shape (B,)
        Log of the instrument's usual variance.
    elevated, stressed : ndarray, shape (B, H)
        Variances over the horizon at which these regimes begin, decimal squared.
    illiquidity : ndarray, shape (B, H)
        Illiquidity above which it is stressed, log of a ratio.
    cost_level : ndarray, shape (B, H)
        Relative cost of trading of the last ninety days, a fraction of notional.
    """

    level: Values
    elevated: Values
    stressed: Values
    illiquidity: Values
    cost_level: Values


@dataclass(frozen=True, kw_only=True, eq=False)
class Origins:
    """Where B origins lie.

    Attributes
    ----------
    time : ndarray of datetime64[ns], shape (n_origins,)
        Moments.
    instruments : tuple of str
        Names in column order.
    rows : ndarray of bool, shape (n_origins, n_instruments)
        True at the B cells, in row-major order.
    """

    time: NDArray[np.datetime64]
    instruments: tuple[str, ...]
    rows: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What the ensemble says about B origins; H horizons, P tails.

    Attributes
    ----------
    log_variance : ndarray, shape (B, H)
        Log variance per period over the instrument's level.
    log_cost : ndarray or None, shape (B, H)
        Log liquidity cost over that of the last ninety days.
    quantile, shortfall : ndarray, shape (B, 2, H, P)
        Tails of the standardised loss, axis 1 = (lower, upper).
    steepness, shift : ndarray, shape (B, 2, H)
        See :class:`.module.ShapeOutputs`.
    """

    log_variance: Values
    log_cost: Values | None
    quantile: Values
    shortfall: Values
    steepness: Values
    shift: Values

    def forecast(
        self, known: "Known", *, at: "Origins", model: str, horizons: tuple[int, ...]
    ) -> Forecast:
        """Return the forecast of the origins; NaN where none of B is."""
        usual = np.exp(known.level)[:, None] * np.array(horizons)
        variance = np.exp(self.log_variance) * usual
        sigma = np.sqrt(variance)[:, :, None]
        regime = self.regimes(known.elevated / usual, known.stressed / usual)

        def spread(values: Values) -> Values:
            out = np.full((*at.rows.shape, *values.shape[1:]), np.nan)
            out[at.rows] = values
            return out

        return Forecast(
            model=model,
            origin=at.time,
            instruments=at.instruments,
            horizons=horizons,
            variance=spread(variance),
            value_at_risk_lower=spread(self.quantile[:, 0] * sigma),
            expected_shortfall_lower=spread(self.shortfall[:, 0] * sigma),
            value_at_risk_upper=spread(self.quantile[:, 1] * sigma),
            expected_shortfall_upper=spread(self.shortfall[:, 1] * sigma),
            regime_probability=spread(regime),
            stress_probability=spread(regime[..., -1].copy()),
            liquidity_stress_probability=spread(self.liquidity_stress(known.illiquidity)),
            liquidity_cost=spread(self.cost() * known.cost_level),
        )

    def regimes(self, elevated: Values, stressed: Values) -> Values:
        """Return probabilities of calm, elevated and stressed, shape (B, H, 3), summing to one.

        For thresholds of the variance per period over the level, shape (B, H).
        """
        above = [
            _logistic(self.steepness[:, 0] * (self.log_variance - _log(bound)) + self.shift[:, 0])
            for bound in (elevated, stressed)
        ]
        return np.stack([1.0 - above[0], above[0] - above[1], above[1]], axis=-1)

    def liquidity_stress(self, threshold: Values) -> Values:
        """Return the probability that the log illiquidity exceeds the thresholds, shape (B, H)."""
        if self.log_cost is None:
            return np.full(threshold.shape, np.nan)
        return _logistic(self.steepness[:, 1] * (self.log_cost - threshold) + self.shift[:, 1])

    def cost(self) -> Values:
        """Return the liquidity cost over that of the last ninety days; NaN if never learnt."""
        unknown = np.full(self.log_variance.shape, np.nan)
        return unknown if self.log_cost is None else np.exp(self.log_cost)


def _log(values: Values) -> Values:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values))


def _logistic(log_odds: Values) -> Values:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)))
