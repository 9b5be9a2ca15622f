"""The network of the regime forecaster: a linear skip, a small trunk, three kinds of heads.

Everything has a leading ensemble axis: the members are trained side by side in one pass, which
on a CPU costs little more than training one.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class ModuleShape:
    """Sizes of the network.

    Attributes
    ----------
    n_members : int
        Networks trained side by side.
    n_inputs : int
        Columns of the standardised inputs, masks included.
    n_hidden : int
        Width of both hidden layers.
    n_horizons, n_tails : int
        Forecast horizons and tail probabilities.
    dropout : float
        Probability that a hidden unit is left out in training.
    """

    n_members: int
    n_inputs: int
    n_hidden: int
    n_horizons: int
    n_tails: int
    dropout: float


@dataclass(frozen=True, kw_only=True)
class HeadOutputs:
    """What the network says; M members, B rows, H horizons, P tail probabilities.

    Attributes
    ----------
    log_variance : Tensor, shape (M, B, H)
        Log variance per period relative to the instrument's level.
    quantile, shortfall : Tensor, shape (M, B, 2, H, P)
        Value at risk and expected shortfall of the standardised loss, axis 2 = (lower, upper);
        tails from the rarest to the most frequent; positive and never crossing.
    stress_logit, liquidity_logit : Tensor, shape (M, B, H)
        Log odds of the two kinds of stress.
    """

    log_variance: Tensor
    quantile: Tensor
    shortfall: Tensor
    stress_logit: Tensor
    liquidity_logit: Tensor


class RegimeModule(nn.Module):
    """Linear skip plus trunk; the last layer starts at zero, so training starts at the skip."""

    def __init__(self, shape: ModuleShape, *, generator: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        m, hidden = shape.n_members, shape.n_hidden
        self.n_raw = shape.n_horizons * (1 + 4 * shape.n_tails + 2)
        self.skip_weight = nn.Parameter(torch.zeros(m, shape.n_inputs, shape.n_horizons))
        self.skip_bias = nn.Parameter(torch.zeros(m, 1, shape.n_horizons))
        self.first_weight = nn.Parameter(_normal(m, shape.n_inputs, hidden, generator))
        self.first_bias = nn.Parameter(torch.zeros(m, 1, hidden))
        self.second_weight = nn.Parameter(_normal(m, hidden, hidden, generator))
        self.second_bias = nn.Parameter(torch.zeros(m, 1, hidden))
        self.head_weight = nn.Parameter(torch.zeros(m, hidden, self.n_raw))
        self.head_bias = nn.Parameter(torch.zeros(m, 1, self.n_raw))

    def forward(self, x: Tensor, *, generator: torch.Generator | None = None) -> HeadOutputs:
        """Evaluate inputs of shape (M, B, n_inputs); a generator switches dropout on."""
        hidden = functional.gelu(x @ self.first_weight + self.first_bias)
        hidden = self._drop(hidden, generator)
        hidden = functional.gelu(hidden @ self.second_weight + self.second_bias)
        hidden = self._drop(hidden, generator)
        raw = hidden @ self.head_weight + self.head_bias  # (M, B, n_raw)
        h, p = self.shape.n_horizons, self.shape.n_tails
        log_variance, tails, stress, liquidity = torch.split(raw, [h, 4 * h * p, h, h], dim=-1)
        skip = x @ self.skip_weight + self.skip_bias
        # Steps are positive and each tail starts where the more frequent one ends: no crossing.
        steps = functional.softplus(tails.reshape(*tails.shape[:2], 2, 2, h, p))
        quantile = steps[:, :, 0].flip(-1).cumsum(-1).flip(-1)  # (M, B, 2, H, P)
        shortfall = (quantile + steps[:, :, 1]).flip(-1).cummax(-1).values.flip(-1)
        return HeadOutputs(
            log_variance=skip + log_variance,
            quantile=quantile,
            shortfall=shortfall,
            stress_logit=stress,
            liquidity_logit=liquidity,
        )

    def _drop(self, hidden: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None or self.shape.dropout == 0.0:
            return hidden
        keep = 1.0 - self.shape.dropout
        mask = torch.rand(hidden.shape, generator=generator) < keep
        return hidden * mask / keep


def _normal(n_members: int, n_in: int, n_out: int, generator: torch.Generator) -> Tensor:
    draw: Tensor = torch.randn(n_members, n_in, n_out, generator=generator)
    return draw / math.sqrt(n_in)
