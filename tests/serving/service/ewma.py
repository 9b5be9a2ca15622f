"""A small honest calculator: margins from an exponentially weighted variance."""

import math
import os
import signal
import time
from dataclasses import dataclass, field

import msgspec

from foremargin.errors import InputError
from foremargin.serving.observations import Bar, Observation
from foremargin.serving.quote import Basis, Calculation, SideMargin

HOUR = 3_600 * 10**9


@dataclass
class State:
    """Of one instrument: last price, variance per hour (decimal squared)."""

    price: float = 0.0
    variance: float = 1e-4
    time: int = 0


@dataclass
class EwmaCalculator:
    """Three standard deviations over two hours; a bar without volume gets the lower rung.

    A tick of venue ``kill`` kills the process, of ``hang`` stops it, of ``refuse`` is refused.
    `log` is everything that was applied, so that tests can compare it with the journal.
    """

    decay: float = 0.94
    states: dict[str, State] = field(default_factory=dict)
    log: list[Observation] = field(default_factory=list)
    shown: dict[str, Calculation] = field(default_factory=dict)

    def apply(self, observations: list[Observation]) -> list[Calculation]:
        for observation in observations:
            self._obey(getattr(observation, "venue", ""))
        changed: dict[str, Calculation] = {}
        for observation in observations:
            self.log.append(observation)
            changed[observation.instrument] = self._calculated(observation)
        self.shown.update(changed)
        return list(changed.values())

    def current(self) -> list[Calculation]:
        return list(self.shown.values())

    def _obey(self, order: str) -> None:
        if order == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if order == "hang":
            time.sleep(60.0)
        if order == "refuse":
            raise InputError("a tick of venue refuse must not come, found one; leave it out")

    def _calculated(self, observation: Observation) -> Calculation:
        state = self.states.setdefault(observation.instrument, State())
        bar = observation if isinstance(observation, Bar) else None
        price = observation.close if isinstance(observation, Bar) else observation.price
        move = math.log(price / state.price) if state.price else 0.0
        variance = max(state.variance, move**2)
        if bar is not None:
            state.variance = self.decay * state.variance + (1.0 - self.decay) * move**2
            state.price, variance = price, state.variance
        state.time = max(state.time, observation.time)
        sigma = math.sqrt(2.0 * variance)
        full = bar is None or "volume" in bar.more
        return Calculation(
            instrument=observation.instrument,
            basis=Basis.NETWORK if full else Basis.LINEAR,
            observed_at=state.time,
            long=_side(3.0 * sigma),
            short=_side(3.3 * sigma),
            horizon_periods=2,
            horizon_s=7_200,
            tail_probability=0.01,
            sigma=sigma,
            sigma_lower=0.5 * sigma,
            sigma_upper=2.0 * sigma,
            regime="unknown",
            reason="" if full else "the bar has no volume",
        )

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((self.states, self.log, self.shown))

    def restore(self, content: bytes) -> None:
        shape = tuple[dict[str, State], list[Observation], dict[str, Calculation]]
        try:
            self.states, self.log, self.shown = msgspec.msgpack.decode(content, type=shape)
        except msgspec.MsgspecError as error:
            raise InputError(f"a snapshot must be of this calculator: {error}") from error


def _side(rate: float) -> SideMargin:
    exact = min(rate, 10.0) * 1e4
    initial = max(math.ceil(exact), 1)
    return SideMargin(
        initial_margin_bps=initial,
        maintenance_margin_bps=max(initial * 3 // 4, 1),
        components={"tail": exact, "rounding": initial - exact},
    )
