"""What every test of expected shortfall starts from: a loss, two forecasts, and the breaches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .._checks import as_series, as_values, check_probability, check_same_shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Tail:
    """Checked input of a test.

    Attributes
    ----------
    loss : ndarray of float64, shape (n,)
        Realised loss, fraction of notional; positive means money lost.
    value_at_risk, expected_shortfall : ndarray of float64, shape (n,)
        Forecasts, same unit; ``0 < value_at_risk <= expected_shortfall``.
    """

    loss: NDArray[np.float64]
    value_at_risk: NDArray[np.float64]
    expected_shortfall: NDArray[np.float64]

    @property
    def breach(self) -> NDArray[np.bool_]:
        """Whether ``loss > value_at_risk``, strictly, shape (n,)."""
        return self.loss > self.value_at_risk

    @property
    def gap(self) -> NDArray[np.float64]:
        """Distance of the two forecasts as a fraction of the shortfall, in [0, 1), shape (n,)."""
        return 1.0 - self.value_at_risk / self.expected_shortfall

    @property
    def excess(self) -> NDArray[np.float64]:
        """Excess of each breach over the value at risk, fraction of the shortfall, shape (x,)."""
        ratio: NDArray[np.float64] = (self.loss - self.value_at_risk) / self.expected_shortfall
        return ratio[self.breach]


def as_tail(
    loss: ArrayLike,
    value_at_risk: ArrayLike,
    expected_shortfall: ArrayLike,
    *,
    tail_probability: float | None,
) -> Tail:
    """Check the arguments that all tests share; a forecast may be one number for all periods."""
    realised = as_series("loss", loss)
    quantile = as_values("value_at_risk", value_at_risk)
    expected = as_values("expected_shortfall", expected_shortfall)
    check_same_shape(loss=realised, value_at_risk=quantile, expected_shortfall=expected)
    if tail_probability is not None:
        check_probability("tail_probability", tail_probability, example="0.025 for 2.5 %")
    check_positive("value_at_risk", quantile)
    check_positive("expected_shortfall", expected)
    n_crossed = int(np.sum(quantile > expected))
    if n_crossed:
        raise InputError(
            f"value_at_risk must not exceed expected_shortfall, found {n_crossed} that do; "
            "the arguments may be swapped"
        )
    return Tail(
        loss=realised,
        value_at_risk=np.broadcast_to(quantile, realised.shape),
        expected_shortfall=np.broadcast_to(expected, realised.shape),
    )


def as_volatility(volatility: ArrayLike, n: int) -> NDArray[np.float64]:
    """Check a volatility, one per period or one number for all."""
    sigma = as_values("volatility", volatility)
    check_same_shape(loss=np.empty(n), volatility=sigma)
    check_positive("volatility", sigma)
    return np.broadcast_to(sigma, (n,))


def check_positive(name: str, values: NDArray[np.float64]) -> None:
    """Raise unless all values are above zero."""
    n_bad = int(np.sum(values <= 0.0))
    if n_bad:
        raise InputError(
            f"{name} must be > 0, found {n_bad} of {values.size} at or below zero; "
            "pass it as a positive loss, and leave out periods without a forecast"
        )
