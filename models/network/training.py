"""Training of the network: one loop, used twice; nothing hidden.

First the trunk learns what to add to the skips; then, on a trunk that no longer moves, the heads
learn tails and probabilities. Both stop on days that follow the rows they learn from.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..forecast import TAIL_PROBABILITIES
from .losses import log_loss, qlike, tail_loss
from .module import ModuleShape, RegimeModule
from .plan import TrainingPlan
from .rows import Batch, Table

_HEADS = ("shape_weight", "shape_bias")  # what the second phase trains
_HEAD_RATE = 3.0  # times the trunk's learning rate: a frozen trunk makes the problem nearly convex
_TAIL_WEIGHT, _PROBABILITY_WEIGHT = 0.3, 1.0


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Compute sums in a fixed order: on one thread of a CPU, by deterministic kernels of a GPU."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    if device.type == "cuda":
        # The library of matrix products reads this when it starts; it is deterministic only then.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def train(
    module: RegimeModule,
    training: Table,
    validation: Table,
    *,
    plan: TrainingPlan,
    epochs: int,
    generator: torch.Generator,
) -> None:
    """Train a module in place, first the trunk and then the heads.

    Parameters
    ----------
    module : RegimeModule
        Freshly drawn, or as an earlier fit left it.
    training, validation : Table
        Rows to learn from, and the later ones that decide when to stop.
    plan : TrainingPlan
        How.
    epochs : int
        Passes of the first phase at most.
    generator : torch.Generator
        On the device of the tables; the only source of chance.
    """
    loop = _Loop(module, training, plan=plan, generator=generator)
    held_out = validation.pick(validation.all_rows())

    def trunk_loss(batch: Batch, generator: torch.Generator | None) -> Tensor:
        return _trunk_loss(module, batch, plan, generator, horizons=training.horizons)

    def trunk_score() -> float:
        # The ensemble's own loss: what one member has by luck, the mean has not.
        correction = module.correction(module.hidden(held_out.lead_x, held_out.lead_window))
        return float(_corrected_loss(correction.mean(0, keepdim=True), held_out, plan).sum())

    trunk = [p for name, p in module.named_parameters() if name not in _HEADS]
    loop.descend(trunk, trunk_loss, trunk_score, epochs=epochs, rate=plan.learning_rate)
    _start_heads(module, training)

    def head_loss(batch: Batch, generator: torch.Generator | None) -> Tensor:
        return _head_loss(module, batch, generator)

    def head_score() -> float:
        return float(_head_loss(module, held_out, None).sum())

    heads = [p for name, p in module.named_parameters() if name in _HEADS]
    rate = _HEAD_RATE * plan.learning_rate
    loop.descend(heads, head_loss, head_score, epochs=plan.head_epochs, rate=rate)


class _Loop:
    """Stochastic gradient descent that ends with the best parameters it has seen."""

    def __init__(
        self,
        module: RegimeModule,
        training: Table,
        *,
        plan: TrainingPlan,
        generator: torch.Generator,
    ) -> None:
        self._module, self._training = module, training
        self._plan, self._generator = plan, generator

    def descend(
        self,
        parameters: list[nn.Parameter],
        loss: Callable[[Batch, torch.Generator | None], Tensor],
        score: Callable[[], float],
        *,
        epochs: int,
        rate: float,
    ) -> None:
        """Minimise the sum over members of `loss`, which has shape (M,), until `score` rises."""
        plan = self._plan
        n_steps = min(plan.max_steps, max(1, self._training.n_rows // plan.batch_size))
        optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=plan.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, epochs * n_steps))
        best = _scored(score)
        kept = [p.detach().clone() for p in parameters]
        since_best = 0
        for _ in range(epochs):
            order = self._orders()
            for step in range(n_steps):
                rows = order[:, step * plan.batch_size : (step + 1) * plan.batch_size]
                optimiser.zero_grad()
                total = loss(self._training.pick(rows), self._generator).sum()
                torch.autograd.backward(total, inputs=parameters)
                nn.utils.clip_grad_norm_(parameters, float(plan.n_members))
                optimiser.step()
                schedule.step()
            reached = _scored(score)
            if reached < best:
                best, since_best = reached, 0
                kept = [p.detach().clone() for p in parameters]
                continue
            since_best += 1
            if since_best >= plan.patience:
                break
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)

    def _orders(self) -> Tensor:
        """Rows in an order of its own for every member, shape (M, n_rows)."""
        device, n_rows = self._generator.device, self._training.n_rows
        return torch.stack(
            [
                torch.randperm(n_rows, generator=self._generator, device=device)
                for _ in range(self._plan.n_members)
            ]
        )


def _scored(score: Callable[[], float]) -> float:
    with torch.no_grad():
        return score()


def _trunk_loss(
    module: RegimeModule,
    batch: Batch,
    plan: TrainingPlan,
    generator: torch.Generator | None,
    *,
    horizons: Tensor,
) -> Tensor:
    hidden = module.hidden(batch.lead_x, batch.lead_window, generator=generator)
    correction = module.correction(hidden)
    shrinkage = _shrinkage(correction, horizons, plan)
    return _corrected_loss(correction, batch, plan) + shrinkage


def _corrected_loss(correction: Tensor, batch: Batch, plan: TrainingPlan) -> Tensor:
    variance = qlike(batch.base + correction[:, :, 0], batch.log_variance)
    cost = qlike(batch.cost_base + correction[:, :, 1], batch.log_cost)
    return (variance + plan.cost_weight * cost).mean(dim=1)


def _shrinkage(correction: Tensor, horizons: Tensor, plan: TrainingPlan) -> Tensor:
    """Prior of every member's correction on zero, shape (M,)."""
    square = (correction**2).mean(dim=1)  # (M, 2, H)
    return plan.shrinkage * ((square[:, 0] + plan.cost_weight * square[:, 1]) * horizons).mean(1)


def _head_loss(module: RegimeModule, batch: Batch, generator: torch.Generator | None) -> Tensor:
    with torch.no_grad():  # the trunk answers to the variance and the cost alone
        hidden = module.hidden(batch.lead_x, batch.lead_window, generator=generator)
        correction = module.correction(hidden)
        log_variance = batch.base + correction[:, :, 0]
        log_cost = batch.cost_base + correction[:, :, 1]
    shapes = module.shapes(hidden)
    tails = tail_loss(shapes, batch.scaled_return * torch.exp(-0.5 * log_variance))
    regimes = [
        log_loss(shapes.log_odds(log_variance - batch.threshold[..., k, :], of=0), label)
        for k, label in enumerate(batch.above.unbind(dim=-2))
    ]
    liquidity = log_loss(
        shapes.log_odds(log_cost - batch.cost_threshold, of=1), batch.liquidity_stress
    )
    probabilities = 0.5 * (regimes[0] + regimes[1]) + liquidity
    return (_TAIL_WEIGHT * tails + _PROBABILITY_WEIGHT * probabilities).mean(dim=1)


def _start_heads(module: RegimeModule, training: Table) -> None:
    """Start at the usual tails, and at thresholds that are a usual error apart."""
    rows = training.all_rows()
    batch = training.pick(rows)
    z = batch.scaled_return * torch.exp(-0.5 * batch.base)
    errors = torch.stack([batch.log_variance - batch.base, batch.log_cost - batch.cost_base])
    known = torch.isfinite(errors)
    square = torch.where(known, errors**2, 0.0).sum(1) / known.sum(1).clamp(min=1)  # (2, H)
    # A logistic law with this spread has the slope pi / sqrt(3) over it.
    steepness = torch.pi / (3.0 * square.clamp(min=1e-2)).sqrt()
    bias = torch.cat(
        [
            _tail_bias(z),
            _inverse_softplus(steepness).flatten(),
            torch.zeros_like(steepness.flatten()),
        ]
    )
    with torch.no_grad():
        module.shape_weight.zero_()
        module.shape_bias.copy_(bias.expand_as(module.shape_bias))


def _tail_bias(z: Tensor) -> Tensor:
    """Biases at which the heads give the empirical tails of standardised returns, flattened."""
    n_horizons, n_tails = z.shape[1], len(TAIL_PROBABILITIES)
    steps = torch.zeros(2, 2, n_horizons, n_tails, device=z.device)
    for side, sign in enumerate((-1.0, 1.0)):
        for h in range(n_horizons):
            loss = sign * z[:, h]
            loss = loss[torch.isfinite(loss)].sort().values
            end_quantile = end_shortfall = 0.0
            for k in range(n_tails - 1, -1, -1):
                beyond = loss[int((1.0 - TAIL_PROBABILITIES[k]) * len(loss)) :]
                quantile, shortfall = float(beyond[0]), float(beyond.mean())
                steps[0, side, h, k] = quantile - end_quantile
                steps[1, side, h, k] = shortfall - max(quantile, end_shortfall)
                end_quantile, end_shortfall = quantile, shortfall
    return _inverse_softplus(steps.clamp(min=1e-3)).flatten()


def _inverse_softplus(value: Tensor) -> Tensor:
    return torch.log(torch.expm1(value))


def make_module(
    shape: ModuleShape, *, generator: torch.Generator, start: dict[str, Tensor] | None
) -> RegimeModule:
    """Take the weights of an earlier fit, or draw some: on the CPU, the same for every device."""
    module = RegimeModule(shape, generator=generator)
    if start is not None:
        module.load_state_dict(start)
    return module
