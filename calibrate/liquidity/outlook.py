r"""What is expected of the liquidity of the next periods, and what stress would make of it.

Liquidity is calm with probability 1 - p and stressed with probability p. Calm volume is V, stressed
volume :math:`\kappa V`. All that is charged for size runs on one *effective volume*, the harmonic
mean

.. math:: V_{\text{eff}} = \left(\frac{1-p}{V} + \frac{p}{\kappa V}\right)^{-1}.

It makes the expected time to close, Q/V, and any cost linear in it exact. A cost that is concave in
Q/V, as the square-root law is, comes out no less than its expectation (Jensen): the error is on the
safe side. The spread is its plain mean. A quantile of the mixture would jump when p crosses
the tail probability, and a margin that jumps there is one that everybody has to meet at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...models import Forecast
from .checked import Array, Numbers, common_shape, non_negative, positive, probability


@dataclass(frozen=True, kw_only=True, eq=False)
class LiquidityOutlook:
    """Forecasts of one period, elementwise; shapes that broadcast, NaN where there is no forecast.

    Attributes
    ----------
    sigma : float or ndarray
        Volatility of one period, decimal.
    volume : float or ndarray
        What can be traded against in one calm period, in the unit of the positions: expected
        volume, or the depth that comes back in a period. Positive.
    spread : float or ndarray
        Mean relative spread in calm times, the whole distance from bid to ask, decimal.
    spread_std : float or ndarray
        Its standard deviation.
    stress_probability : float or ndarray
        Probability that liquidity is stressed, in [0, 1].

    Raises
    ------
    InputError
        If a number is out of range or infinite.
    ShapeError
        If the shapes do not fit.
    """

    sigma: Numbers
    volume: Numbers
    spread: Numbers
    stress_probability: Numbers
    spread_std: Numbers = 0.0

    def __post_init__(self) -> None:
        (volume,) = positive(unknown=True, volume=self.volume)
        (stress,) = probability(unknown=True, stress_probability=self.stress_probability)
        sigma, spread, std = non_negative(
            unknown=True, sigma=self.sigma, spread=self.spread, spread_std=self.spread_std
        )
        given = {
            "sigma": sigma,
            "volume": volume,
            "spread": spread,
            "spread_std": std,
            "stress_probability": stress,
        }
        common_shape(**given)
        for name, values in given.items():
            kept = values.copy()
            kept.setflags(write=False)
            object.__setattr__(self, name, kept)

    @classmethod
    def from_cost(
        cls,
        forecast: Forecast,
        *,
        horizon: int,
        usual_cost: Array,
        usual_sigma: Array,
        usual_volume: Array,
        spread: Array,
    ) -> "LiquidityOutlook":
        """Take volatility and volume from a forecast that has a `liquidity_cost`; the better one.

        The volume is that of :func:`volume_from_cost`. A forecast cost is an expectation over calm
        and stress already, so that the stress probability is zero here.

        Parameters
        ----------
        forecast : Forecast
            Of a model that forecasts the cost of trading.
        horizon : int
            Which of its horizons; the volatility is that of one period, on average over it.
        usual_cost, usual_sigma, usual_volume : ndarray, shape (n_origins, n_instruments)
            As for :func:`volume_from_cost`, over one past (90 days, say), known at the origins.
        spread : ndarray, shape (n_origins, n_instruments)
            As the attribute.

        Raises
        ------
        InputError
            If the forecast lacks the horizon or the cost.
        """
        sigma, cost = _of_horizon(forecast, horizon, "liquidity_cost")
        volume = volume_from_cost(
            cost,
            sigma,
            usual_cost=usual_cost,
            usual_sigma=usual_sigma,
            usual_volume=usual_volume,
        )
        return cls(sigma=sigma, volume=volume, spread=spread, stress_probability=0.0)

    @classmethod
    def from_stress(
        cls,
        forecast: Forecast,
        *,
        horizon: int,
        usual_sigma: Array,
        usual_volume: Array,
        spread: Array,
    ) -> "LiquidityOutlook":
        r"""Take volatility and stress from a forecast that has a `liquidity_stress_probability`.

        Markets trade more when they move more: calm volume is expected to be
        :math:`\bar V \sigma/\bar\sigma`, at which the move per unit traded is the usual one. That
        it will not be is what the stress probability says. Parameters and errors are those of
        :meth:`from_cost`.
        """
        sigma, stress = _of_horizon(forecast, horizon, "liquidity_stress_probability")
        volume = volume_from_cost(
            1.0, sigma, usual_cost=1.0, usual_sigma=usual_sigma, usual_volume=usual_volume
        )
        return cls(sigma=sigma, volume=volume, spread=spread, stress_probability=stress)


def _of_horizon(forecast: Forecast, horizon: int, name: str) -> tuple[Array, Array]:
    """Return the volatility of one period and another field of a forecast at one horizon."""
    if horizon not in forecast.horizons:
        raise InputError(f"horizon must be one of {list(forecast.horizons)}, was {horizon}")
    values: Array | None = getattr(forecast, name)
    if values is None:
        raise InputError(
            f"the forecast of {forecast.model} must have a {name}, has none; take a model that "
            "gives one"
        )
    k = forecast.horizons.index(horizon)
    return np.asarray(np.sqrt(forecast.variance[..., k] / horizon)), values[..., k]


@dataclass(frozen=True, kw_only=True)
class StressedLiquidity:
    """What stress makes of liquidity.

    Attributes
    ----------
    volume : float
        kappa: stressed over calm volume, in (0, 1].
    spread : float
        Stressed over calm spread, at least one.
    default_odds : float
        How many times likelier a member defaults in stress than in calm, at least one. Margin is
        needed when somebody defaults, and by Bayes' rule the odds of stress *then* are the forecast
        odds times this.
    """

    volume: float = 0.3
    spread: float = 3.0
    default_odds: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.volume <= 1.0:
            raise InputError(
                f"volume must be in (0, 1], was {self.volume}; it is stressed over calm volume"
            )
        for name in ("spread", "default_odds"):
            value = getattr(self, name)
            if not 1.0 <= value < np.inf:
                raise InputError(f"{name} must be at least 1 and finite, was {value}")

    def at_default(self, stress_probability: Numbers) -> Array:
        """Probability of stress given that a member defaults, in [0, 1]."""
        (p,) = probability(unknown=True, stress_probability=stress_probability)
        return np.asarray(p * self.default_odds / (1.0 + p * (self.default_odds - 1.0)))

    def effective_volume(self, volume: Numbers, stress_probability: Numbers) -> Array:
        """Harmonic mean of calm and stressed volume, elementwise.

        Examples
        --------
        >>> StressedLiquidity(volume=0.25).effective_volume(100.0, np.array([0.0, 0.5, 1.0]))
        array([100.,  40.,  25.])
        """
        (calm,) = positive(unknown=True, volume=volume)
        p = self.at_default(stress_probability)
        return np.asarray(calm / (1.0 + p * (1.0 / self.volume - 1.0)))

    def effective_spread_multiple(self, stress_probability: Numbers) -> Array:
        """Mean of calm and stressed spread, over the calm one; elementwise."""
        p = self.at_default(stress_probability)
        return np.asarray(1.0 + p * (self.spread - 1.0))


def volume_from_cost(
    cost: Numbers,
    sigma: Numbers,
    *,
    usual_cost: Numbers,
    usual_sigma: Numbers,
    usual_volume: Numbers,
) -> NDArray[np.float64]:
    r"""Volume that a forecast of trading costs stands for, elementwise.

    The relative cost of :func:`foremargin.features.liquidity.relative_cost` is that of Amihud: the
    move of the price per unit traded, in proportion to sigma/V. A forecast cost is therefore
    that of the volume :math:`V = \bar V (\sigma/\bar\sigma)(\bar c/c)`, which falls where costs
    rise more than volatility does.

    Parameters
    ----------
    cost, usual_cost : float or ndarray
        Forecast cost over the horizon (`Forecast.liquidity_cost`) and the usual one
        (`Targets.liquidity_cost_level`), fraction of notional, positive.
    sigma, usual_sigma : float or ndarray
        Forecast volatility of a period and that of the days in which the cost was usual, decimal,
        positive.
    usual_volume : float or ndarray
        Volume of a period in the same days, positive.

    Returns
    -------
    ndarray
        Volume of a period; NaN where an argument is.

    Examples
    --------
    >>> usual = {"usual_cost": 0.001, "usual_sigma": 0.02, "usual_volume": 1e9}
    >>> float(volume_from_cost(0.004, 0.04, **usual))
    500000000.0
    """
    given = positive(
        unknown=True,
        cost=cost,
        sigma=sigma,
        usual_cost=usual_cost,
        usual_sigma=usual_sigma,
        usual_volume=usual_volume,
    )
    expected, volatility, usual, usual_volatility, traded = given
    return np.asarray(traded * (volatility / usual_volatility) * (usual / expected))
