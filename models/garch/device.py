"""Estimate all series at once on a device of torch: the search of the compiled code, in batches.

For tens of thousands of series on a GPU; on a processor the compiled code is far faster. EGARCH's
recursion is not linear and stays there.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InputError
from .device_likelihood import DeviceSeries, log_likelihood, parameters, variances
from .kernel_fit import (
    AT_BOUND,
    CONSTANT,
    CONVERGED,
    GRID_GARCH,
    GRID_GJR,
    GROUP,
    NOT_CONVERGED,
    START_SHAPE,
    TOO_SHORT,
)
from .kernel_passes import Series
from .kernel_rows import FEWEST, prepare, varies
from .kernel_search import LEVEL
from .kernel_transform import to_free
from .options import GarchModel, Mean, Volatility
from .running import Estimates, rescaled

Array = NDArray[np.float64]
Tensor = torch.Tensor

_MAX_ITERATIONS = 200
_ENOUGH = 1e-12  # log-likelihood
_SMALLEST_STEP = 1e-9
_ARMIJO = 1e-4
_DIFFERENCE = 1e-5
_BOUND = 2e-3  # sine of twice an angle: a share of a millionth off its bound


def fit_on_device(
    log_return: Array,
    rows: NDArray[np.int64],
    model: GarchModel,
    *,
    start: Array | None = None,
    device: str,
) -> Estimates:
    """Estimate every row as :func:`~.running.fit_all` does, to the same solutions.

    Parameters
    ----------
    log_return, rows, model, start
        As there.
    device : str
        For torch, for example "cuda" or "cpu".

    Raises
    ------
    InputError
        If the model is EGARCH, or torch does not know the device.
    """
    if model.volatility is Volatility.EGARCH:
        raise InputError(
            "device must be None for EGARCH: its recursion is not linear, and runs on the "
            f"processor only; was {device!r}"
        )
    try:
        where = torch.device(device)
        torch.zeros(1, device=where)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device must be one that torch has here, was {device!r}: {error}"
        ) from None
    status = np.array([_refusal(log_return[first : first + n]) for first, n in rows])
    usable = np.flatnonzero(status == CONVERGED)
    theta = np.full((len(rows), 7), np.nan)
    value, ahead = np.full((2, len(rows)), np.nan)
    passes = np.zeros(len(rows), dtype=np.int64)
    if len(usable):
        series, scale = _load(log_return, rows[usable], model, where)
        given = None
        if start is not None and not np.isnan(start[usable, 0]).any():
            given = rescaled(start[usable], 1.0 / scale, model)
        x, passes[usable] = _best(series, given)
        status[usable] = _verdict(x, series)
        with torch.no_grad():
            found = parameters(x, model)
            unit_value = log_likelihood(found, series).cpu().numpy()
            h = variances(found, series)[1]
            last = series.weight.sum(1).long()
            unit_ahead = h.gather(1, last[:, None])[:, 0].cpu().numpy()
        theta[usable] = rescaled(found.cpu().numpy(), scale, model)
        value[usable] = unit_value - rows[usable, 1] * np.log(scale)
        ahead[usable] = unit_ahead * scale**2
    return Estimates(
        theta=theta, log_likelihood=value, next_variance=ahead, status=status, passes=passes
    )


def _refusal(own: Array) -> int:
    if len(own) < FEWEST:
        return TOO_SHORT
    return CONVERGED if varies(own) else CONSTANT


def _load(
    log_return: Array, rows: NDArray[np.int64], model: GarchModel, device: torch.device
) -> tuple[DeviceSeries, Array]:
    """Return the scaled series on the device, and their scales."""
    n_periods = int(rows[:, 1].max())
    table, weight = np.zeros((2, len(rows), n_periods))
    start, scale = np.empty((2, len(rows)))
    plan = model.plan()._replace(exponential=True)
    for i, (first, n) in enumerate(rows):
        series, scale[i] = prepare(log_return[first : first + n], plan, np.empty((2, 0)))
        table[i, :n], weight[i, :n], start[i] = series.log_return, 1.0, series.start
    loaded = DeviceSeries(
        model=model,
        log_return=torch.as_tensor(table, device=device),
        weight=torch.as_tensor(weight, device=device),
        start=torch.as_tensor(start, device=device),
    )
    return loaded, scale


def _best(series: DeviceSeries, given: Array | None) -> tuple[Tensor, NDArray[np.int64]]:
    """Return the best solution of all starts per series, and the passes that it took."""
    n_series = len(series.log_return)
    if given is not None:
        starts = [_free(given, series)]
    else:
        grid = GRID_GARCH if series.model.volatility is Volatility.GARCH else GRID_GJR
        groups = [grid[k : k + GROUP] for k in range(0, len(grid), GROUP)]
        starts = [_best_of(group, series) for group in groups]
    best, highest = starts[0], torch.full((n_series,), -torch.inf, dtype=torch.float64)
    highest = highest.to(best.device)
    passes = np.zeros(n_series, dtype=np.int64)
    for x in starts:
        there, value, taken = _search(x, series)
        better = value > highest
        best = torch.where(better[:, None], there, best)
        highest = torch.where(better, value, highest)
        passes += taken
    return best, passes


def _best_of(group: Array, series: DeviceSeries) -> Tensor:
    """Return coordinates of the likeliest of some starts, series by series."""
    n_series = len(series.log_return)
    mean = ((series.log_return * series.weight).sum(1) / series.weight.sum(1)).cpu().numpy()
    theta = np.zeros((len(group), n_series, 7))
    theta[:, :, 0] = mean if series.model.mean is Mean.CONSTANT else 0.0
    theta[:, :, 1:5] = group[:, None, :]
    theta[:, :, 5:] = START_SHAPE
    with torch.no_grad():
        values = [
            log_likelihood(torch.as_tensor(row, device=series.start.device), series)
            for row in theta
        ]
        choice = torch.stack(values).argmax(0).cpu().numpy()
    return _free(theta[choice, np.arange(n_series)], series)


def _free(theta: Array, series: DeviceSeries) -> Tensor:
    """Return the free coordinates of parameters, on the device."""
    model = series.model
    x = np.empty((len(theta), len(model.param_names)))
    plan = model.plan()
    shell = Series(
        np.empty(0), plan.volatility, plan.law, 0.0, 1.0, 1.0, plan.free_mean, np.empty((2, 0))
    )
    for i in range(len(theta)):
        to_free(theta[i], shell, x[i])
    return torch.as_tensor(x, device=series.start.device)


def _evaluate(x: Tensor, series: DeviceSeries) -> tuple[Tensor, Tensor]:
    """Return minus the log-likelihood, infinite where it is no number, and its gradient."""
    x = x.detach().requires_grad_(True)
    value = -log_likelihood(parameters(x, series.model), series)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    value = value.detach()
    bad = ~torch.isfinite(value)
    return torch.where(bad, torch.inf, value), torch.where(bad[:, None], 0.0, gradient)


def _inverse_curvature(x: Tensor, gradient: Tensor, series: DeviceSeries) -> Tensor:
    """Return the inverse second derivatives, made positive definite, shape (n_series, n, n)."""
    columns = []
    for j in range(x.shape[1]):
        moved = x.clone()
        moved[:, j] += _DIFFERENCE
        columns.append((_evaluate(moved, series)[1] - gradient) / _DIFFERENCE)
    curvature = torch.stack(columns, dim=2)
    curvature = torch.nan_to_num(0.5 * (curvature + curvature.transpose(1, 2)))
    size, vectors = torch.linalg.eigh(curvature)
    floor = 1e-6 * size.abs().amax(1, keepdim=True) + 1e-12
    size = torch.maximum(size.abs(), floor)
    out: Tensor = (vectors / size[:, None, :]) @ vectors.transpose(1, 2)
    return out


def _search(x: Tensor, series: DeviceSeries) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    """Move every series' coordinates to a summit; return them, the values and the passes."""
    x = x.clone()
    value, gradient = _evaluate(x, series)
    inverse = _inverse_curvature(x, gradient, series)
    passes = torch.full((len(x),), 1 + x.shape[1], device=x.device)
    left = torch.arange(len(x), device=x.device)
    for _ in range(_MAX_ITERATIONS):
        direction = -(inverse[left] @ gradient[left, :, None])[:, :, 0]
        gain = -0.5 * (direction * gradient[left]).sum(1)
        left, direction = left[gain > _ENOUGH], direction[gain > _ENOUGH]
        if not len(left):
            break
        direction = direction / direction.abs().amax(1, keepdim=True).clamp(min=1.0)
        step, new, slope, tried = _line_search(
            (x[left], value[left], gradient[left]), direction, series.part(left)
        )
        passes[left] += tried
        moved = step > 0.0
        left, direction = left[moved], (direction * step[:, None])[moved]
        change = slope[moved] - gradient[left]
        x[left] += direction
        value[left], gradient[left] = new[moved], slope[moved]
        inverse[left] = _updated(inverse[left], direction, change)
    return x, -value, passes.cpu().numpy()


def _line_search(
    here: tuple[Tensor, Tensor, Tensor], direction: Tensor, series: DeviceSeries
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halve steps until each is low enough; zero where none is. Return passes too."""
    x, value, gradient = here
    slope = (direction * gradient).sum(1)
    step = torch.ones_like(value)
    new, there = _evaluate(x + direction, series)
    tried = torch.ones_like(step, dtype=torch.long)
    while True:
        # Differences below rounding are judged by the slope.
        flat = (new <= value + 1e-13 * value.abs()) & (
            (there * direction).sum(1).abs() <= slope.abs()
        )
        high = ~((new <= value + _ARMIJO * step * slope) | flat) & (step > _SMALLEST_STEP)
        again = torch.nonzero(high)[:, 0]
        if not len(again):
            break
        step[again] *= 0.4
        moved = x[again] + step[again, None] * direction[again]
        new[again], there[again] = _evaluate(moved, series.part(again))
        tried[again] += 1
    return torch.where(step > _SMALLEST_STEP, step, 0.0), new, there, tried


def _updated(inverse: Tensor, step: Tensor, change: Tensor) -> Tensor:
    """Return the inverse curvature after BFGS, unchanged where the slope did not rise."""
    along = (step * change).sum(1)
    moved = (inverse @ change[:, :, None])[:, :, 0]
    size = (change * moved).sum(1)
    good = (along > 1e-12 * torch.sqrt((size * along).abs())) & (size > 0.0)
    safe = torch.where(good, along, 1.0)
    outer = step[:, :, None] * step[:, None, :]
    cross = step[:, :, None] * moved[:, None, :]
    weight = ((1.0 + size / safe) / safe)[:, None, None]
    new = inverse + weight * outer - (cross + cross.transpose(1, 2)) / safe[:, None, None]
    out: Tensor = torch.where(good[:, None, None], new, inverse)
    return out


def _verdict(x: Tensor, series: DeviceSeries) -> NDArray[np.int64]:
    """Return the codes of the verdicts; a bound is known by its angle."""
    value, gradient = _evaluate(x, series)
    n = series.weight.sum(1)
    level = torch.isfinite(value) & (gradient.abs().amax(1) <= LEVEL * n)
    first = 2 if series.model.mean is Mean.CONSTANT else 1
    last = x.shape[1] - (1 if series.model.param_names[-1] == "lambda" else 0)
    bound = (torch.sin(2.0 * x[:, first:last]).abs() < _BOUND).any(1)
    code = torch.where(level, torch.where(bound, AT_BOUND, CONVERGED), NOT_CONVERGED)
    out: NDArray[np.int64] = code.cpu().numpy().astype(np.int64)
    return out
