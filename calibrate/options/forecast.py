r"""Grid nodes from the joint forecast of spot and implied volatility.

**The law.** In regime k, with probability :math:`\pi_k`, the log return r of the spot over the
horizon and the log change v of 30-day implied volatility are jointly normal, or Student t with one
number of degrees of freedom: r has mean zero and the forecast variance, v its own mean and standard
deviation, and their correlation is negative where volatility rises in a falling market.

**The nodes.** With confidence c, put :math:`p = (1 - \sqrt c)/2`. The spot runs from its quantile
at p to that at 1 - p, both of the mixture. At a return r, volatility runs between its quantiles at
p and 1 - p *given r*, with regime probabilities updated by r: after a large fall the stressed
regime is the likely one. The region between holds exactly

.. math:: P = \int_{q_p}^{q_{1-p}} (1 - 2p)\,f(r)\,dr = (1 - 2p)^2 = c .

Nodes stand at `2 n_side + 1` spots, each with the highest volatility that the region reaches in the
segments beside it, with the lowest, and with volatility unchanged; each now and at the end of
the horizon.

**What is promised.** A book whose loss is convex in the spot and rises with volatility (options
sold, hedged with futures or not) loses nowhere in the region more than at the worst node: on a
segment of spots its loss is at most that at the segment's highest volatility, and a convex function
is largest at an end. So its loss stays below the grid's with probability c at least, if the law is
right. For options bought, and spreads, the worst point can lie between two spots; `n_side` makes
that gap small, and it is not proved to be zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ...errors import InputError
from .checks import finite, not_negative, positive, read_only, same_shape
from .grid import ScenarioGrid, VolShape

Array = NDArray[np.float64]

_HALVINGS = 80
_POINTS_PER_SEGMENT = 33


@dataclass(frozen=True, kw_only=True, eq=False)
class SpotVolForecast:
    """Joint law of a spot return and a volatility change over one horizon; read-only, shape (k,).

    Attributes
    ----------
    variance : ndarray
        Of the log return over the horizon in each regime, decimal squared, positive.
    probability : ndarray
        Of each regime; they sum to one.
    vol_sigma : ndarray
        Standard deviation of the log change of 30-day implied volatility, positive.
    vol_mean : ndarray
        Its mean: above zero where volatility is expected to rise.
    correlation : ndarray
        Of both, in (-1, 1).
    degrees_of_freedom : float or None
        Above 2 for a Student t law, None for the normal one.
    """

    variance: Array
    probability: Array
    vol_sigma: Array
    vol_mean: Array
    correlation: Array
    degrees_of_freedom: float | None = None

    def __post_init__(self) -> None:
        shape = np.atleast_1d(np.asarray(self.variance)).shape
        for name in ("variance", "probability", "vol_sigma", "vol_mean", "correlation"):
            value = np.atleast_1d(np.asarray(getattr(self, name), dtype=np.float64))
            same_shape(shape, **{name: value})
            object.__setattr__(self, name, read_only(value))
        positive("variance", self.variance)
        positive("vol_sigma", self.vol_sigma)
        finite("vol_mean", self.vol_mean)
        self._check_law()

    def _check_law(self) -> None:
        total = float(not_negative("probability", self.probability).sum())
        if self.probability.ndim != 1 or abs(total - 1.0) > 1e-9:
            raise InputError(f"probability must be a vector that sums to 1, summed to {total}")
        if np.any(np.abs(finite("correlation", self.correlation)) >= 1.0):
            raise InputError(
                f"correlation must be in (-1, 1), was {self.correlation.tolist()}; a perfect one "
                "leaves volatility no law of its own"
            )
        nu = self.degrees_of_freedom
        if nu is not None and not (np.isfinite(nu) and nu > 2.0):
            raise InputError(
                f"degrees_of_freedom must be above 2, was {nu}; None is the normal law"
            )

    @property
    def _shrink(self) -> float:
        """Scale of the law over its standard deviation."""
        nu = self.degrees_of_freedom
        return 1.0 if nu is None else float(np.sqrt((nu - 2.0) / nu))

    def spot_quantile(self, probability: float) -> float:
        """Return the quantile of the log return over all regimes, decimal."""
        scale = self._shrink * np.sqrt(self.variance)
        zero = np.zeros_like(scale)
        low, high = _mixture_quantile(
            probability, self.probability, zero, scale, self.degrees_of_freedom
        )
        return float(high if probability > 0.5 else low)

    def vol_quantile(self, probability: float, log_return: ArrayLike) -> Array:
        """Return the quantile of the log change of volatility given the log return, same shape."""
        r = finite("log_return", log_return)[..., None]
        nu, scale = self.degrees_of_freedom, self._shrink * np.sqrt(self.variance)
        z = r / scale
        weight = special.softmax(_log_density(z, nu) - np.log(scale) + self._log_prior(), axis=-1)
        vol_scale = self._shrink * self.vol_sigma
        location = self.vol_mean + self.correlation * vol_scale * z
        spread = vol_scale * np.sqrt(1.0 - self.correlation**2)
        given = nu
        if nu is not None:
            spread, given = spread * np.sqrt((nu + z * z) / (nu + 1.0)), nu + 1.0
        spread = np.broadcast_to(spread, location.shape)
        low, high = _mixture_quantile(probability, weight, location, spread, given)
        return high if probability > 0.5 else low

    def _log_prior(self) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.probability))

    def sample(self, n: int, *, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return n log returns and log changes of volatility, shape (n,) each."""
        regime = rng.choice(len(self.probability), size=n, p=self.probability)
        first, second = rng.standard_normal(n), rng.standard_normal(n)
        rho = self.correlation[regime]
        spot, vol = first, rho * first + np.sqrt(1.0 - rho**2) * second
        nu = self.degrees_of_freedom
        if nu is not None:
            mix = self._shrink * np.sqrt(nu / rng.chisquare(nu, size=n))
            spot, vol = spot * mix, vol * mix
        return (
            np.sqrt(self.variance[regime]) * spot,
            self.vol_mean[regime] + self.vol_sigma[regime] * vol,
        )


def _log_density(z: Array, nu: float | None) -> Array:
    """Up to a constant that all regimes share."""
    if nu is None:
        return np.asarray(-0.5 * z * z)
    return np.asarray(-0.5 * (nu + 1.0) * np.log1p(z * z / nu))


def _mixture_quantile(
    probability: float, weight: Array, location: Array, scale: Array, nu: float | None
) -> tuple[Array, Array]:
    """Bracket the quantile of a mixture over the last axis by halving; below it and above it."""
    if not 0.0 < probability < 1.0:
        raise InputError(f"probability must be in (0, 1), was {probability}")
    unit = special.ndtri(probability) if nu is None else special.stdtrit(nu, probability)
    parts = np.where(weight > 0.0, location + unit * scale, np.nan)
    # The quantile of a mixture lies between the lowest and the highest of its parts.
    low, high = np.nanmin(parts, axis=-1), np.nanmax(parts, axis=-1)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        z = (middle[..., None] - location) / scale
        below = special.ndtr(z) if nu is None else special.stdtr(nu, z)
        over = (weight * below).sum(axis=-1) >= probability
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return low, high


def forecast_grid(
    forecast: SpotVolForecast,
    *,
    confidence_level: float,
    horizon: float = 0.0,
    n_side: int = 6,
    shape: VolShape | None = None,
) -> ScenarioGrid:
    """Return the grid whose worst loss covers `confidence_level`; see the module for how.

    Parameters
    ----------
    forecast : SpotVolForecast
        Joint law over the horizon.
    confidence_level : float
        In (0.5, 1), for example 0.99.
    horizon : float
        Years that pass until the position is closed, not negative.
    n_side : int
        Spots on either side of zero, at least one.
    shape : VolShape, optional
        Moves of other expiries.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    if not 0.5 < confidence_level < 1.0:
        raise InputError(
            f"confidence_level must be in (0.5, 1), was {confidence_level}; write 0.99 for 99 %"
        )
    if n_side < 1:
        raise InputError(f"n_side must be at least 1, was {n_side}")
    moment = float(not_negative("horizon", horizon))
    tail = 0.5 * (1.0 - np.sqrt(confidence_level))
    spots = _spots(forecast, tail, n_side)
    high, low = _volatilities(forecast, tail, spots)
    vol = np.stack([high, np.zeros_like(high), low])
    moments = np.array([0.0, moment]) if moment > 0.0 else np.zeros(1)
    passed, vol, spot = np.broadcast_arrays(moments[:, None, None], vol, spots)
    return ScenarioGrid(
        spot_move=np.expm1(spot.ravel()),
        vol_move=np.expm1(vol.ravel()),
        weight=np.ones(spot.size),
        elapsed=passed.ravel(),
        shape=VolShape() if shape is None else shape,
    )


def _spots(forecast: SpotVolForecast, tail: float, n_side: int) -> Array:
    """Return log returns from the lower to the upper quantile, zero among them."""
    lower, upper = forecast.spot_quantile(tail), forecast.spot_quantile(1.0 - tail)
    falls, rises = np.linspace(lower, 0.0, n_side + 1), np.linspace(0.0, upper, n_side + 1)
    return np.concatenate([falls, rises[1:]])


def _volatilities(forecast: SpotVolForecast, tail: float, spots: Array) -> tuple[Array, Array]:
    """Return the highest and lowest log change of the region beside each spot."""
    share = np.linspace(0.0, 1.0, _POINTS_PER_SEGMENT)
    along = spots[:-1, None] + share * np.diff(spots)[:, None]
    most = forecast.vol_quantile(1.0 - tail, along).max(axis=1)
    least = forecast.vol_quantile(tail, along).min(axis=1)
    beside = np.concatenate([most[:1], np.maximum(most[:-1], most[1:]), most[-1:]])
    under = np.concatenate([least[:1], np.minimum(least[:-1], least[1:]), least[-1:]])
    return beside, under


@dataclass(frozen=True, kw_only=True)
class ForecastMoves:
    """How far a forecast grid reaches, a rectangle around its region; fractions, not negative.

    Attributes
    ----------
    fall, rise : float
        Of the spot; a fall is below one.
    vol_up, vol_down : float
        Of the volatility of 30 days; a fall is below one.
    """

    fall: float
    rise: float
    vol_up: float
    vol_down: float

    def at_least(
        self, *, fall: float, rise: float, vol_up: float, vol_down: float
    ) -> "ForecastMoves":
        """Return moves that are nowhere smaller than these."""
        return ForecastMoves(
            fall=max(self.fall, fall),
            rise=max(self.rise, rise),
            vol_up=max(self.vol_up, vol_up),
            vol_down=max(self.vol_down, vol_down),
        )

    def ladder(self, spot_moves: Sequence[float], *, widest: Sequence[float]) -> tuple[float, ...]:
        """Stretch both sides of a venue's ladder until `widest` ends at the fall and the rise."""
        down, up = self.fall / -min(widest), self.rise / max(widest)
        return tuple(move * (down if move < 0.0 else up) for move in spot_moves)


def forecast_moves(
    forecast: SpotVolForecast, *, confidence_level: float, n_side: int = 6
) -> ForecastMoves:
    """Return the reach of :func:`forecast_grid`, for a venue whose rule has a ladder of its own."""
    grid = forecast_grid(forecast, confidence_level=confidence_level, n_side=n_side)
    return ForecastMoves(
        fall=float(-grid.spot_move.min()),
        rise=float(grid.spot_move.max()),
        vol_up=float(max(grid.vol_move.max(), 0.0)),
        vol_down=float(max(-grid.vol_move.min(), 0.0)),
    )


def simulated_grid(
    forecast: SpotVolForecast,
    n: int,
    *,
    rng: np.random.Generator,
    horizon: float = 0.0,
    shape: VolShape | None = None,
) -> ScenarioGrid:
    """Return n outcomes drawn from the law as nodes, all at the end of the horizon.

    The profit and loss of a book on them is its distribution by full revaluation; its quantile is
    what :func:`forecast_grid` has to cover.
    """
    log_return, log_vol = forecast.sample(n, rng=rng)
    return ScenarioGrid(
        spot_move=np.expm1(log_return),
        vol_move=np.expm1(log_vol),
        weight=np.ones(n),
        elapsed=np.full(n, float(not_negative("horizon", horizon))),
        shape=VolShape() if shape is None else shape,
    )
