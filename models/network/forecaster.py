"""The regime forecaster: one PyTorch network for all instruments and horizons.

A linear skip that starts at the pooled log-HAR, a small trunk that starts at zero, and heads for
the variance, the tails on both sides and the probabilities of stress. It is trained with QLIKE on
log variance, FZ0 on the tails and log loss on the labels, as an ensemble.

Training keeps its last months to know when to stop. What it learns is therefore taken as a
correction: its distance from the linear model it started at is added to one fitted on everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import NotEnoughHistoryError
from ...features import History
from ..forecast import Forecast
from ..pooled import usable_rows
from ..regressions.pooled_har import MIN_ROWS, PooledRegression, fit_pooled
from .module import HeadOutputs, ModuleShape, RegimeModule
from .training import TrainingPlan, make_rows, single_thread, train

_SKIP_PENALTY = 20.0  # ridge penalty of the skip's start, observations


@dataclass(frozen=True, kw_only=True)
class RegimeNetwork:
    """Specification of the network.

    Attributes
    ----------
    plan : TrainingPlan
        Sizes and training.
    refit_days : int
        Calendar days between two fits.
    """

    plan: TrainingPlan = field(default_factory=TrainingPlan)
    refit_days: int = 182

    @property
    def name(self) -> str:
        """``regime-network``."""
        return "regime-network"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedRegimeNetwork":
        """Train on the past; the last days of it decide when to stop.

        The training rows are those whose outcome was known before the stopping days begin, so
        that an embargo of one horizon lies between the two.
        """
        usable = usable_rows(history)
        stop = _validation_start(history, days=self.plan.validation_days)
        block = history.upto(stop)
        rows = usable[:stop]
        if int(rows.sum()) < MIN_ROWS:
            raise NotEnoughHistoryError(
                f"{self.name} needs {MIN_ROWS} rows before the {self.plan.validation_days} days it "
                f"stops on, found {int(rows.sum())}; start the forecasts later or add instruments"
            )
        skip = fit_pooled(block, rows=rows, penalty=_SKIP_PENALTY)
        held_out = usable & (np.arange(history.panel.n_periods) >= stop)[:, None]
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        with single_thread():
            module = train(
                make_rows(block, skip=skip, rows=rows),
                make_rows(history, skip=skip, rows=held_out),
                skip=skip,
                plan=self.plan,
                generator=generator,
            )
        return FittedRegimeNetwork(
            spec=self,
            start=skip,
            linear=fit_pooled(history, rows=usable, penalty=_SKIP_PENALTY),
            shape=module.shape,
            weights={
                name: value.double().numpy().copy() for name, value in module.state_dict().items()
            },
        )


@dataclass(frozen=True, kw_only=True)
class FittedRegimeNetwork:
    """Weights of the ensemble, where it started, and the linear model that it corrects.

    Attributes
    ----------
    spec : RegimeNetwork
        What was trained.
    start : PooledRegression
        Where training started; the network's inputs are scaled as it scales them.
    linear : PooledRegression
        The same regression on everything that was known at the fit.
    shape : ModuleShape
        Sizes of the module.
    weights : mapping of str to ndarray
        Its parameters; the first axis of each is the member.
    """

    spec: RegimeNetwork
    start: PooledRegression
    linear: PooledRegression
    shape: ModuleShape
    weights: Mapping[str, NDArray[np.float64]]

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to note."""
        return ()

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Evaluate the ensemble at each origin: mean of logs, of tails and of probabilities."""
        panel = history.panel
        rows = usable_rows(history)[origins]
        values, column = history.features.values[origins][rows], np.nonzero(rows)[1]
        x = self.start.scaler.transform(values)
        with single_thread(), torch.no_grad():
            outputs: HeadOutputs = self._module()(
                torch.as_tensor(x).expand(self.shape.n_members, *x.shape)
            )
        correction = _mean(outputs.log_variance) - self.start.predict_log(values)  # (B, H)
        log_ratio = self.linear.predict_log(values) + correction
        log_level = history.features.level[origins][rows][:, None]
        log_base = log_level + self.linear.offsets(panel.instruments)[column]
        variance = np.exp(log_ratio + log_base) * np.array(history.horizons)  # (B, H)
        sigma = np.sqrt(variance)[:, :, None]
        quantile, shortfall = _mean(outputs.quantile), _mean(outputs.shortfall)  # (B, 2, H, P)
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=_unflatten(variance, rows),
            value_at_risk_lower=_unflatten(quantile[:, 0] * sigma, rows),
            expected_shortfall_lower=_unflatten(shortfall[:, 0] * sigma, rows),
            value_at_risk_upper=_unflatten(quantile[:, 1] * sigma, rows),
            expected_shortfall_upper=_unflatten(shortfall[:, 1] * sigma, rows),
            stress_probability=_unflatten(_mean(torch.sigmoid(outputs.stress_logit)), rows),
            liquidity_stress_probability=self._liquidity(outputs, history, origins, rows),
        )

    def _module(self) -> RegimeModule:
        module = RegimeModule(self.shape, generator=torch.Generator()).double()
        module.load_state_dict({name: torch.as_tensor(w) for name, w in self.weights.items()})
        return module

    def _liquidity(
        self, outputs: HeadOutputs, history: History, origins: slice, rows: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Without traded volume there is no liquidity to speak of: NaN, not the base rate."""
        probability = _unflatten(_mean(torch.sigmoid(outputs.liquidity_logit)), rows)
        traded = np.isfinite(history.features.column("illiquidity_week")[origins])
        return np.where(traded[..., None], probability, np.nan)


def _mean(values: Tensor) -> NDArray[np.float64]:
    """Mean over the members (first axis)."""
    return np.asarray(values.mean(0).numpy(), dtype=np.float64)


def _unflatten(values: NDArray[np.float64], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Put the rows of the pooled table, shape (B, ...), back where they came from."""
    out = np.full((*rows.shape, *values.shape[1:]), np.nan)
    out[rows] = values
    return out


def _validation_start(history: History, *, days: int) -> int:
    """First panel row of the last `days` calendar days."""
    cut = history.panel.time[-1] - np.timedelta64(days, "D")
    return int(np.searchsorted(history.panel.time, cut, side="right"))
