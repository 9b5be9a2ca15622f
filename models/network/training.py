"""Training of the regime network: rows in, best weights out; one loop, nothing hidden."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...features import History
from ..forecast import TAIL_PROBABILITIES
from ..regressions.log_regression import log_target
from ..regressions.pooled_har import PooledRegression
from .module import HeadOutputs, ModuleShape, RegimeModule

_CLIP = 8.0  # logs by which a realised variance may exceed its forecast before the loss is cut
_SKIP_RATE = 0.1  # learning rate of the skip, which starts at its ridge solution, relative


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How the network is trained.

    Attributes
    ----------
    n_members : int
        Networks of the ensemble.
    n_hidden : int
        Width of the two hidden layers.
    dropout : float
        Probability that a hidden unit is left out.
    learning_rate, weight_decay : float
        Of AdamW; the rate falls to zero along a cosine.
    batch_size : int
        Rows per step and member.
    max_epochs : int
        Passes over the training rows at most.
    patience : int
        Passes without a better validation loss after which training ends.
    validation_days : int
        Calendar days at the end of the training block kept for stopping.
    tail_weight, stress_weight : float
        Weights of the tail loss and of the two stress losses beside QLIKE.
    """

    n_members: int = 5
    n_hidden: int = 32
    dropout: float = 0.1
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    batch_size: int = 1_024
    max_epochs: int = 20
    patience: int = 4
    validation_days: int = 120
    tail_weight: float = 0.1
    stress_weight: float = 0.2


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table of examples; B rows, H horizons; NaN where an outcome is not known.

    Attributes
    ----------
    x : Tensor, shape (B, n_inputs)
        Standardised inputs.
    log_ratio : Tensor, shape (B, H)
        Log forward variance per period relative to the level and the instrument's offset.
    scaled_return : Tensor, shape (B, H)
        Forward log return in units of the volatility at that level over the horizon.
    stress, liquidity_stress : Tensor, shape (B, H)
        Outcomes, 0.0 or 1.0.
    """

    x: Tensor
    log_ratio: Tensor
    scaled_return: Tensor
    stress: Tensor
    liquidity_stress: Tensor


def make_rows(history: History, *, skip: PooledRegression, rows: NDArray[np.bool_]) -> Rows:
    """Flatten the chosen cells, shape (n_periods, n_instruments), of a history."""
    targets, panel = history.targets, history.panel
    offset = skip.offsets(panel.instruments)[np.nonzero(rows)[1]]  # (B, H)
    log_ratio = np.stack([log_target(history, h)[rows] for h in history.horizons], axis=-1)
    log_base = history.features.level[rows][:, None] + offset
    sigma = np.exp(0.5 * log_base) * np.sqrt(np.array(history.horizons, dtype=np.float64))
    return Rows(
        x=_single(skip.scaler.transform(history.features.values[rows])),
        log_ratio=_single(log_ratio - offset),
        scaled_return=_single(targets.log_return[rows] / sigma),
        stress=_single(targets.stress[rows]),
        liquidity_stress=_single(targets.liquidity_stress[rows]),
    )


def _single(values: NDArray[np.float64]) -> Tensor:
    # Training in single precision takes half the time; forecasts are made in double.
    return torch.as_tensor(values, dtype=torch.float32)


def train(
    training: Rows,
    validation: Rows,
    *,
    skip: PooledRegression,
    plan: TrainingPlan,
    generator: torch.Generator,
) -> RegimeModule:
    """Train the ensemble; return each member at its best validation loss."""
    module = _start(training, skip, plan, generator)
    optimiser = _optimiser(module, plan)
    n_rows = len(training.x)
    steps_per_epoch = max(1, n_rows // plan.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, plan.max_epochs * steps_per_epoch
    )
    best_loss = _losses(module(_spread(validation.x, plan)), validation, plan).detach()
    best_state = _copy(module)
    since_best = 0
    for _ in range(plan.max_epochs):
        order = torch.stack(
            [torch.randperm(n_rows, generator=generator) for _ in range(plan.n_members)]
        )  # (M, N): each member reads the rows in its own order
        for step in range(steps_per_epoch):
            batch = order[:, step * plan.batch_size : (step + 1) * plan.batch_size]
            optimiser.zero_grad()
            outputs = module(training.x[batch], generator=generator)
            torch.autograd.backward(_losses(outputs, _pick(training, batch), plan).sum())
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0 * plan.n_members)
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            loss = _losses(module(_spread(validation.x, plan)), validation, plan)
        better = loss < best_loss  # (M,): every member keeps its own best moment
        best_loss = torch.where(better, loss, best_loss)
        for name, value in module.state_dict().items():
            best_state[name][better] = value[better]
        since_best = 0 if bool(better.any()) else since_best + 1
        if since_best >= plan.patience:
            break
    module.load_state_dict(best_state)
    return module


@contextmanager
def single_thread() -> Iterator[None]:
    """Run torch on one thread: sums in a fixed order, and workers that share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _start(
    training: Rows, skip: PooledRegression, plan: TrainingPlan, generator: torch.Generator
) -> RegimeModule:
    """Build the module at the ridge solution, the usual tails and the usual odds of stress."""
    shape = ModuleShape(
        n_members=plan.n_members,
        n_inputs=training.x.shape[1],
        n_hidden=plan.n_hidden,
        n_horizons=training.log_ratio.shape[1],
        n_tails=len(TAIL_PROBABILITIES),
        dropout=plan.dropout,
    )
    module = RegimeModule(shape, generator=generator)
    weight = np.stack([fit.coefficient for fit in skip.fits], axis=-1)
    bias = np.array([fit.intercept + np.log(fit.correction) for fit in skip.fits])
    with torch.no_grad():
        module.skip_weight.add_(_single(weight))
        module.skip_bias.add_(_single(bias))
        fitted = training.x @ module.skip_weight[0] + module.skip_bias[0]
        z = training.scaled_return * torch.exp(-0.5 * fitted)
        no_change = torch.zeros(shape.n_horizons)
        odds = [_log_odds(training.stress), _log_odds(training.liquidity_stress)]
        module.head_bias.add_(torch.cat([no_change, _tail_bias(z), *odds]))
    return module


def _tail_bias(z: Tensor) -> Tensor:
    """Biases at which the heads give the empirical tails of standardised returns, flattened."""
    n_horizons, tails = z.shape[1], torch.tensor(TAIL_PROBABILITIES)
    steps = torch.empty(2, 2, n_horizons, len(tails))
    for side, sign in enumerate((-1.0, 1.0)):
        for h in range(n_horizons):
            loss = sign * z[:, h]
            loss = loss[torch.isfinite(loss)]
            quantile = torch.quantile(loss, 1.0 - tails)
            beyond = torch.stack([loss[loss >= q].mean() for q in quantile]) - quantile
            below = torch.cat([quantile[1:], torch.zeros(1)])
            steps[0, side, h] = quantile - below
            steps[1, side, h] = beyond
    # softplus(x) = step has the solution x = log(exp(step) - 1).
    return torch.log(torch.expm1(steps.clamp(min=1e-3))).flatten()


def _log_odds(label: Tensor) -> Tensor:
    known = torch.isfinite(label)
    base = torch.where(known, label, 0.0).sum(0) / known.sum(0).clamp(min=1)
    return torch.logit(base.clamp(0.01, 0.99))


def _optimiser(module: RegimeModule, plan: TrainingPlan) -> torch.optim.AdamW:
    skip = [module.skip_weight, module.skip_bias]
    rest = [p for name, p in module.named_parameters() if not name.startswith("skip")]
    groups: list[dict[str, Any]] = [
        {"params": skip, "lr": plan.learning_rate * _SKIP_RATE, "weight_decay": 0.0},
        {"params": rest},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, weight_decay=plan.weight_decay)


def _losses(outputs: HeadOutputs, rows: Rows, plan: TrainingPlan) -> Tensor:
    """Total loss of every member, shape (M,)."""
    stress = _log_loss(outputs.stress_logit, rows.stress)
    liquidity = _log_loss(outputs.liquidity_logit, rows.liquidity_stress)
    return (
        _qlike(outputs.log_variance, rows.log_ratio)
        + plan.tail_weight * _tail_loss(outputs, rows.scaled_return)
        + plan.stress_weight * (stress + liquidity)
    )


def _qlike(log_variance: Tensor, log_ratio: Tensor) -> Tensor:
    known = torch.isfinite(log_ratio)
    u = (torch.where(known, log_ratio, 0.0) - log_variance).clamp(max=_CLIP)
    return _masked_mean(torch.exp(u) - u - 1.0, known)


def _tail_loss(outputs: HeadOutputs, scaled_return: Tensor) -> Tensor:
    """FZ0 loss (Patton, Ziegel and Chen 2019) of the standardised returns, both sides.

    The volatility is detached: the variance head answers to QLIKE alone.
    """
    known = torch.isfinite(scaled_return)
    filled = torch.where(known, scaled_return, 0.0)
    z = filled * torch.exp(-0.5 * outputs.log_variance.detach())  # (M, B, H)
    loss = torch.stack([-z, z], dim=2)[..., None]  # (M, B, 2, H, 1)
    tails = torch.tensor(TAIL_PROBABILITIES)
    q, e = outputs.quantile, outputs.shortfall
    value = torch.relu(loss - q) / (tails * e) + q / e + torch.log(e) - 1.0
    return _masked_mean(value, known.expand_as(z)[:, :, None, :, None])


def _log_loss(logit: Tensor, label: Tensor) -> Tensor:
    known = torch.isfinite(label)
    filled = torch.where(known, label, 0.0).expand_as(logit)
    each = functional.binary_cross_entropy_with_logits(logit, filled, reduction="none")
    return _masked_mean(each, known)


def _masked_mean(values: Tensor, known: Tensor) -> Tensor:
    """Mean over all axes but the first of the known values; zero where nothing is known.

    What is not known was filled before the loss was computed, so that its gradient is zero and
    not NaN.
    """
    weight = known.expand_as(values).to(values.dtype).flatten(1)
    return (values.flatten(1) * weight).sum(1) / weight.sum(1).clamp(min=1.0)


def _spread(x: Tensor, plan: TrainingPlan) -> Tensor:
    return x.expand(plan.n_members, *x.shape)


def _pick(rows: Rows, index: Tensor) -> Rows:
    return Rows(
        x=rows.x,
        log_ratio=rows.log_ratio[index],
        scaled_return=rows.scaled_return[index],
        stress=rows.stress[index],
        liquidity_stress=rows.liquidity_stress[index],
    )


def _copy(module: RegimeModule) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
