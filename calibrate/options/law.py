r"""The joint law of a spot return and a change of implied volatility over one horizon.

In regime k, with probability :math:`\pi_k`, the log return r of the spot and the log change v of
30-day implied volatility are jointly normal, or Student t with one number of degrees of freedom: r
has mean zero and the forecast variance, v its own mean and standard deviation, and their
correlation is negative where volatility rises in a falling market.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ...errors import InputError
from .checks import finite, not_negative, positive, read_only, same_shape

Array = NDArray[np.float64]

_HALVINGS = 48


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

    def spot_quantile(self, score: ArrayLike) -> Array:
        """Return the quantile of the log return over all regimes at a normal score, same shape."""
        z = finite("score", score)
        scale = self._shrink * np.sqrt(self.variance)
        weight = np.broadcast_to(self.probability, (*z.shape, len(scale)))
        location = np.zeros(weight.shape)
        return _mixture_quantile(
            z, weight, location, np.broadcast_to(scale, weight.shape), self.degrees_of_freedom
        )

    def vol_quantile(self, score: ArrayLike, log_return: ArrayLike) -> Array:
        """Return the quantile of the log change of volatility given the log return.

        Parameters
        ----------
        score : array_like
            Normal score: 2.33 for the quantile at 99 %.
        log_return : array_like
            Decimal; broadcasts with `score`.
        """
        level, r = np.broadcast_arrays(finite("score", score), finite("log_return", log_return))
        r = r[..., None]
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
        return _mixture_quantile(level, weight, location, spread, given)

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
    score: Array, weight: Array, location: Array, scale: Array, nu: float | None
) -> Array:
    """Find the quantile of a mixture over the last axis by halving, rounded away from the median.

    `score` has the shape of the others without their last axis.
    """
    far = np.abs(score)
    side = np.where(score > 0.0, 1.0, -1.0)
    # The upper tail of v is the lower tail of -v, which has all its digits.
    tail = special.ndtr(-far)
    unit = -far if nu is None else special.stdtrit(nu, tail)
    mirrored = -side[..., None] * location
    parts = np.where(weight > 0.0, mirrored + unit[..., None] * scale, np.nan)
    # The quantile of a mixture lies between the lowest and the highest of its parts.
    low, high = np.nanmin(parts, axis=-1), np.nanmax(parts, axis=-1)
    for _ in range(_HALVINGS if weight.shape[-1] > 1 else 0):
        middle = 0.5 * (low + high)
        z = (middle[..., None] - mirrored) / scale
        below = special.ndtr(z) if nu is None else special.stdtr(nu, z)
        over = (weight * below).sum(axis=-1) >= tail
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return np.asarray(-side * low)
