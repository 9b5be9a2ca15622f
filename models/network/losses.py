"""Losses of the heads; what is not known counts nothing, and has a gradient of zero, not NaN."""

import torch
from torch import Tensor
from torch.nn import functional

from ..forecast import TAIL_PROBABILITIES
from .module import ShapeOutputs

_CLIP = 8.0  # logs by which an outcome may exceed its forecast before the loss is cut


def qlike(log_forecast: Tensor, log_outcome: Tensor) -> Tensor:
    """QLIKE (Patton 2011) of logs of shape (M, B, H), mean over rows, shape (M, H)."""
    known = torch.isfinite(log_outcome)
    u = (torch.where(known, log_outcome, 0.0) - log_forecast).clamp(max=_CLIP)
    return _mean_over_rows(torch.exp(u) - u - 1.0, known)


def tail_loss(outputs: ShapeOutputs, scaled_return: Tensor) -> Tensor:
    """FZ0 (Patton, Ziegel and Chen 2019) of both sides and all tails, shape (M, H).

    Parameters
    ----------
    outputs : ShapeOutputs
        The tails.
    scaled_return : Tensor, shape (M, B, H)
        Forward returns over the volatility that was forecast for them.
    """
    known = torch.isfinite(scaled_return)
    z = torch.where(known, scaled_return, 0.0)
    loss = torch.stack([-z, z], dim=2)[..., None]  # (M, B, 2, H, 1)
    tails = torch.tensor(TAIL_PROBABILITIES, dtype=z.dtype, device=z.device)
    q, e = outputs.quantile, outputs.shortfall
    value = torch.relu(loss - q) / (tails * e) + q / e + torch.log(e) - 1.0
    return _mean_over_rows(value.mean(dim=(2, 4)), known)


def log_loss(log_odds: Tensor, label: Tensor) -> Tensor:
    """Log loss of labels 0.0 and 1.0, both of shape (M, B, H), mean over rows, shape (M, H)."""
    known = torch.isfinite(label) & torch.isfinite(log_odds)
    filled = torch.where(known, label, 0.0).expand_as(log_odds)
    odds = torch.where(known, log_odds, 0.0)
    each = functional.binary_cross_entropy_with_logits(odds, filled, reduction="none")
    return _mean_over_rows(each, known)


def _mean_over_rows(values: Tensor, known: Tensor) -> Tensor:
    weight = known.expand_as(values).to(values.dtype)
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1.0)
