"""Training rows: the inputs of the network beside what happened."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...features import History
from ..regressions.log_regression import TARGET_FLOOR
from .inputs import Inputs, Windows
from .skip import LinearSkip, SkipData

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """What happened after B origins, relative to what was usual; NaN where not known.

    Attributes
    ----------
    variance, cost : ndarray, shape (B, H)
        Variance per period over the instrument's level; liquidity cost over that of the last
        ninety days.
    scaled_return : ndarray, shape (B, H)
        Return over the volatility of the horizon at the level.
    threshold : ndarray, shape (B, 2, H)
        Log variance per period over the level above which it is (elevated, stressed).
    cost_threshold : ndarray, shape (B, H)
        Log illiquidity above which it is stressed.
    above : ndarray, shape (B, 2, H)
        1.0 where the variance exceeded the thresholds.
    liquidity_stress : ndarray, shape (B, H)
        1.0 where the illiquidity exceeded its threshold.
    """

    variance: Values
    cost: Values
    scaled_return: Values
    threshold: Values
    cost_threshold: Values
    above: Values
    liquidity_stress: Values


def outcomes_of(history: History, inputs: Inputs) -> Outcomes:
    """Look up the outcomes of the origins of some inputs, as far as the history knows them."""
    rows = np.zeros(history.panel.close.shape, dtype=bool)
    rows[: len(inputs.rows)] = inputs.rows
    targets = history.targets
    usual = np.exp(inputs.level)[:, None] * np.array(history.horizons)
    regime = targets.regime[rows]
    known = np.isfinite(regime)
    with np.errstate(divide="ignore"):
        threshold = np.log(
            np.stack([targets.elevated_threshold[rows], targets.stress_threshold[rows]], axis=1)
            / usual[:, None]
        )
    return Outcomes(
        variance=targets.variance[rows] / usual,
        cost=targets.liquidity_cost[rows] / targets.liquidity_cost_level[rows],
        scaled_return=targets.log_return[rows] / np.sqrt(usual),
        threshold=threshold,
        cost_threshold=targets.illiquidity_threshold[rows],
        above=np.stack([np.where(known, regime >= n, np.nan) for n in (1.0, 2.0)], axis=1),
        liquidity_stress=targets.liquidity_stress[rows],
    )


def skip_data(
    history: History, inputs: Inputs, ratio: Values, *, wide: NDArray[np.bool_]
) -> SkipData:
    """Return what a skip is fitted on; `wide` are the inputs that half of it sees."""
    return SkipData(
        x=inputs.x,
        wide=wide,
        ratio=ratio,
        period=np.nonzero(inputs.rows)[0],
        column=inputs.column,
        instruments=history.panel.instruments,
        horizons=history.horizons,
    )


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Examples on the device; the first axis of each is B, or (M, B) when members differ.

    Attributes
    ----------
    x : Tensor, shape (B, n_inputs)
        Standardised inputs.
    window : Tensor or None, shape (B, length, n_channels)
        Own periods.
    base, cost_base : Tensor, shape (B, H)
        What the skips say: logs, relative to what is usual.
    log_variance, log_cost : Tensor, shape (B, H)
        Logs of the outcomes.
    scaled_return, above, threshold, cost_threshold, liquidity_stress : Tensor
        As in :class:`Outcomes`.
    """

    x: Tensor
    window: Tensor | None
    base: Tensor
    cost_base: Tensor
    log_variance: Tensor
    log_cost: Tensor
    scaled_return: Tensor
    above: Tensor
    threshold: Tensor
    cost_threshold: Tensor
    liquidity_stress: Tensor

    @property
    def lead_x(self) -> Tensor:
        """Inputs with the members' axis, which has length one where all see the same rows."""
        return self.x if self.x.ndim == 3 else self.x[None]

    @property
    def lead_window(self) -> Tensor | None:
        """Windows with the members' axis."""
        if self.window is None or self.window.ndim == 4:
            return self.window
        return self.window[None]


class Table:
    """All examples on the device, from which batches are picked.

    Parameters
    ----------
    inputs : Inputs
        B origins.
    outcomes : Outcomes
        What followed.
    skip : LinearSkip
        Of the variance.
    cost_skip : LinearSkip or None
        Of the liquidity cost; None stands for "as usual".
    instruments : tuple of str
        Names in column order.
    horizons : tuple of int
        Numbers of own periods.
    device : torch.device
        Where to.
    """

    def __init__(
        self,
        inputs: Inputs,
        outcomes: Outcomes,
        *,
        skip: LinearSkip,
        cost_skip: LinearSkip | None,
        instruments: tuple[str, ...],
        horizons: tuple[int, ...],
        device: torch.device,
    ) -> None:
        base = skip.predict(inputs.x) + skip.offsets(instruments)[inputs.column]
        cost_base = np.zeros_like(base)
        if cost_skip is not None:
            offset = cost_skip.offsets(instruments)[inputs.column]
            cost_base = cost_skip.predict(inputs.x) + offset
        self._device = device
        self.horizons = torch.tensor(horizons, dtype=torch.float32, device=device)
        self._windows = _WindowsOnDevice(inputs.windows, device)
        arrays = {
            "x": inputs.x,
            "base": base,
            "cost_base": cost_base,
            "log_variance": np.log(np.maximum(outcomes.variance, TARGET_FLOOR)),
            "log_cost": np.log(np.maximum(outcomes.cost, TARGET_FLOOR)),
            "scaled_return": outcomes.scaled_return,
            "above": outcomes.above,
            "threshold": outcomes.threshold,
            "cost_threshold": outcomes.cost_threshold,
            "liquidity_stress": outcomes.liquidity_stress,
        }
        # Training in single precision takes half the time; forecasts are made in double.
        self._tensors = {
            name: torch.as_tensor(array, dtype=torch.float32, device=device)
            for name, array in arrays.items()
        }

    @property
    def n_rows(self) -> int:
        """Number of examples."""
        return len(self._tensors["x"])

    def all_rows(self) -> Tensor:
        """Return the index of every example."""
        return torch.arange(self.n_rows, device=self._device)

    def pick(self, index: Tensor) -> Batch:
        """Return the examples at `index`, of shape (B,) or (M, B)."""
        picked = {name: tensor[index] for name, tensor in self._tensors.items()}
        return Batch(window=self._windows.gather(index), **picked)


class _WindowsOnDevice:
    def __init__(self, windows: Windows, device: torch.device) -> None:
        self._values = torch.as_tensor(windows.values, dtype=torch.float32, device=device)
        self._last = torch.as_tensor(windows.last, device=device)
        self._steps = torch.arange(1 - windows.length, 1, device=device)

    def gather(self, index: Tensor) -> Tensor | None:
        if len(self._steps) == 0:
            return None
        picked: Tensor = self._values[self._last[index][..., None] + self._steps]
        return picked
