"""The likelihoods of many GARCH and GJR models at once, by torch.

The same formulas as the compiled passes, written for all series and periods together: the
recursion of the variance is linear, so that doubling its reach log2(n) times takes the place of a
loop over periods (Blelloch 1990). Derivatives are taken by torch.
"""

from dataclasses import dataclass

import torch

from .kernel_transform import (
    BELOW_NO_NEWS,
    LARGEST_NU,
    LARGEST_PERSISTENCE,
    LARGEST_SKEW,
    LARGEST_SKEWED_NU,
    LOWEST_OMEGA,
    SMALLEST_NU,
)
from .options import Distribution, GarchModel, Mean, StartVariance, Volatility

Tensor = torch.Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceSeries:
    """Series of deviation one on a device, all in double precision.

    Attributes
    ----------
    model : GarchModel
        What to estimate.
    log_return : Tensor, shape (n_series, n_periods)
        Filled up with zeros at the end.
    weight : Tensor, shape (n_series, n_periods)
        One for a return, zero for a filler.
    start : Tensor, shape (n_series,)
        Exponentially weighted presample variance.
    """

    model: GarchModel
    log_return: Tensor
    weight: Tensor
    start: Tensor

    def part(self, index: Tensor) -> "DeviceSeries":
        """Return some of the series."""
        return DeviceSeries(
            model=self.model,
            log_return=self.log_return[index],
            weight=self.weight[index],
            start=self.start[index],
        )


def parameters(x: Tensor, model: GarchModel) -> Tensor:
    """Return the seven parameters at free coordinates; as `to_theta`, shape (n_series, 7)."""
    zero = torch.zeros_like(x[:, 0])
    k = 1 if model.mean is Mean.CONSTANT else 0
    mu = x[:, 0] if k else zero
    omega = LOWEST_OMEGA + torch.exp(torch.clamp(x[:, k], max=50.0))
    persistence = LARGEST_PERSISTENCE * torch.sin(x[:, k + 1]) ** 2
    share = torch.sin(x[:, k + 2]) ** 2
    alpha, gamma, beta = persistence * share, zero, persistence * (1.0 - share)
    k += 3
    if model.volatility is Volatility.GJR:
        fall = (1.0 + BELOW_NO_NEWS) * torch.sin(x[:, k]) ** 2 - BELOW_NO_NEWS
        alpha, gamma = 2.0 * (1.0 - fall) * alpha, 2.0 * (2.0 * fall - 1.0) * alpha
        k += 1
    nu, skew = zero, zero
    if model.distribution is not Distribution.NORMAL:
        largest = LARGEST_NU if model.distribution is Distribution.T else LARGEST_SKEWED_NU
        low, high = 1.0 / largest, 1.0 / SMALLEST_NU
        nu = 1.0 / (low + (high - low) * torch.sin(x[:, k]) ** 2)
    if model.distribution is Distribution.SKEW_T:
        skew = LARGEST_SKEW * torch.sin(x[:, k + 1])
    return torch.stack([mu, omega, alpha, gamma, beta, nu, skew], dim=1)


def variances(theta: Tensor, series: DeviceSeries) -> tuple[Tensor, Tensor]:
    """Return residuals (n_series, n) and variances (n_series, n + 1), the next period's last."""
    mu, omega, alpha, gamma, beta = (theta[:, i : i + 1] for i in range(5))
    e = (series.log_return - mu) * series.weight
    start = series.start[:, None]
    if series.model.start_variance is StartVariance.MEAN_SQUARE:
        start = (e**2).sum(1, keepdim=True) / series.weight.sum(1, keepdim=True)
    first = omega + (alpha + 0.5 * gamma + beta) * start
    h = torch.cat([first, omega + (alpha + gamma * (e < 0.0)) * e**2], dim=1)
    reach, power = 1, beta
    while reach < h.shape[1]:
        h = torch.cat([h[:, :reach], h[:, reach:] + power * h[:, :-reach]], dim=1)
        reach, power = 2 * reach, power * power
    return e, h


def log_likelihood(theta: Tensor, series: DeviceSeries) -> Tensor:
    """Return the log-likelihood of every series, shape (n_series,)."""
    e, h = variances(theta, series)
    h = h[:, :-1]
    constant, density = _log_density(e, h, theta, series.model.distribution)
    each = (constant[:, None] + density - 0.5 * torch.log(h)) * series.weight
    return each.sum(1)


def _log_density(
    e: Tensor, h: Tensor, theta: Tensor, distribution: Distribution
) -> tuple[Tensor, Tensor]:
    """Return the constant of the law, and the rest of its log density at every residual."""
    if distribution is Distribution.NORMAL:
        return torch.full_like(theta[:, 0], -0.9189385332046727), -0.5 * e**2 / h  # ln(2 pi) / 2
    nu, skew = theta[:, 5], theta[:, 6]
    constant = torch.lgamma(0.5 * (nu + 1.0)) - torch.lgamma(0.5 * nu)
    constant = constant - 0.5 * torch.log(torch.pi * (nu - 2.0))
    if distribution is Distribution.T:
        square = e**2 / h
    else:
        a = 4.0 * skew * torch.exp(constant) * (nu - 2.0) / (nu - 1.0)
        b = torch.sqrt(1.0 + 3.0 * skew**2 - a**2)
        y = b[:, None] * e / torch.sqrt(h) + a[:, None]
        square = (y / (1.0 + torch.where(y < 0.0, -1.0, 1.0) * skew[:, None])) ** 2
        constant = constant + torch.log(b)
    spread = torch.log1p(square / (nu[:, None] - 2.0))
    return constant, -0.5 * (nu[:, None] + 1.0) * spread
