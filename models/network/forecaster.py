"""The regime forecaster: one PyTorch network for all instruments and horizons.

A linear skip that knows what HAR and GARCH know, a small trunk over state and sequence that starts
at zero, and heads for the variance, the tails on both sides, the regimes, and the cost of trading.
The skip is fitted afresh on everything known at a fit. Training keeps the last months to know when
to stop, so that the trunk has learnt without them; what it adds to the skip carries over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError, NotEnoughHistoryError
from ...features import History, Standardiser, chosen_features, fit_standardiser
from ...markets import Panel
from ..forecast import TAIL_PROBABILITIES, Forecast
from ..forecaster import FittedForecaster
from ..garch import Distribution, FittedGarch, Garch, Volatility
from ..offsets import late_offsets, unseen
from ..pooled import usable_rows
from .inputs import CHANNELS, Inputs, make_inputs, with_garch
from .module import ModuleShape, RegimeModule
from .plan import TrainingPlan
from .prediction import Known, Origins, Prediction
from .rows import Table, outcomes_of, skip_data
from .skip import MIN_ROWS, LinearSkip, fit_skip
from .training import choose_device, exact, make_module, train

Values = NDArray[np.float64]

_GARCH = Garch(volatility=Volatility.GJR, distribution=Distribution.T, window=20_000)


@dataclass(frozen=True, kw_only=True)
class RegimeNetwork:
    """Specification of the network.

    Attributes
    ----------
    plan : TrainingPlan
        Sizes and training.
    more_features : tuple of str
        Features, or sets of them, that it sees beside those of the history.
    wide_features : tuple of str
        The same for periods of a day or longer, but of these the linear skip makes half: features
        of the market as a whole, of which a shorter period has no more independent values.
    refit_days : int
        Calendar days between two fits.
    """

    plan: TrainingPlan = field(default_factory=TrainingPlan)
    more_features: tuple[str, ...] = ("core", "news", "measurement", "illiquidity")
    wide_features: tuple[str, ...] = ("state",)
    refit_days: int = 91

    @property
    def name(self) -> str:
        """``regime-network``."""
        return "regime-network"

    def features_of(self, panel: Panel) -> tuple[str, ...]:
        """All features, or sets of them, that it asks for in a panel."""
        return (*self.more_features, *self.wide_of(panel))

    def wide_of(self, panel: Panel) -> tuple[str, ...]:
        """Return those of the market as a whole that it asks for in a panel."""
        return self.wide_features if panel.periods_per_day <= 1.0 else ()

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedRegimeNetwork":
        """Train on the past; the last days of it decide when to stop.

        The training rows are those whose outcome was known before the stopping days begin, so
        that an embargo of one horizon lies between the two.

        Raises
        ------
        NotEnoughHistoryError
            If fewer than 500 rows lie before the stopping days, or have a known outcome.
        """
        return self._fit(history, previous=None, rng=rng)

    def refit(
        self, history: History, *, previous: FittedForecaster, rng: np.random.Generator
    ) -> "FittedRegimeNetwork":
        """Train as :meth:`fit` does, from the weights of an earlier fit and for fewer passes.

        If other inputs are there than at the earlier fit, or another plan was followed then, the
        network is trained from nothing.
        """
        if not isinstance(previous, FittedRegimeNetwork):
            raise InputError(
                f"a warm start needs an earlier fit of {self.name}, was "
                f"{type(previous).__name__}; hand over what fit or refit returned"
            )
        return self._fit(history, previous=previous, rng=rng)

    def _fit(
        self, history: History, *, previous: "FittedRegimeNetwork | None", rng: np.random.Generator
    ) -> "FittedRegimeNetwork":
        _enough_rows(self, history)
        garch = (
            _GARCH.fit(history, rng=rng)
            if previous is None
            else _GARCH.refit(history, previous=previous.garch, rng=rng)
        )
        seen = with_garch(history, garch, self.features_of(history.panel))
        scaler = fit_standardiser(seen.features.values[usable_rows(seen)])
        if previous is not None and not _same_inputs(self, previous, scaler, seen):
            previous = None
        if previous is not None:
            scaler = previous.scaler
        inputs = make_inputs(seen, scaler, length=self.plan.sequence_length)
        skip, cost_skip = self._skips(seen, inputs, scaler)
        module = self._train(seen, scaler, previous=previous, rng=rng)
        return FittedRegimeNetwork(
            spec=self,
            features=seen.features.names,
            garch=garch,
            scaler=scaler,
            skip=skip,
            cost_skip=cost_skip,
            shape=module.shape,
            weights={
                name: value.double().cpu().numpy().copy()
                for name, value in module.state_dict().items()
            },
        )

    def _skips(
        self, seen: History, inputs: Inputs, scaler: Standardiser
    ) -> tuple[LinearSkip, LinearSkip | None]:
        """Fit the regressions of the variance, and those of the cost if enough of it is known."""
        outcomes = outcomes_of(seen, inputs)
        chosen = chosen_features(seen.panel, self.wide_of(seen.panel))
        is_wide = np.isin(seen.features.names, [feature.name for feature in chosen])
        wide = np.concatenate([is_wide[scaler.usable], is_wide[scaler.masked]])
        fit = partial(fit_skip, penalty=self.plan.penalty, qlike_prior=self.plan.qlike_prior)
        skip = fit(skip_data(seen, inputs, outcomes.variance, wide=wide))
        try:
            return skip, fit(skip_data(seen, inputs, outcomes.cost, wide=wide))
        except NotEnoughHistoryError:
            return skip, None

    def _train(
        self,
        seen: History,
        scaler: Standardiser,
        *,
        previous: "FittedRegimeNetwork | None",
        rng: np.random.Generator,
    ) -> RegimeModule:
        plan = self.plan
        stop = validation_start(seen, days=plan.validation_days)
        length = plan.sequence_length
        block = seen.upto(stop)
        before = make_inputs(block, scaler, length=length)
        after = make_inputs(seen, scaler, length=length, origins=slice(stop, None))
        skip, cost_skip = self._skips(block, before, scaler)
        device = choose_device(plan.device)
        seed = int(rng.integers(2**62))
        start = None if previous is None else previous.tensors(torch.float32)
        module = make_module(
            _shape(plan, before.x.shape[1], len(seen.horizons)),
            generator=torch.Generator().manual_seed(seed),
            start=start,
        ).to(device)
        tables = [
            Table(
                inputs,
                outcomes_of(known, inputs),
                skip=skip,
                cost_skip=cost_skip,
                instruments=seen.panel.instruments,
                horizons=seen.horizons,
                device=device,
            )
            for known, inputs in ((block, before), (seen, after))
        ]
        with exact(device):
            train(
                module,
                *tables,
                plan=plan,
                epochs=plan.max_epochs if previous is None else plan.warm_epochs,
                generator=torch.Generator(device).manual_seed(seed),
            )
        return module


@dataclass(frozen=True, kw_only=True)
class FittedRegimeNetwork:
    """The skips and the weights of the ensemble.

    Attributes
    ----------
    spec : RegimeNetwork
        What was trained.
    features : tuple of str
        Names of its inputs before scaling.
    garch : FittedGarch
        The model whose forecasts are inputs.
    scaler : Standardiser
        Scaling of the inputs.
    skip : LinearSkip
        Of the log variance.
    cost_skip : LinearSkip or None
        Of the log liquidity cost; None if too little of it was known.
    shape : ModuleShape
        Sizes of the module.
    weights : mapping of str to ndarray
        Its parameters; the first axis of each is the member.
    """

    spec: RegimeNetwork
    features: tuple[str, ...]
    garch: FittedGarch
    scaler: Standardiser
    skip: LinearSkip
    cost_skip: LinearSkip | None
    shape: ModuleShape
    weights: Mapping[str, Values]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the GARCH fits note."""
        return self.garch.notes

    def inputs(self, history: History, *, origins: slice) -> Inputs:
        """Return what the network sees at each origin it can forecast from.

        Raises
        ------
        InputError
            If the history has other features than the one that was fitted on.
        """
        past = history.upto(origins.stop)
        seen = with_garch(past, self.garch, self.spec.features_of(past.panel))
        if seen.features.names != self.features:
            absent = sorted(set(self.features) - set(seen.features.names))
            raise InputError(
                f"{self.spec.name} must forecast from the features it was fitted on, in the same "
                f"order; of these {absent} are missing; build the history with the same features"
            )
        asked = make_inputs(seen, self.scaler, length=self.shape.sequence_length, origins=origins)
        return replace(asked, late_offset=self._late_offsets(seen, asked))

    def _late_offsets(self, seen: History, asked: Inputs) -> Values:
        """Offsets of instruments that the fit has not seen, from their own past since, (B, H)."""
        new = unseen(seen, self.skip.log_offset)
        if not new.any():
            return asked.late_offset
        past = make_inputs(seen, self.scaler, length=self.shape.sequence_length)
        log_ratio = np.full((*past.rows.shape, len(seen.horizons)), np.nan)
        log_ratio[past.rows] = self.predict(past, seen.panel.instruments).log_variance
        log_ratio[:, ~new] = np.nan
        return late_offsets(seen, log_ratio, origins=slice(None))[asked.rows]

    def predict(self, inputs: Inputs, instruments: tuple[str, ...]) -> Prediction:
        """Evaluate the ensemble: mean of logs, of tails and of what makes the probabilities."""
        x = torch.as_tensor(inputs.x)[None]
        window = torch.as_tensor(inputs.windows.gather())[None] if self.shape.n_levels else None
        with exact(torch.device("cpu")), torch.no_grad():
            module = self.module()
            hidden = module.hidden(x, window)
            correction = _mean(module.correction(hidden))  # (B, 2, H)
            shapes = module.shapes(hidden)
        offset = self.skip.offsets(instruments)[inputs.column] + inputs.late_offset
        log_cost = None
        if self.cost_skip is not None:
            cost_offset = self.cost_skip.offsets(instruments)[inputs.column]
            log_cost = self.cost_skip.predict(inputs.x) + cost_offset + correction[:, 1]
        return Prediction(
            log_variance=self.skip.predict(inputs.x) + offset + correction[:, 0],
            log_cost=log_cost,
            quantile=_mean(shapes.quantile),
            shortfall=_mean(shapes.shortfall),
            steepness=_mean(shapes.steepness),
            shift=_mean(shapes.shift),
        )

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Forecast from each origin."""
        panel, targets = history.panel, history.targets
        inputs = self.inputs(history, origins=origins)
        cells = np.nonzero(inputs.rows)
        known = Known(
            level=inputs.level,
            elevated=targets.elevated_threshold[cells],
            stressed=targets.stress_threshold[cells],
            illiquidity=targets.illiquidity_threshold[cells],
            cost_level=targets.liquidity_cost_level[cells],
        )
        said = self.predict(inputs, panel.instruments)
        origin = panel.time[origins]
        return said.forecast(
            known,
            at=Origins(time=origin, instruments=panel.instruments, rows=inputs.rows[origins]),
            model=self.spec.name,
            horizons=history.horizons,
        )

    def module(self) -> RegimeModule:
        """Return the ensemble in double precision on the CPU."""
        module = RegimeModule(self.shape, generator=torch.Generator()).double()
        module.load_state_dict(self.tensors(torch.float64))
        return module

    def tensors(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return the weights as tensors on the CPU."""
        return {name: torch.tensor(w, dtype=dtype) for name, w in self.weights.items()}


def validation_start(history: History, *, days: int) -> int:
    """Return the first panel row of the last `days` calendar days."""
    cut = history.panel.time[-1] - np.timedelta64(days, "D")
    return int(np.searchsorted(history.panel.time, cut, side="right"))


def _enough_rows(spec: RegimeNetwork, history: History) -> None:
    stop = validation_start(history, days=spec.plan.validation_days)
    n_rows = int(usable_rows(history)[:stop].sum())
    if n_rows < MIN_ROWS:
        raise NotEnoughHistoryError(
            f"{spec.name} needs {MIN_ROWS} rows before the {spec.plan.validation_days} days it "
            f"stops on, found {n_rows}; start the forecasts later or add instruments"
        )


def _same_inputs(
    spec: RegimeNetwork, previous: FittedRegimeNetwork, scaler: Standardiser, seen: History
) -> bool:
    return (
        previous.spec == spec
        and previous.features == seen.features.names
        and previous.shape.n_horizons == len(seen.horizons)
        and np.array_equal(previous.scaler.usable, scaler.usable)
        and np.array_equal(previous.scaler.masked, scaler.masked)
    )


def _shape(plan: TrainingPlan, n_inputs: int, n_horizons: int) -> ModuleShape:
    return ModuleShape(
        n_members=plan.n_members,
        n_inputs=n_inputs,
        sequence_length=plan.sequence_length,
        n_series=len(CHANNELS),
        n_channels=plan.n_channels,
        n_hidden=plan.n_hidden,
        n_horizons=n_horizons,
        n_tails=len(TAIL_PROBABILITIES),
        input_dropout=plan.input_dropout,
        dropout=plan.dropout,
    )


def _mean(values: Tensor) -> Values:
    """Mean over the members (first axis)."""
    return np.asarray(values.mean(0).numpy(), dtype=np.float64)
