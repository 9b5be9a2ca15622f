"""From the next period's value at risk to shortfalls, longer horizons and a variance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..forecast import TAIL_PROBABILITIES

Values = NDArray[np.float64]

SIDES = (-1.0, 1.0)
"""Sign that makes a return a loss: of a long first, then of a short."""

_MIN_BEYOND = 5  # losses beyond a quantile before their mean is believed

# Mean beyond over quantile of a Student t with five degrees of freedom, at the tail probabilities.
_USUAL_SHORTFALL = np.array([1.32, 1.37, 1.44])

_LEAST = 0.05  # times the root of the horizon: a multiple that can be divided by


@dataclass(frozen=True, kw_only=True, eq=False)
class TailMultiples:
    """Multiples of the next period's value at risk, from the window of a fit.

    Attributes
    ----------
    value_at_risk : ndarray, shape (n_horizons, 2, n_tails)
        Quantile of the loss over the horizon in units of the value at risk of the next period;
        1 for a horizon of one. Sides and tails on the last axes.
    shortfall : ndarray, shape (n_horizons, 2, n_tails)
        Mean loss beyond the value at risk over the horizon, in units of it.
    variance : ndarray, shape (n_horizons,)
        Mean variance over the horizon in units of the squared distance between the least rare
        quantiles of both sides (Taylor 2005, Management Science 51(5)).
    """

    value_at_risk: Values
    shortfall: Values
    variance: Values

    def __post_init__(self) -> None:
        for array in (self.value_at_risk, self.shortfall, self.variance):
            array.setflags(write=False)

    def apply(self, path: Values) -> tuple[Values, Values]:
        """Turn paths into forecasts.

        Parameters
        ----------
        path : ndarray, shape (n, 2, n_tails)
            Value at risk of the next period after each period, positive; sides and tails.

        Returns
        -------
        variance : ndarray, shape (n, n_horizons)
            Decimal squared.
        tails : ndarray, shape (2, 2, n, n_horizons, n_tails)
            Value at risk, then expected shortfall; then side, period, horizon and tail.
        """
        value_at_risk = path[:, None] * self.value_at_risk
        tails = np.stack([value_at_risk, value_at_risk * self.shortfall])
        # Each tail has a recursion of its own; a rarer one (they come first) must still not lie
        # below a more frequent one.
        ordered = np.maximum.accumulate(tails[..., ::-1], axis=-1)[..., ::-1]
        return _width(path)[:, None] ** 2 * self.variance, np.moveaxis(ordered, 3, 1)


def take_multiples(
    path: Values,
    log_return: Values,
    realized: Values,
    *,
    horizons: tuple[int, ...],
    shortfall: Values | None,
) -> TailMultiples:
    """Measure the multiples on the window of a fit.

    Parameters
    ----------
    path : ndarray, shape (n, 2, n_tails)
        Value at risk of the next period after each period, decimal.
    log_return, realized : ndarray, shape (n, n_horizons)
        Return and variance over the next periods; NaN where they were not known.
    horizons : tuple of int
        Numbers of periods.
    shortfall : ndarray or None, shape (2, n_tails)
        The model's own ratio of shortfall to value at risk, for a horizon of one.
    """
    shape = (len(horizons), *path.shape[1:])
    value_at_risk, ratio = np.ones(shape), np.ones(shape)
    variance = np.empty(len(horizons))
    for k, horizon in enumerate(horizons):
        variance[k] = np.nanmean(realized[:, k] / _width(path) ** 2)
        for s, sign in enumerate(SIDES):
            score = sign * log_return[:, k, None] / path[:, s]
            score = score[np.isfinite(score).all(axis=1)]
            for p, tail in enumerate(TAIL_PROBABILITIES):
                if horizon > 1:
                    quantile = np.quantile(score[:, p], 1.0 - tail)
                    value_at_risk[k, s, p] = max(quantile, _LEAST * np.sqrt(horizon))
                beyond = score[score[:, p] > value_at_risk[k, s, p], p]
                ratio[k, s, p] = _shortfall(beyond / value_at_risk[k, s, p], p)
        if horizon == 1 and shortfall is not None:
            ratio[k] = shortfall
    return TailMultiples(value_at_risk=value_at_risk, shortfall=ratio, variance=variance)


def _shortfall(beyond: Values, p: int) -> float:
    """Mean of the losses beyond the quantile, in its unit; a usual one if they are too few."""
    return float(beyond.mean()) if len(beyond) >= _MIN_BEYOND else float(_USUAL_SHORTFALL[p])


def _width(path: Values) -> Values:
    """Distance between the least rare quantiles of both sides, shape (n,)."""
    return np.asarray(path[:, :, -1].sum(axis=1))
