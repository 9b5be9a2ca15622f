"""The monitor: takes what the service does, and says what is wrong.

It is fed with quotes, observations and breakers in the order in which they happen, holds no thread
and reads no clock of its own. What it knows of coverage and drift depends on nothing else, so that
replaying the journal after a restart gives it back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ..observations import Bar, Observation
from ..ports import Clock
from ..quote import Quote
from .alerts import SECOND_NS, Alert, AlertEngine, Notification, Signal, Sink
from .burn import AVAILABILITY, LATENCY, BurnRate
from .conditions import (
    ALERT_RULES,
    EVALUATE_EVERY_S,
    breaker_signals,
    burn_signals,
    coverage_signals,
    drift_signals,
    height_signals,
    left_out_signal,
    stale_signals,
)
from .coverage import CoverageStanding
from .drift import DriftStanding
from .memory import Memory, decode_memory, encode_memory, settings_key
from .metrics import Metrics
from .watched import SIDES, HeightStanding, MonitorSettings, Watched, WatchedState

_PIECE = 20  # instruments of some 100 microseconds each
_encode_row = msgspec.msgpack.Encoder().encode


class _Looked(NamedTuple):
    """What tests and detectors said of an instrument."""

    coverage: list[CoverageStanding]
    rare: list[CoverageStanding]
    heights: list[HeightStanding]
    drift: list[DriftStanding]


class Monitor:
    """Coverage, drift, alerts and metrics of the service.

    Parameters
    ----------
    metrics : Metrics
        Where everything is shown.
    clock : Clock
        For evaluations.
    settings : MonitorSettings
        Limits.
    references : mapping of str to sequence of float
        Returns over forecast volatility of the backtest by instrument, to compare with.

    Attributes
    ----------
    since : int
        From when on it knows everything, ns UTC; 0 before the first quote.
    anew : str
        Why it knows nothing from before; empty if nothing was lost.
    catching_up : bool
        While it is true what the monitor knows is of the past, and only breakers and budgets are
        looked at.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        clock: Clock,
        settings: MonitorSettings | None = None,
        references: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.metrics = metrics
        self._clock = clock
        self._settings = settings or MonitorSettings()
        self._references = references or {}
        self._watched: dict[str, Watched] = {}
        self._engine = AlertEngine(ALERT_RULES)
        self._burn = (BurnRate(AVAILABILITY), BurnRate(LATENCY))
        self._breakers: dict[str, str] = {}
        self._left_out = 0, "", 0
        self._changed: set[str] = set()
        self._looked: dict[str, _Looked] = {}
        self.since, self.anew = 0, ""
        self.catching_up = False

    def quoted(self, quotes: Iterable[Quote]) -> None:
        """Take new quotes, after they were written to the table."""
        listed = list(quotes)
        self.metrics.quoted(listed, counted=not self.catching_up)
        for quote in listed:
            self.since = self.since or quote.quoted_at
            self._of(quote.instrument).quoted(quote)

    def observed(self, observations: Iterable[Observation]) -> None:
        """Take accepted observations; closes judge the margins quoted before them."""
        for observation in observations:
            if isinstance(observation, Bar):
                self._of(observation.instrument).closed(observation)
                self._changed.add(observation.instrument)

    def breakers(self, states: Mapping[str, str]) -> None:
        """Take the states of breakers: ``closed``, ``half-open`` or ``open``."""
        self._breakers.update(states)
        self.metrics.breakers(states)

    def left_out(self, count: int, last: str, *, at: int) -> None:
        """Take how many records the calculator was not given or has refused, the last and when."""
        self._left_out = count, last, at
        self.metrics.left_out(count)

    def examine(self) -> Iterator[None]:
        """Look at what has changed, some instruments at a time; :meth:`evaluate` does the rest."""
        names = [] if self.catching_up else sorted(self._changed)
        for start in range(0, len(names), _PIECE):
            self._look_at(name for name in names[start : start + _PIECE] if name in self._watched)
            yield

    def evaluate(self) -> list[Notification]:
        """Look at everything now; return every notification that was not delivered yet."""
        now = self._clock.now()
        signals = [*breaker_signals(self._breakers), *self._burning(now / SECOND_NS)]
        count, last, at = self._left_out
        signals.append(left_out_signal(count, last, age_s=(now - at) / SECOND_NS))
        if not self.catching_up:
            signals += self._known(now)
        notifications = self._engine.evaluate(signals, now=now)
        self.metrics.alerted(self._engine.alerts(), now=now)
        return notifications

    def delivered(self, notification_id: str) -> None:
        """Take note that a notification was sent."""
        self._engine.delivered(notification_id)

    def alerts(self) -> list[Alert]:
        """Return alerts that fire, that are pending and that were resolved lately."""
        return self._engine.alerts()

    def forget(self, instrument: str) -> None:
        """Drop an instrument that is gone for good, with its alerts."""
        self._watched.pop(instrument, None)
        self._looked.pop(instrument, None)
        self._changed.discard(instrument)
        self.metrics.forget(instrument)
        heights = [f"{side} reactive" for side in SIDES]
        names = [f"{instrument} {one}" for one in (*SIDES, *heights, *_DETECTORS)]
        for subject in (instrument, *names):
            self._engine.forget(subject)

    def describe(self, instrument: str) -> dict[str, Any] | None:
        """Return what the page shows of an instrument as plain JSON; None if it is not known."""
        watched = self._watched.get(instrument)
        if watched is None:
            return None
        made_of = watched.quote.calculation if watched.quote else None
        return {
            "instrument": instrument,
            "horizon_periods": made_of.horizon_periods if made_of else None,
            "period_s": watched.period_s or None,
            "tail_probability": made_of.tail_probability if made_of else None,
            "reactive": "EWMA 0.94 with filtered historical simulation",
            "series": watched.outcomes.series(),
            "unjudged": watched.outcomes.unjudged,
            "since": self.since or None,
            "anew": self.anew,
            "catching_up": self.catching_up,
            "coverage": _coverage(watched),
            "drift": msgspec.to_builtins(watched.drift.standing(instrument)),
        }

    def names(self) -> Iterator[str]:
        """Yield the instruments that it knows, as they are when the first is asked for."""
        yield from list(self._watched)

    def remember(self, names: Iterable[str]) -> list[bytes]:
        """Return what is known of some instruments; all of them are a part of a memory."""
        return [_encode_row(self._watched[name].state()) for name in names]

    def memory(self, rows: Iterable[bytes]) -> bytes:
        """Return everything that it knows, to go on from; budgets and breakers are not in it.

        Parameters
        ----------
        rows : iterable of bytes
            Of :meth:`remember`, of all instruments.
        """
        return encode_memory(
            Memory(
                key=settings_key(self._settings, self._references),
                since=self.since,
                anew=self.anew,
                alerts=self._engine.state(),
                rows=[msgspec.Raw(row) for row in rows],
            )
        )

    def recall(self, content: bytes) -> None:
        """Go on from a memory, before anything else is taken.

        Raises
        ------
        InputError
            If it is none, or of other settings; nothing is taken from it.
        """
        memory, states = decode_memory(content, key=settings_key(self._settings, self._references))
        watched = {state.name: self._restored(state) for state in states}
        self._engine.restore(memory.alerts)
        self.since, self.anew, self._watched = memory.since, memory.anew, watched
        self._changed = set(watched)
        quotes = [one.quote for one in watched.values() if one.quote is not None]
        self.metrics.quoted(quotes, counted=False)

    def _of(self, instrument: str) -> Watched:
        watched = self._watched.get(instrument)
        if watched is None:
            watched = self._watched[instrument] = self._made(instrument)
        return watched

    def _made(self, instrument: str) -> Watched:
        reference = tuple(self._references.get(instrument, ()))
        return Watched(instrument, settings=self._settings, reference=reference)

    def _restored(self, state: WatchedState) -> Watched:
        made = self._made(state.name)
        made.restore(state)
        return made

    def _known(self, now: int) -> list[Signal]:
        """Signal what is known of instruments."""
        self._look_at(sorted(self._changed))
        looked = [self._looked[name] for name in sorted(self._looked)]
        self._looked.clear()
        coverage = [s for one in looked for s in one.coverage]
        rare = [s for one in looked for s in one.rare]
        heights = [s for one in looked for s in one.heights]
        drift = [s for one in looked for s in one.drift]
        # Only what was judged since can have changed; what alarms is looked at every time, for
        # reminders.
        self._changed |= {s.instrument for s in (*coverage, *rare) if s.alarmed}
        self._changed |= {s.instrument for s in drift if s.active}
        self._changed |= {s.instrument for s in heights if s.far}
        overdue = self._overdue(now)
        self.metrics.overdue(overdue)
        return [
            *stale_signals(overdue, limit_s=self._settings.stale_after_s),
            *coverage_signals(coverage),
            *height_signals(rare, heights),
            *drift_signals(drift),
        ]

    def _look_at(self, names: Iterable[str]) -> None:
        """Have the tests and detectors of instruments said, and shown by the metrics."""
        for name in names:
            self._changed.discard(name)
            watched = self._watched[name]
            self._looked[name] = one = _Looked(
                watched.coverage(),
                watched.coverage(rare=True),
                watched.heights(),
                watched.drift.standing(name),
            )
            self.metrics.covered(one.coverage)
            self.metrics.high(one.rare, one.heights)
            self.metrics.drifted(one.drift)

    def _overdue(self, now: int) -> dict[str, float]:
        ages = ((name, watched.overdue_s(now)) for name, watched in self._watched.items())
        return {name: age for name, age in ages if age is not None}

    def _burning(self, now_s: float) -> list[Signal]:
        counts = (self.metrics.answers(), self.metrics.reads())
        out: list[Signal] = []
        for burn, (total, bad) in zip(self._burn, counts, strict=True):
            out += burn_signals(burn.objective.name, burn.sample(now_s, total=total, bad=bad))
        return out


async def watch(
    monitor: Monitor,
    sink: Sink,
    *,
    every_s: float = EVALUATE_EVERY_S,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    failed: Callable[[Exception], None] = lambda _: None,
) -> None:
    """Evaluate for ever and send what is to be sent; what fails is sent again next time.

    Parameters
    ----------
    monitor, sink : Monitor, Sink
        Who says what, and to whom.
    every_s : float
        Seconds between two evaluations.
    sleep : callable
        Of seconds; simulations bring their own.
    failed : callable
        Told of every exception of the sink or of an evaluation.
    """
    while True:
        try:
            for _ in monitor.examine():
                await asyncio.sleep(0)
            for notification in monitor.evaluate():
                await sink.send(notification)
                monitor.delivered(notification.id)
        except Exception as error:  # a broken sink or one bad number must not end the watch
            failed(error)
        await sleep(every_s)


_DETECTORS = ("ks", "psi", "page-hinkley", "cusum-long", "cusum-short")


def _coverage(watched: Watched) -> list[dict[str, Any]]:
    rare = {one.side: one for one in watched.coverage(rare=True)}
    heights = {one.side: one for one in watched.heights()}
    return [
        {
            **msgspec.to_builtins(standing),
            "recent_rate": standing.recent_rate,
            "high": {
                "evidence": rare[standing.side].evidence,
                "alarmed": rare[standing.side].alarmed,
                "fewest": rare[standing.side].fewest,
                "ratio": heights[standing.side].ratio if heights[standing.side].n else None,
                "far": heights[standing.side].far,
            },
        }
        for standing in watched.coverage()
    ]
