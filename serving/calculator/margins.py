"""One closed row through every rung: forecasts, margins, and which of them stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...calibrate.policies import (
    NO_RUNG,
    ChosenMargins,
    ErrorInterval,
    OnlinePolicy,
    OnlinePredictive,
)
from ...calibrate.probabilities import CalibrationMap, moved_part_way
from ...calibrate.regime import Regime, RegimeStream
from ...calibrate.served import ServedRung, ServingState
from ...errors import InputError
from ...features import Features, FeatureStream
from ...markets import Panel
from .answers import or_none
from .guarded import GuardedRung, Said
from .packing import as_array, as_bytes

Values = NDArray[np.float64]

_WEEK = "log_variance_week"
_SHOWN = ("rung", "target", "initial", "maintenance", "bound", "variance", "lower", "upper")


@dataclass(frozen=True, kw_only=True, eq=False)
class Standing:
    """What stands since the last row in which each instrument had a price; changed in place.

    Attributes
    ----------
    time : ndarray of int64, shape (n_instruments,)
        Close of that row, ns UTC.
    rung : ndarray of int64, shape (n_instruments,)
        Place of the rung; :data:`NO_RUNG` where there is no margin.
    target, initial, maintenance : ndarray, shape (n_instruments, 2)
        Fractions of notional; see :class:`foremargin.calibrate.policies.Chosen`.
    bound : ndarray of int64, shape (n_instruments, 2)
        What bound.
    variance, lower, upper : ndarray, shape (n_rungs, n_instruments)
        Forecast variance over the horizon, and the factors of its interval.
    regime : ndarray of str, shape (n_instruments,)
        Names of regimes.
    """

    time: NDArray[np.int64]
    rung: NDArray[np.int64]
    target: Values
    initial: Values
    maintenance: Values
    bound: NDArray[np.int64]
    variance: Values
    lower: Values
    upper: Values
    regime: NDArray[np.str_]

    @classmethod
    def nothing(cls, n_rungs: int, n: int) -> "Standing":
        """Return what stands before the first row."""
        pairs, rungs = np.full((n, 2), np.nan), np.full((n_rungs, n), np.nan)
        return cls(
            time=np.zeros(n, dtype=np.int64),
            rung=np.full(n, NO_RUNG, dtype=np.int64),
            target=pairs.copy(),
            initial=pairs.copy(),
            maintenance=pairs.copy(),
            bound=np.zeros((n, 2), dtype=np.int64),
            variance=rungs.copy(),
            lower=rungs.copy(),
            upper=rungs.copy(),
            regime=np.full(n, Regime.UNKNOWN.value, dtype="<U8"),
        )


class RowMargins:
    """The rungs with everything that their margins remember.

    Parameters
    ----------
    state : ServingState
        Where they stand.
    rungs : sequence of GuardedRung
        In the order of `state.rungs`.
    """

    def __init__(self, state: ServingState, rungs: Sequence[GuardedRung]) -> None:
        last = state.last_row
        self.served: tuple[ServedRung, ...] = state.rungs
        self.rungs = tuple(rungs)
        self.column = _served_column(state)
        self.policies = [_predictive(one, last) for one in state.rungs]
        self.intervals = [
            _interval(one, self.policies[i].session) for i, one in enumerate(state.rungs)
        ]
        n = len(state.instruments)
        self.chosen = ChosenMargins.fresh(state.limits, n_instruments=n)
        self.chosen.restore(state.chosen)
        self.regimes = RegimeStream.fresh(n)
        self.regimes.restore(state.regime)
        self.stream: FeatureStream | None = FeatureStream.resume(last, state.stream)
        self.stream_broken = ""
        self.standing = Standing.nothing(len(state.rungs), n)
        self.said: tuple[Said, ...] = ()

    @property
    def policy(self) -> OnlinePolicy:
        """The policy of the best rung; horizon and tail are those of all."""
        return self.served[0].policy

    def close(self, row: Panel) -> NDArray[np.intp]:
        """Take one closed row; return the instruments that have a price in it."""
        present, log_return = row.present[0], row.log_return[0]
        features = self._features(row)
        self.said = tuple(
            _calibrated(rung.advance(row, features), one.calibration)
            for rung, one in zip(self.rungs, self.served, strict=True)
        )
        realized = log_return**2 if features is None else features.variance[-1]
        forecast = np.where(present, [said.variance[:, self.column] for said in self.said], np.nan)
        margins = np.stack(
            [
                policy.advance(log_return, present=present, variance=variance)
                for policy, variance in zip(self.policies, forecast, strict=True)
            ]
        )
        intervals = np.stack(
            [
                interval.advance(realized, present=present, variance=variance)
                for interval, variance in zip(self.intervals, forecast, strict=True)
            ]
        )
        chosen = self.chosen.advance(margins)
        turn, standing = np.flatnonzero(present), self.standing
        standing.time[turn] = int(row.time[0].astype("datetime64[ns]").astype(np.int64))
        for name in ("rung", "target", "initial", "maintenance", "bound"):
            getattr(standing, name)[turn] = getattr(chosen, name)[turn]
        standing.variance[:, turn] = forecast[:, turn]
        standing.lower[:, turn], standing.upper[:, turn] = (
            intervals[:, 0][:, turn],
            intervals[:, 1][:, turn],
        )
        standing.regime[turn] = self._regime(features, len(present))[turn]
        return turn

    def _features(self, row: Panel) -> Features | None:
        if self.stream is None:
            return None
        try:
            return self.stream.update(row)
        except Exception as error:  # the recursion on returns alone goes on
            self.stream = None
            self.stream_broken = f"features are gone, {type(error).__name__}: {error}"
            return None

    def _regime(self, features: Features | None, n: int) -> NDArray[np.str_]:
        if features is None or _WEEK not in features.names:
            return np.full(n, Regime.UNKNOWN.value, dtype="<U8")
        return self.regimes.advance(features.column(_WEEK)[-1])

    def why(self, place: int) -> str:
        """Return why better rungs than the one that stands were not used; empty if none is."""
        rung = int(self.standing.rung[place])
        better = range(len(self.rungs) if rung == NO_RUNG else rung)
        return "; ".join(f"{self.served[q].basis}: {self._silence(q, place)}" for q in better)

    def probabilities(self, rung: int, place: int) -> dict[str, float | None]:
        """Return what a rung says beside the variance, of the last row."""
        given = self.said[rung].probabilities if self.said else {}
        return {n: or_none(float(values[place, self.column])) for n, values in given.items()}

    def _silence(self, rung: int, place: int) -> str:
        if self.said and self.said[rung].reason:
            return self.said[rung].reason
        if np.isnan(self.standing.variance[rung, place]):
            return "no forecast"
        return "too few scores for a margin"

    def state(self) -> dict[str, Any]:
        """Return all that is remembered."""
        standing = self.standing
        return {
            "rungs": tuple(as_array(rung.snapshot()) for rung in self.rungs),
            "policies": tuple(policy.state() for policy in self.policies),
            "intervals": tuple(interval.state() for interval in self.intervals),
            "chosen": self.chosen.state(),
            "regimes": self.regimes.state(),
            "stream": None if self.stream is None else self.stream.state(),
            "stream_broken": self.stream_broken,
            "standing": {name: getattr(standing, name) for name in ("time", *_SHOWN)},
            "regime": tuple(standing.regime.tolist()),
        }

    def restore(self, saved: Mapping[str, Any], *, like: Panel) -> None:
        """Take over what was saved; InputError if it does not fit."""
        for rung, content in zip(self.rungs, saved["rungs"], strict=True):
            rung.restore(as_bytes(content))
        for policy, kept in zip(self.policies, saved["policies"], strict=True):
            policy.restore(kept)
        for interval, kept in zip(self.intervals, saved["intervals"], strict=True):
            interval.restore(kept)
        self.chosen.restore(saved["chosen"])
        self.regimes.restore(saved["regimes"])
        stream = saved["stream"]
        self.stream = None if stream is None else FeatureStream.resume(like, stream)
        self.stream_broken = str(saved["stream_broken"])
        for name in ("time", *_SHOWN):
            own, found = getattr(self.standing, name), saved["standing"][name]
            if (found.shape, found.dtype) != (own.shape, own.dtype):
                raise InputError(f"{name} of a snapshot must have shape {own.shape}")
            own[...] = found
        self.standing.regime[...] = saved["regime"]
        self.said = ()


def _calibrated(said: Said, calibration: Mapping[str, tuple[CalibrationMap | None, ...]]) -> Said:
    """Return what a rung said with the probabilities that a backtest would have made of it."""
    moved = dict(said.probabilities)
    for name, maps in calibration.items():
        if name in moved:
            columns = zip(moved[name].T, maps, strict=True)
            moved[name] = np.stack(
                [c if one is None else moved_part_way(c, one) for c, one in columns], axis=-1
            )
    return replace(said, probabilities=moved)


def _served_column(state: ServingState) -> int:
    terms = {(one.policy.horizon, one.policy.tail_probability) for one in state.rungs}
    if len(terms) != 1:
        raise InputError(
            f"all rungs must have one horizon and one tail probability, found {sorted(terms)}"
        )
    ((horizon, _),) = terms
    if horizon not in state.horizons:
        raise InputError(
            f"the horizon of the margin must be among those of the forecasts, {state.horizons}, "
            f"was {horizon}"
        )
    return state.horizons.index(horizon)


def _predictive(one: ServedRung, last: Panel) -> OnlinePredictive:
    policy = OnlinePredictive.fresh(one.policy, last)
    policy.restore(one.predictive)
    return policy


def _interval(one: ServedRung, session: NDArray[np.int64]) -> ErrorInterval:
    interval = ErrorInterval.fresh(session, horizon=one.policy.horizon)
    interval.restore(one.interval)
    return interval
