"""The network one period at a time: inputs, windows and thresholds that carry on where they were.

What the ensemble says of its inputs is asked from outside, so that neither PyTorch nor ONNX Runtime
is needed here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...features import Features, History, Targets, Thresholds, ThresholdStream, chosen_features
from ...features.saved import restored, saved
from ...markets import Panel
from ..forecast import TAIL_PROBABILITIES, Forecast
from ..online import OnlineGarch
from ..pooled import usable_rows
from .inputs import CHANNELS, channels_of
from .prediction import Known, Origins, Prediction
from .served import NetworkState, ServedMixture, served_features

Values = NDArray[np.float64]

Evaluate = Callable[[Mapping[str, Values]], Mapping[str, Values]]
"""Gives the named outputs of the graph for its named inputs (see :func:`.export.network_onnx`)."""


@dataclass(kw_only=True, eq=False)
class OnlineNetwork:
    """The network, or a mixture with it, that carries on where the history stopped.

    Forecasts are those of the fitted forecaster on the whole history, but for instruments that
    the fit has not seen: the fit learns their offsets from outcomes, and here they have no
    forecast.

    Attributes
    ----------
    state : NetworkState
        What was fitted.
    instruments : tuple of str
        Names, in column order.
    garch : OnlineGarch
        Whose variances are inputs.
    mixed_garch : OnlineGarch or None
        The member of the mixture.
    thresholds : ThresholdStream
        Of the regimes.
    windows : ndarray, shape (n_instruments, length, 3)
        Last own periods, the oldest first; zeros before the first.
    features : tuple of str
        Features, and sets of them, that it must be given.
    """

    state: NetworkState
    instruments: tuple[str, ...]
    garch: OnlineGarch
    mixed_garch: OnlineGarch | None
    thresholds: ThresholdStream
    windows: Values
    features: tuple[str, ...]

    @classmethod
    def after(cls, state: NetworkState, panel: Panel, features: Features) -> Self:
        """Return the network after the last row of a history.

        Parameters
        ----------
        state : NetworkState
            What was fitted.
        panel : Panel
            From the first row of the training data on.
        features : Features
            Of the same rows; only variance and level are looked at.
        """
        mixture = state.mixture
        fitted = [state.garch] + ([] if mixture is None else [mixture.garch])
        garch = [
            OnlineGarch.after(
                one,
                panel.log_return,
                instruments=panel.instruments,
                horizons=state.horizons,
            )
            for one in fitted
        ]
        network = cls(
            state=state,
            instruments=panel.instruments,
            garch=garch[0],
            mixed_garch=garch[1] if len(garch) > 1 else None,
            thresholds=ThresholdStream(horizons=state.horizons),
            windows=np.zeros((panel.n_instruments, state.sequence_length, len(CHANNELS))),
            features=served_features(state, panel),
        )
        network.thresholds.advance(panel)
        network._look_at(panel, features)
        return network

    def advance(self, rows: Panel, features: Features, evaluate: Evaluate) -> Forecast:
        """Take one period that has closed and forecast from there.

        Parameters
        ----------
        rows : Panel
            One row, with the instruments of the history.
        features : Features
            Of that row; at least `features`.
        evaluate : callable
            The graph.

        Returns
        -------
        Forecast
            Of one origin; NaN for instruments without a price in it, without a month of variances,
            or that the fit has not seen.

        Raises
        ------
        InputError
            If there is another number of rows, other instruments, or a feature is missing; nothing
            is changed then.
        """
        self._check(rows, features)
        garch = self.garch.advance(rows.log_return[0])
        mixed = None if self.mixed_garch is None else self.mixed_garch.advance(rows.log_return[0])
        thresholds = self.thresholds.advance(rows)
        self._look_at(rows, features)
        seen = np.array([name in self.state.log_offset for name in self.instruments])
        history = _one_row(rows, features, thresholds, horizons=self.state.horizons)
        usable = usable_rows(history) & seen
        said = self._said(usable[0], garch, features, evaluate)
        column = np.flatnonzero(usable[0])
        forecast = said.forecast(
            Known(
                level=features.level[0, column],
                elevated=thresholds.elevated[column],
                stressed=thresholds.stressed[column],
                illiquidity=thresholds.illiquidity[column],
                cost_level=thresholds.cost_level[column],
            ),
            at=Origins(time=rows.time, instruments=self.instruments, rows=usable),
            model="regime-network",
            horizons=self.state.horizons,
        )
        if self.state.mixture is None or mixed is None:
            return forecast
        return _mixed(self.state.mixture, forecast, mixed, history)

    def memory(self) -> dict[str, Any]:
        """Return all that is remembered as mappings, tuples, numbers and arrays.

        The arrays are those of the network: write them down, or copy them, before it goes on.
        """
        return {
            "instruments": self.instruments,
            "garch": saved(self.garch, where="garch"),
            "mixed_garch": saved(self.mixed_garch, where="mixed_garch"),
            "thresholds": self.thresholds.state(),
            "windows": self.windows,
        }

    @classmethod
    def resume(cls, state: NetworkState, like: Panel, memory: Mapping[str, Any]) -> Self:
        """Return the network whose :meth:`memory` was saved.

        Parameters
        ----------
        state : NetworkState
            What was fitted.
        like : Panel
            Any one row of the same instruments; its numbers are not used.
        memory : mapping
            What was saved.

        Raises
        ------
        InputError
            If the memory is of other instruments, or does not fit.
        """
        found = memory.get("instruments")
        if found != like.instruments:
            raise InputError(
                f"what the network remembers must be of {list(like.instruments)}, was of {found}"
            )
        nothing = np.full(like.close.shape, np.nan)
        fresh = cls.after(
            state,
            like,
            Features(
                time=like.time,
                instruments=like.instruments,
                names=(),
                values=np.empty((*like.close.shape, 0)),
                variance=nothing,
                level=nothing.copy(),
            ),
        )
        for name in ("garch", "mixed_garch", "windows"):
            part = restored(getattr(fresh, name), memory.get(name), where=name)
            setattr(fresh, name, part)
        if fresh.windows.shape != (like.n_instruments, state.sequence_length, len(CHANNELS)):
            raise InputError("the windows that the network remembers must have its length")
        fresh.thresholds = ThresholdStream.resume(
            like, memory.get("thresholds") or {}, horizons=state.horizons
        )
        return fresh

    def _check(self, rows: Panel, features: Features) -> None:
        if rows.n_periods != 1 or rows.instruments != self.instruments:
            raise InputError(
                f"the network must be given one period of {list(self.instruments)}, was given "
                f"{rows.n_periods} of {list(rows.instruments)}"
            )
        wanted = [f.name for f in chosen_features(rows, self.features)]
        missing = sorted(set(wanted) - set(features.names))
        if missing:
            raise InputError(
                f"the network must be given the features that it was fitted on, {missing[:5]} are "
                "missing; add its attribute `features` to the stream"
            )

    def _look_at(self, panel: Panel, features: Features) -> None:
        """Move the windows on."""
        length = self.state.sequence_length
        if not length:
            return
        channels = channels_of(features.variance, features.level, panel.log_return)
        for i in range(panel.n_instruments):
            new = channels[panel.present[:, i], i]
            self.windows[i] = np.concatenate([self.windows[i], new])[-length:]

    def _said(
        self, usable: NDArray[np.bool_], garch: Values, features: Features, evaluate: Evaluate
    ) -> Prediction:
        """Ask the graph about some instruments, and add what sets them apart."""
        state, column = self.state, np.flatnonzero(usable)
        place = [features.names.index(name) for name in state.features]
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(garch / np.array(state.horizons)) - features.level[0][:, None]
        feeds = {"features": np.concatenate([features.values[0][:, place], logs], axis=-1)[column]}
        if state.sequence_length:
            feeds["window"] = self.windows[column]
        out = evaluate(feeds) if len(column) else _nothing(len(state.horizons))
        names = [self.instruments[i] for i in column]
        log_cost = None
        if state.cost_offset is not None:
            log_cost = out["log_cost"] + _offsets(state.cost_offset, names, state.horizons)
        return Prediction(
            log_variance=out["log_variance"] + _offsets(state.log_offset, names, state.horizons),
            log_cost=log_cost,
            **{name: out[name] for name in ("quantile", "shortfall", "steepness", "shift")},
        )


def _nothing(n_horizons: int) -> dict[str, Values]:
    """Return what a graph would say of no instrument at all."""
    tails, pair = (0, 2, n_horizons, len(TAIL_PROBABILITIES)), (0, 2, n_horizons)
    logs = {name: np.empty((0, n_horizons)) for name in ("log_variance", "log_cost")}
    shapes = {"quantile": tails, "shortfall": tails, "steepness": pair, "shift": pair}
    return logs | {name: np.empty(shape) for name, shape in shapes.items()}


def _offsets(by_name: Mapping[str, Values], names: list[str], horizons: tuple[int, ...]) -> Values:
    none = np.zeros(len(horizons))
    return np.array([by_name.get(name, none) for name in names]).reshape(len(names), len(horizons))


def _one_row(
    rows: Panel, features: Features, thresholds: Thresholds, *, horizons: tuple[int, ...]
) -> History:
    """Return the last moment as a history: what forecasts from features alone needs no other."""
    shape = (1, rows.n_instruments, len(horizons))
    unknown = {
        name: np.full(shape, np.nan)
        for name in (
            *("variance", "log_return", "stress", "regime", "illiquidity", "liquidity_stress"),
            *("liquidity_cost", "stress_now", "liquidity_stress_now", "regime_now"),
            "liquidity_cost_now",
        )
    }
    targets = Targets(
        horizons=horizons,
        stress_threshold=thresholds.stressed[None],
        elevated_threshold=thresholds.elevated[None],
        liquidity_cost_level=thresholds.cost_level[None],
        illiquidity_threshold=thresholds.illiquidity[None],
        known_at=np.ones(shape, dtype=np.intp),
        **unknown,
    )
    return History(panel=rows, features=features, targets=targets)


def _mixed(mixture: ServedMixture, network: Forecast, garch: Values, history: History) -> Forecast:
    """Mix what the members say, as :meth:`..fitted_mixture.FittedMixture.forecast` does."""
    one = slice(0, 1)
    more = chosen_features(history.panel, mixture.har.spec.more_features)
    # Regressions know features by their place: those of the history, then what they asked for.
    features = history.features
    first = (*mixture.features, *(feature.name for feature in more))
    names = tuple(dict.fromkeys((*first, *features.names)))
    place = [features.names.index(name) for name in names]
    ordered = replace(features, names=names, values=features.values[:, :, place])
    har = mixture.har.forecast(replace(history, features=ordered), origins=one)
    variances = {"regime-network": network.variance, "har-combined": har.variance}
    variances["gjr-t"] = garch[None]
    logs = np.stack([np.log(variances[member]) for member in mixture.weights.members], axis=-1)
    forecasts = {
        "regime-network": network,
        "stress-pooled": mixture.stress.forecast(history, origins=one),
    }
    return mixture.spec.told(forecasts, variance=np.exp(mixture.weights.mix(logs)))
