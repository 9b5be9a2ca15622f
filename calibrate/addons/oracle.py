"""Oracle risk: how wrong the price may be that everything is margined at.

Three add-ons. `confidence` and `deviation` are two views of how wrong a price was when it was seen
(risk ``oracle-price``: the larger counts); `staleness` is how far the market may have gone since
(risk ``oracle-age``: it adds). Beyond limits a charge is no help: :func:`oracle_validity` says what
is wrong and :func:`allowed` what may still be done.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ...errors import InputError, ShapeError
from .addon import Addon, Floats, finite, positive, share

PRICE_RISK, AGE_RISK = "oracle-price", "oracle-age"

LAPLACE_95 = math.log(20.0) / math.sqrt(2.0)
"""Standard deviations that hold 95 % of a Laplace law, about 2.12."""


def conservative_price(
    price: ArrayLike, confidence: ArrayLike, *, size: ArrayLike, multiple: float = LAPLACE_95
) -> Floats:
    """Move a price to the side that is worse for its holder.

    Parameters
    ----------
    price : array_like
        Price as published, positive.
    confidence : array_like
        Its confidence interval, one standard error in the price's unit, as Pyth publishes it.
    size : array_like
        Signed size; positive is long.
    multiple : float
        Standard errors to move by, at least 0.

    Returns
    -------
    ndarray
        Lower for a long, but not below 0; higher for a short; the price itself for no position.
    """
    width = finite("multiple", multiple, least=0.0) * finite("confidence", confidence, least=0.0)
    moved = positive("price", price) - np.sign(finite("size", size)) * width
    return np.asarray(np.maximum(moved, 0.0))


def confidence_addon(
    price: ArrayLike, confidence: ArrayLike, *, multiple: float = LAPLACE_95
) -> Addon:
    """Charge the width of a price's confidence interval; parameters of :func:`conservative_price`.

    Returns
    -------
    Addon
        ``multiple * confidence / price``: what a position of either side loses at the conservative
        price, as a fraction of its notional at the published one.
    """
    width = finite("multiple", multiple, least=0.0) * finite("confidence", confidence, least=0.0)
    return Addon(name="confidence", risk=PRICE_RISK, rate=width / positive("price", price))


def staleness_addon(
    age_s: ArrayLike, *, sigma_ann: ArrayLike, year_s: float, tail_probability: float = 0.01
) -> Addon:
    """Charge how far the market may have gone since the price was seen.

    Parameters
    ----------
    age_s : array_like
        Seconds since the observation, not since the message arrived; at least 0.
    sigma_ann : array_like
        Forecast volatility of log returns, annualised, decimal.
    year_s : float
        Seconds in the year that `sigma_ann` is for.
    tail_probability : float
        Probability that a normal move is worse, in (0, 0.5).

    Returns
    -------
    Addon
        ``exp(z sigma sqrt(age)) - 1``: a short's loss, which is the larger one.
    """
    if not 0.0 < tail_probability < 0.5:
        raise InputError(
            f"tail_probability must be in (0, 0.5), was {tail_probability}; write 0.01 for 1 %"
        )
    years = finite("age_s", age_s, least=0.0) / positive("year_s", year_s)
    worst = stats.norm.isf(tail_probability)
    move = worst * finite("sigma_ann", sigma_ann, least=0.0) * np.sqrt(years)
    with np.errstate(over="ignore"):
        return Addon(name="staleness", risk=AGE_RISK, rate=np.expm1(move))


@dataclass(frozen=True, kw_only=True, eq=False)
class VenueConsensus:
    """What several venues agree on; read-only arrays.

    Attributes
    ----------
    price : ndarray, shape (n,)
        Median of the venues that were kept.
    deviation : ndarray, shape (n,)
        Largest relative distance of a kept venue from it; NaN where one venue alone is left.
    kept : ndarray of bool, shape (n_venues, n)
        Venues that quoted and are no outliers.
    """

    price: Floats
    deviation: Floats
    kept: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for array in (self.price, self.deviation, self.kept):
            array.setflags(write=False)

    def addon(self, *, single_venue_rate: float) -> Addon:
        """Charge the deviation.

        Parameters
        ----------
        single_venue_rate : float
            Charge where one venue alone is left and nothing tells how wrong it is, in [0, 1].

        Returns
        -------
        Addon
            Of the same risk as the confidence interval: the larger counts.
        """
        alone = share("single_venue_rate", single_venue_rate)
        rate = np.where(np.isnan(self.deviation), alone, self.deviation)
        return Addon(name="deviation", risk=PRICE_RISK, rate=rate)

    def frame(self) -> pd.DataFrame:
        """Return one row per element: price, deviation, and how many venues were kept."""
        return pd.DataFrame(
            {"price": self.price, "deviation": self.deviation, "kept": self.kept.sum(axis=0)}
        )


def venue_consensus(
    prices: NDArray[np.float64], *, spread: float = 5.0, tolerance: float = 0.002
) -> VenueConsensus:
    """Find the price that venues agree on.

    A venue is an outlier, and leaves, if its distance from the median of all is more than
    `tolerance` and more than `spread` times the median distance. Median and deviation are then
    those of the venues left. At least half always stay, so two camps are a deviation and no
    outlier; and with three venues within the tolerance of each other, a fourth far off changes
    nothing at all.

    Parameters
    ----------
    prices : ndarray, shape (n_venues, n)
        Positive; NaN where a venue quotes nothing.
    spread : float
        Median distances that are still usual, at least 1.
    tolerance : float
        Relative distance that never makes an outlier, at least 0.

    Returns
    -------
    VenueConsensus
        One element per column of `prices`.

    Raises
    ------
    InputError
        If a price is infinite or not positive, or no venue quotes.
    """
    if prices.ndim != 2:
        raise ShapeError(f"prices must have shape (n_venues, n), was {prices.shape}")
    quoted = ~np.isnan(prices)
    positive("prices", prices[quoted])
    if finite("spread", spread) < 1.0:
        raise InputError(f"spread must be at least 1 so that half of the venues stay, was {spread}")
    finite("tolerance", tolerance, least=0.0)
    if not np.all(quoted.any(axis=0)):
        raise InputError(
            f"every column needs a venue that quotes, {np.sum(~quoted.any(axis=0))} have none; "
            "ask oracle_validity what may still be done"
        )
    middle = np.nanmedian(prices, axis=0)
    away = np.abs(prices / middle - 1.0)
    usual = np.maximum(spread * np.nanmedian(away, axis=0), tolerance)
    kept = quoted & (np.where(quoted, away, np.inf) <= usual)
    remaining = np.where(kept, prices, np.nan)
    price = np.nanmedian(remaining, axis=0)
    deviation = np.nanmax(np.abs(remaining / price - 1.0), axis=0)
    deviation = np.where(kept.sum(axis=0) > 1, deviation, np.nan)
    return VenueConsensus(price=price, deviation=deviation, kept=kept)


def price_consensus(
    prices: Sequence[float], *, spread: float = 5.0, tolerance: float = 0.002
) -> tuple[float, float]:
    """Find what the venues of one moment agree on: one column of :func:`venue_consensus`, at once.

    Parameters
    ----------
    prices : sequence of float
        At least one; positive and finite.
    spread, tolerance : float
        As there.

    Returns
    -------
    price, deviation : float
        Median of the venues that were kept, and the largest relative distance of one of them; NaN
        where one venue alone is left.
    """
    if not prices or not all(0.0 < price < math.inf for price in prices):
        raise InputError(f"prices must be some, positive and finite, were {list(prices)}")
    middle = statistics.median(prices)
    away = [abs(price / middle - 1.0) for price in prices]
    usual = max(spread * statistics.median(away), tolerance)
    kept = [price for price, distance in zip(prices, away, strict=True) if distance <= usual]
    price = statistics.median(kept)
    if len(kept) < 2:
        return price, math.nan
    return price, max(abs(one / price - 1.0) for one in kept)


class Validity(StrEnum):
    """What is wrong with a price, best to worst."""

    VALID = "valid"
    STALE = "stale"
    UNCERTAIN = "uncertain"
    EXPIRED = "expired"
    TOO_VOLATILE = "too-volatile"
    NO_PRICE = "no-price"
    """Not positive or not finite."""


class Action(StrEnum):
    """What an account or the venue may want to do."""

    INCREASE = "increase"
    WITHDRAW = "withdraw"
    LIQUIDATE = "liquidate"
    REDUCE = "reduce"


ALLOWED: Mapping[Validity, frozenset[Action]] = MappingProxyType(
    {
        Validity.VALID: frozenset(Action),
        Validity.STALE: frozenset({Action.LIQUIDATE, Action.REDUCE}),
        Validity.UNCERTAIN: frozenset({Action.LIQUIDATE, Action.REDUCE}),
        Validity.EXPIRED: frozenset({Action.REDUCE}),
        Validity.TOO_VOLATILE: frozenset(),
        Validity.NO_PRICE: frozenset(),
    }
)
"""Less and less: nothing is allowed at a worse price that is not at every better one."""


@dataclass(frozen=True, kw_only=True)
class OracleLimits:
    """Limits of a usable price.

    Attributes
    ----------
    stale_s : float
        Age above which risk must not grow; 60 as in Drift v2 (120 slots) and Jupiter Lend.
    expired_s : float
        Age above which nobody is liquidated; 1,800 as in Jupiter Lend.
    confidence_rate : float
        Confidence interval, fraction of price, above which a price is uncertain; 0.02 as in Drift.
    volatile_ratio : float
        Ratio to the time-weighted average, either way, above which a price is not believed; 5 as
        in Drift.
    """

    stale_s: float = 60.0
    expired_s: float = 1_800.0
    confidence_rate: float = 0.02
    volatile_ratio: float = 5.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.stale_s <= self.expired_s < math.inf:
            raise InputError(
                "limits must satisfy 0 <= stale_s <= expired_s, were "
                f"{self.stale_s} and {self.expired_s}"
            )
        if not (0.0 <= self.confidence_rate < math.inf and 1.0 <= self.volatile_ratio < math.inf):
            raise InputError(
                "confidence_rate must be at least 0 and volatile_ratio at least 1, were "
                f"{self.confidence_rate} and {self.volatile_ratio}"
            )


def oracle_validity(
    price: ArrayLike,
    *,
    confidence: ArrayLike,
    age_s: ArrayLike,
    average: ArrayLike,
    limits: OracleLimits | None = None,
) -> NDArray[np.str_]:
    """Say what is wrong with prices; the worst that applies.

    Parameters
    ----------
    price : array_like
        As published; one that is not positive or not finite is ``no-price``, not an error.
    confidence : array_like
        Confidence interval, unit of the price, at least 0.
    age_s : array_like
        Seconds since the observation, at least 0.
    average : array_like
        Time-weighted average price, positive.
    limits : OracleLimits, optional
        Limits; the defaults if left out.

    Returns
    -------
    ndarray of str
        Values of :class:`Validity`, the common shape of the inputs.
    """
    bounds = OracleLimits() if limits is None else limits
    known = np.asarray(price, dtype=np.float64)
    usable = np.isfinite(known) & (known > 0.0)
    safe = np.where(usable, known, 1.0)
    ratio = safe / positive("average", average)
    age = finite("age_s", age_s, least=0.0)
    wide = finite("confidence", confidence, least=0.0) > bounds.confidence_rate * safe
    far = np.maximum(ratio, 1.0 / ratio) > bounds.volatile_ratio
    faults = np.broadcast_arrays(~usable, far, age > bounds.expired_s, wide, age > bounds.stale_s)
    return np.select(list(faults), [v.value for v in reversed(Validity)][:-1], Validity.VALID.value)


def allowed(validity: NDArray[np.str_], action: Action | str) -> NDArray[np.bool_]:
    """Whether an action may go ahead at prices of these :class:`Validity` values."""
    known = {value.value for value in Validity}
    if unknown := sorted(set(np.ravel(validity).tolist()) - known):
        raise InputError(f"validity must be one of {sorted(known)}, found {unknown}")
    names = [value.value for value, actions in ALLOWED.items() if Action(action) in actions]
    return np.asarray(np.isin(validity, names))
