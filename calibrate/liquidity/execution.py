r"""Optimal liquidation: how fast to sell when selling moves the price and waiting is risky.

Almgren and Chriss (2001), "Optimal Execution of Portfolio Transactions", Journal of Risk 3(2), in
discrete time. The price moves by :math:`\sigma\sqrt\tau` a period and by the permanent impact
:math:`\gamma` of what was sold; a sale of n in a period gets :math:`\epsilon + \eta n/\tau`
less than the price. With :math:`\tilde\eta = \eta - \gamma\tau/2`, a plan
that goes from X to zero costs

.. math::

    E = \tfrac12\gamma X^2 + \epsilon X + \frac{\tilde\eta}{\tau}\sum_k n_k^2, \qquad
    V = \sigma^2\tau\sum_{k=1}^{N} x_k^2,

and :math:`E + \lambda V` is least for :math:`x_k = X\sinh(\kappa(T-t_k))/\sinh(\kappa T)`, where
:math:`2(\cosh\kappa\tau - 1) = \lambda\sigma^2\tau^2/\tilde\eta`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...errors import InputError
from .checked import Array, Numbers, common_shape, finite, non_negative, positive


@dataclass(frozen=True, kw_only=True, eq=False)
class LiquidationPlan:
    """How much to hold at every moment, and what that costs; read-only arrays.

    Every array has the shape of the arguments, the first two with the moments as another last axis.

    Attributes
    ----------
    holdings : ndarray, shape (..., n_periods + 1)
        What is left at the start and after each period, unit of the quantity; the last is zero.
    trades : ndarray, shape (..., n_periods)
        What is sold in each period, positive.
    risk_aversion : ndarray
        Price of variance that each plan was made for, one over money.
    expected_cost : ndarray
        Mean of the value at the start minus what the sales bring in, money.
    cost_variance : ndarray
        Variance of the same, money squared.
    half_life : ndarray
        Time in which holdings fall by the factor e when nothing forces an end, in the unit of
        `period` (the name is that of the paper); infinite without risk aversion.
    """

    holdings: Array
    trades: Array
    risk_aversion: Array
    expected_cost: Array
    cost_variance: Array
    half_life: Array

    def __post_init__(self) -> None:
        for values in vars(self).values():
            values.setflags(write=False)

    def cost_at_risk(self, *, sigma_multiple: float) -> Array:
        """Return the expected cost and so many standard deviations of cost, money.

        The plan with the least of it among many risk aversions is the one to take for a margin that
        covers this quantile.
        """
        non_negative(sigma_multiple=sigma_multiple)
        return np.asarray(self.expected_cost + sigma_multiple * np.sqrt(self.cost_variance))

    def frame(self) -> pd.DataFrame:
        """Return a tidy table: one row per plan and moment; nothing is sold at the first."""
        n_moments = self.holdings.shape[-1]
        holdings = self.holdings.reshape(-1, n_moments)
        plan, moment = np.indices(holdings.shape)
        sold = np.zeros_like(holdings)
        sold[:, 1:] = self.trades.reshape(-1, n_moments - 1)
        columns = {"plan": plan, "moment": moment, "holding": holdings, "sold": sold}
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()})

    def frontier(self) -> pd.DataFrame:
        """Return what the plans cost: the efficient frontier, if risk aversions differ."""
        columns = {
            "risk_aversion": self.risk_aversion,
            "expected_cost": self.expected_cost,
            "cost_std": np.sqrt(self.cost_variance),
            "half_life": self.half_life,
        }
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})


def almgren_chriss(
    quantity: Numbers,
    *,
    n_periods: int,
    sigma: Numbers,
    temporary: Numbers,
    risk_aversion: Numbers,
    permanent: Numbers = 0.0,
    half_spread: Numbers = 0.0,
    period: float = 1.0,
) -> LiquidationPlan:
    r"""Plan the sale of a position that has the least mean cost plus risk aversion times variance.

    All arguments but `n_periods` and `period` broadcast: pass many risk aversions for the efficient
    frontier, or many positions at once. A short is bought back by the same plan.

    Parameters
    ----------
    quantity : float or ndarray
        X, what is to be closed, positive; units of the instrument. With the value in money
        instead, sigma, impacts and half-spread are fractions of the price.
    n_periods : int
        N, periods until nothing is left; at least one.
    sigma : float or ndarray
        Standard deviation of the price over one unit of time, money per unit (not a fraction).
    temporary : float or ndarray
        eta: money per unit, per unit sold in one unit of time. Must exceed half of
        permanent times period.
    risk_aversion : float or ndarray
        lambda, one over money, zero or more. Zero sells evenly; much sells nearly all at once.
    permanent : float or ndarray
        gamma: money per unit, per unit sold.
    half_spread : float or ndarray
        epsilon: fixed cost, money per unit.
    period : float
        tau, length of a period in the unit of time of sigma.

    Returns
    -------
    LiquidationPlan

    Raises
    ------
    InputError
        If a number is out of range or not finite, or permanent impact outweighs the temporary one.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    The example of the paper: a million shares within five days.

    >>> plan = almgren_chriss(
    ...     1e6, n_periods=5, sigma=0.95, temporary=2.5e-6, risk_aversion=1e-6,
    ...     permanent=2.5e-7, half_spread=0.0625,
    ... )
    >>> plan.holdings.round(-3)
    array([1000000.,  542000.,  290000.,  148000.,   62000.,       0.])
    """
    if n_periods < 1 or not float(n_periods).is_integer():
        raise InputError(f"n_periods must be a whole number, at least 1, was {n_periods}")
    shares, eta, tau = positive(quantity=quantity, temporary=temporary, period=period)
    volatility, aversion, gamma, epsilon = non_negative(
        sigma=sigma, risk_aversion=risk_aversion, permanent=permanent, half_spread=half_spread
    )
    common_shape(
        quantity=shares,
        temporary=eta,
        sigma=volatility,
        risk_aversion=aversion,
        permanent=gamma,
        half_spread=epsilon,
    )
    net = eta - 0.5 * gamma * tau
    if (net <= 0.0).any():
        raise InputError(
            "temporary must exceed half of permanent times period, found "
            f"{np.sum(net <= 0.0)} that do not; take shorter periods"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        decay = _decay(aversion * volatility**2 * tau**2 / net)
        holdings = shares[..., None] * _left(decay, n_periods)
        trades = -np.diff(holdings, axis=-1)
        cost = 0.5 * gamma * shares**2 + epsilon * shares + net / tau * (trades**2).sum(axis=-1)
        variance = volatility**2 * tau * (holdings[..., 1:] ** 2).sum(axis=-1)
    return _plan(holdings, trades, aversion, cost, variance, _half_life(tau, decay))


def _decay(urgency: Array) -> Array:
    """Return kappa tau, where 2 (cosh(kappa tau) - 1) is the urgency; exact for small ones too."""
    return finite("risk_aversion * sigma² / temporary", 2.0 * np.arcsinh(0.5 * np.sqrt(urgency)))


def _left(decay: Array, n_periods: int) -> Array:
    """Share of the position that is left after 0, 1, ..., N periods, shape (..., N + 1)."""
    after = np.arange(n_periods + 1.0)
    a = decay[..., None]
    # sinh(a(N-k)) / sinh(aN) without its overflow; at a = 0 it is the straight line.
    falling = np.where(a > 0.0, a, 1.0)
    curve = np.exp(-falling * after) * np.expm1(-2.0 * falling * (n_periods - after))
    curve /= np.expm1(-2.0 * falling * n_periods)
    return np.where(a > 0.0, curve, 1.0 - after / n_periods)


def _half_life(tau: Array, decay: Array) -> Array:
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(tau / decay)


def _plan(
    holdings: Array, trades: Array, aversion: Array, cost: Array, variance: Array, half_life: Array
) -> LiquidationPlan:
    """Bring the results of broadcast arguments to one shape, and see that they are numbers."""
    shape = np.broadcast_shapes(cost.shape, variance.shape)

    def alike(values: Array) -> Array:
        return np.array(np.broadcast_to(values, shape))

    return LiquidationPlan(
        holdings=np.array(np.broadcast_to(holdings, (*shape, holdings.shape[-1]))),
        trades=np.array(np.broadcast_to(trades, (*shape, trades.shape[-1]))),
        risk_aversion=alike(aversion),
        expected_cost=finite("expected_cost", alike(cost)),
        cost_variance=finite("cost_variance", alike(variance)),
        half_life=alike(half_life),
    )
