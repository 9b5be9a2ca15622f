r"""Vega: risk factors that are the expected shortfall of a lognormal price.

With volatility :math:`\sigma` and drift :math:`\mu` a year, horizon :math:`\tau` in years and tail
probability :math:`\lambda`, and :math:`s = \sigma\sqrt\tau`,

.. math::

    f_{long} = 1 - \frac{e^{\mu\tau}}{\lambda} \Phi(\Phi^{-1}(\lambda) - s), \qquad
    f_{short} = \frac{e^{\mu\tau}}{\lambda} \Phi(\Phi^{-1}(\lambda) + s) - 1,

the mean loss per unit of value in the worst :math:`\lambda` of outcomes. Maintenance margin is
price times absolute size times (slippage factor + risk factor); search, initial and release levels
are multiples of it. A year has 365.25 days.

The closed forms invert: :math:`s = \Phi^{-1}(\lambda) - \Phi^{-1}(\lambda(1 - f) e^{-\mu\tau})` for
a long and :math:`\Phi^{-1}(\lambda(1 + f) e^{-\mu\tau}) - \Phi^{-1}(\lambda)` for a short.

Source: vegaprotocol/specs, quant risk models and margin calculator (2023); the chain shut in 2024.
Rounding to the settlement asset's decimals and the order-book part of slippage are not modelled.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from ...errors import InputError
from .venue import Floats, Position, Requirement, VenueMargin, check_rate, finite

HOURS_PER_YEAR = 365.25 * 24.0
# Room for the last digits of an inverted sigma: it must cover the rate, not miss it by rounding.
_UPWARD = 1.0 + 1e-13


@dataclass(frozen=True, kw_only=True)
class RiskModel:
    """Lognormal risk model of one market.

    Attributes
    ----------
    sigma_ann : float
        Volatility of log returns per year, decimal, positive; set by vote on the venue.
    horizon_h : float
        Hours until a position is closed, positive.
    tail_probability : float
        Share of worst outcomes that are averaged, in (0, 0.5).
    drift : float
        Drift of the price a year, decimal.
    """

    sigma_ann: float
    horizon_h: float = 1.0
    tail_probability: float = 0.01
    drift: float = 0.0

    def __post_init__(self) -> None:
        positive = (self.sigma_ann, self.horizon_h)
        if not all(0.0 < value < math.inf for value in positive) or not math.isfinite(self.drift):
            raise InputError(
                "sigma_ann and horizon_h must be positive and finite and drift finite, were "
                f"{self.sigma_ann}, {self.horizon_h} and {self.drift}"
            )
        if not 0.0 < self.tail_probability < 0.5:
            raise InputError(
                f"tail_probability must be in (0, 0.5), was {self.tail_probability}; "
                "write 0.01 for 1 %"
            )

    @property
    def horizon_years(self) -> float:
        """Horizon in years of 365.25 days."""
        return self.horizon_h / HOURS_PER_YEAR

    def risk_factor(self, side: str) -> float:
        """Return the risk factor of ``long`` or ``short``, fraction of value, at least 0.

        A drift may make a side's expected shortfall negative; the venue pays nobody for that.
        """
        factors = risk_factors(
            self.sigma_ann,
            horizon_years=self.horizon_years,
            tail_probability=self.tail_probability,
            drift=self.drift,
        )
        return max(float(factors[("long", "short").index(side)]), 0.0)

    def sigma_for(self, risk_factor: float, *, side: str) -> float:
        """Invert the closed form: volatility a year at which a side has this risk factor."""
        known, growth = self.tail_probability, math.exp(-self.drift * self.horizon_years)
        signed = -risk_factor if side == "long" else risk_factor
        mass = known * (1.0 + signed) * growth
        if not 0.0 < mass < 1.0:
            raise InputError(
                f"no volatility gives a {side} the risk factor {risk_factor} at tail probability "
                f"{known}; a long's must be below 1, a short's below {1.0 / known - 1.0:g}"
            )
        spread = abs(float(ndtri(mass) - ndtri(known)))
        return spread / math.sqrt(self.horizon_years)


def risk_factors(
    sigma_ann: ArrayLike, *, horizon_years: float, tail_probability: float, drift: float = 0.0
) -> tuple[Floats, Floats]:
    """Compute risk factors of a long and a short; see the module.

    Parameters
    ----------
    sigma_ann : array_like
        Volatility of log returns per year, decimal, not negative; any shape.
    horizon_years : float
        Horizon, years.
    tail_probability : float
        Share of worst outcomes, in (0, 0.5).
    drift : float
        Drift of the price a year, decimal.

    Returns
    -------
    long, short : ndarray
        Fractions of value, shape of `sigma_ann`.
    """
    sigma = finite("sigma_ann", sigma_ann)
    if np.any(sigma < 0.0):
        raise InputError(f"sigma_ann must not be negative, was {sigma.min()} at least once")
    spread = sigma * math.sqrt(horizon_years)
    tail = ndtri(tail_probability)
    growth = math.exp(drift * horizon_years) / tail_probability
    return 1.0 - growth * ndtr(tail - spread), growth * ndtr(tail + spread) - 1.0


@dataclass(frozen=True, kw_only=True)
class MarginRule:
    """Margin of one market.

    Attributes
    ----------
    model : RiskModel
        Where the risk factors come from.
    slippage : float
        Linear slippage factor, fraction of value, not negative; set by vote, so no default.
    search, initial, release : float
        Multiples of maintenance: collateral is looked for below the first, asked for at the
        second, given back above the third; 1 < search < initial < release.
    """

    venue: ClassVar[str] = "vega"
    meets: ClassVar[Requirement] = Requirement.MAINTENANCE

    model: RiskModel
    slippage: float
    search: float = 1.1
    initial: float = 1.2
    release: float = 1.3

    def __post_init__(self) -> None:
        if not 0.0 <= self.slippage < math.inf:
            raise InputError(f"slippage must be at least 0 and finite, was {self.slippage}")
        if not 1.0 < self.search < self.initial < self.release < math.inf:
            raise InputError(
                "levels must satisfy 1 < search < initial < release, were "
                f"{self.search}, {self.initial} and {self.release}"
            )

    def margin(self, position: Position) -> VenueMargin:
        """Compute requirements, quote currency; parts: ``slippage``, ``risk``, ``scaling``."""
        if position.leverage is not None:
            raise InputError(
                "this venue's rule has no chosen leverage; leave Position.leverage out"
            )
        factors = {side: self.model.risk_factor(side) for side in ("long", "short")}
        parts = margin_parts(
            position.size,
            position.price,
            slippage=self.slippage,
            risk_factor=np.where(position.size < 0.0, factors["short"], factors["long"]),
        )
        maintenance = parts["slippage"] + parts["risk"]
        initial = self.initial * maintenance
        return VenueMargin(
            venue=self.venue,
            notional=position.notional,
            initial=initial,
            maintenance=maintenance,
            components={**parts, "scaling": initial - maintenance},
            levels={"search": self.search * maintenance, "release": self.release * maintenance},
        )

    def with_volatility(self, sigma_ann: float, *, may_lower: bool = False) -> Self:
        """Return the rule with a forecast volatility a year for the one that was voted."""
        sigma = sigma_ann if may_lower else max(self.model.sigma_ann, sigma_ann)
        return replace(self, model=replace(self.model, sigma_ann=sigma))

    def with_forecast(self, margin_rate: float, *, may_lower: bool = False) -> Self:
        """Return the rule whose sigma brings maintenance of *both* sides to the forecast.

        A long's risk factor grows slower than a short's, so that without drift it is the long that
        decides; what slippage covers already needs no sigma.
        """
        needed = check_rate(margin_rate) - self.slippage
        if needed <= 0.0:
            if may_lower:
                raise InputError(
                    f"slippage of {self.slippage} alone covers a margin of {margin_rate}; no sigma "
                    "lowers it that far"
                )
            return self
        sigma = max(self.model.sigma_for(needed, side=side) for side in ("long", "short"))
        return self.with_volatility(sigma * _UPWARD, may_lower=may_lower)


def margin_parts(
    size: Floats, price: Floats, *, slippage: ArrayLike, risk_factor: ArrayLike
) -> dict[str, Floats]:
    """Compute the two parts of maintenance margin, quote currency.

    Parameters
    ----------
    size : ndarray
        Base units, signed.
    price : ndarray
        Quote currency per base unit.
    slippage, risk_factor : array_like
        Fractions of value; the risk factor is that of the position's side.

    Returns
    -------
    dict of str to ndarray
        ``slippage`` and ``risk``, which add up to maintenance margin.
    """
    value = np.abs(size) * price
    return {
        "slippage": np.asarray(value * np.asarray(slippage)),
        "risk": np.asarray(value * np.asarray(risk_factor)),
    }
