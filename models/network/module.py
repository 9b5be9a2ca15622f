"""The network itself: a trunk over state and sequence, and heads that start at zero.

Everything has a leading ensemble axis. Batched matrix products train all members in one pass, as
``torch.func.vmap`` over stacked modules does: the numbers are identical, the written-out form took
at most three quarters of the time (forward and backward, 5 members of 1,024 rows, one core), and
the weights are one plain tensor per layer to store.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .plan import KERNEL


@dataclass(frozen=True, kw_only=True)
class ModuleShape:
    """Sizes of the network.

    Attributes
    ----------
    n_members : int
        Networks trained side by side.
    n_inputs : int
        Columns of the standardised inputs, masks included.
    sequence_length, n_series, n_channels : int
        Own periods the convolution sees (0 for none), what it sees of each, and its width.
    n_hidden : int
        Width of both hidden layers.
    n_horizons, n_tails : int
        Forecast horizons and tail probabilities.
    input_dropout, dropout : float
        Probability that an input, or a hidden unit, is left out in training.
    """

    n_members: int
    n_inputs: int
    sequence_length: int
    n_series: int
    n_channels: int
    n_hidden: int
    n_horizons: int
    n_tails: int
    input_dropout: float
    dropout: float

    @property
    def n_levels(self) -> int:
        """Layers of the convolution: the length is this power of the kernel."""
        return round(math.log(self.sequence_length, KERNEL)) if self.sequence_length else 0


@dataclass(frozen=True, kw_only=True)
class ShapeOutputs:
    """What the heads for tails and probabilities say; M members, B rows, H horizons, P tails.

    Attributes
    ----------
    quantile, shortfall : Tensor, shape (M, B, 2, H, P)
        Value at risk and expected shortfall of the standardised loss, axis 2 = (lower, upper);
        tails from the rarest to the most frequent; positive and never crossing.
    steepness, shift : Tensor, shape (M, B, 2, H)
        Axis 2 = (variance, liquidity cost): the log odds that the outcome exceeds a threshold are
        ``steepness * (log forecast - log threshold) + shift``; the steepness is positive.
    """

    quantile: Tensor
    shortfall: Tensor
    steepness: Tensor
    shift: Tensor

    def log_odds(self, distance: Tensor, *, of: int) -> Tensor:
        """Return log odds, shape (M, B, H), for log distances of that shape (or one for all M)."""
        return self.steepness[:, :, of] * distance + self.shift[:, :, of]


class RegimeModule(nn.Module):
    """Trunk and heads; the last layers start at zero, so that training starts at the skip."""

    def __init__(self, shape: ModuleShape, *, generator: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        m, hidden, h = shape.n_members, shape.n_hidden, shape.n_horizons
        width = shape.n_inputs + (shape.n_channels if shape.n_levels else 0)
        n_in = [shape.n_series] + [shape.n_channels] * max(0, shape.n_levels - 1)
        self.convolution = nn.ParameterList(
            _normal((m, 1), KERNEL * n, shape.n_channels, generator) for n in n_in[: shape.n_levels]
        )
        self.first_weight = _normal((m,), width, hidden, generator)
        self.first_bias = nn.Parameter(torch.zeros(m, 1, hidden))
        self.second_weight = _normal((m,), hidden, hidden, generator)
        self.second_bias = nn.Parameter(torch.zeros(m, 1, hidden))
        self.correction_weight = nn.Parameter(torch.zeros(m, hidden, 2 * h))
        self.correction_bias = nn.Parameter(torch.zeros(m, 1, 2 * h))
        n_raw = 4 * h * (shape.n_tails + 1)
        self.shape_weight = nn.Parameter(torch.zeros(m, hidden, n_raw))
        self.shape_bias = nn.Parameter(torch.zeros(m, 1, n_raw))

    def hidden(
        self, x: Tensor, window: Tensor | None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Evaluate the trunk, shape (M, B, n_hidden); a generator switches dropout on.

        Parameters
        ----------
        x : Tensor, shape (M or 1, B, n_inputs)
            Standardised inputs.
        window : Tensor or None, shape (M or 1, B, sequence_length, n_series)
            Own periods, oldest first; None if the network looks at none.
        """
        x = self._drop(x.expand(self.shape.n_members, -1, -1), generator, self.shape.input_dropout)
        if window is not None:
            # A causal convolution whose dilation grows by its kernel, needed at the last period
            # only, is a tree: four neighbours become one, until one is left.
            for weight in self.convolution:
                window = window.reshape(*window.shape[:2], -1, KERNEL * window.shape[-1])
                window = functional.gelu(window @ weight)  # (M, B, length / 4, n_channels)
            x = torch.cat([x, window[:, :, 0]], dim=-1)
        hidden = functional.gelu(torch.baddbmm(self.first_bias, x, self.first_weight))
        hidden = self._drop(hidden, generator, self.shape.dropout)
        hidden = functional.gelu(torch.baddbmm(self.second_bias, hidden, self.second_weight))
        return self._drop(hidden, generator, self.shape.dropout)

    def correction(self, hidden: Tensor) -> Tensor:
        """Return what the trunk adds to the skip, shape (M, B, 2, H); 2 = (variance, cost)."""
        raw = torch.baddbmm(self.correction_bias, hidden, self.correction_weight)
        return raw.reshape(*raw.shape[:2], 2, self.shape.n_horizons)

    def shapes(self, hidden: Tensor) -> ShapeOutputs:
        """Evaluate the heads for tails and probabilities."""
        h, p = self.shape.n_horizons, self.shape.n_tails
        raw = torch.baddbmm(self.shape_bias, hidden, self.shape_weight)
        tails, steepness, shift = torch.split(raw, [4 * h * p, 2 * h, 2 * h], dim=-1)
        steps = functional.softplus(
            tails.reshape(*tails.shape[:2], 2, 2, h, p)
        )  # (M, B, 2, 2, H, P)
        quantile, shortfall = _ordered_tails(steps[:, :, 0], steps[:, :, 1])
        return ShapeOutputs(
            quantile=quantile,
            shortfall=shortfall,
            steepness=functional.softplus(steepness).reshape(*raw.shape[:2], 2, h),
            shift=shift.reshape(*raw.shape[:2], 2, h),
        )

    @staticmethod
    def _drop(values: Tensor, generator: torch.Generator | None, share: float) -> Tensor:
        if generator is None or share == 0.0:
            return values
        mask = torch.rand(values.shape, generator=generator, device=values.device) >= share
        return values * mask / (1.0 - share)


def _ordered_tails(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Build tails from positive steps, shape (..., P): each rarer one starts where the last ended.

    Written out, because cumulative maxima have no gradient that is deterministic on a GPU.
    """
    quantile = first[..., -1]
    shortfall = quantile + second[..., -1]
    quantiles, shortfalls = [quantile], [shortfall]
    for k in range(first.shape[-1] - 2, -1, -1):
        quantile = quantile + first[..., k]
        shortfall = torch.maximum(quantile, shortfall) + second[..., k]
        quantiles.insert(0, quantile)
        shortfalls.insert(0, shortfall)
    return torch.stack(quantiles, dim=-1), torch.stack(shortfalls, dim=-1)


def _normal(
    lead: tuple[int, ...], n_in: int, n_out: int, generator: torch.Generator
) -> nn.Parameter:
    draw: Tensor = torch.randn(*lead, n_in, n_out, generator=generator)
    return nn.Parameter(draw / math.sqrt(n_in))
