"""The monitor: takes what the service does, and says what is wrong.

It is fed with quotes, observations and breakers in the order in which they happen, holds no thread
and reads no clock of its own. What it knows of coverage and drift depends on nothing else, so that
replaying the journal after a restart gives it back.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ..observations import Bar, Observation
from ..ports import Clock
from ..quote import Quote, Status
from .alerts import SECOND_NS, Alert, AlertEngine, Notification, Signal, Sink
from .burn import AVAILABILITY, LATENCY, BurnRate
from .conditions import (
    ALERT_RULES,
    EVALUATE_EVERY_S,
    breaker_signals,
    burn_signals,
    coverage_signals,
    drift_signals,
    stale_signals,
)
from .coverage import CoverageStanding, CoverageTest
from .drift import DriftSettings, InstrumentDrift
from .metrics import Metrics
from .outcomes import InstrumentOutcomes, Judged

_SIDES = ("long", "short")


class MonitorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the monitor can be told.

    Attributes
    ----------
    stale_after_s : float
        Age of data beyond the end of their period from which a feed is stale, seconds; as in the
        settings of the ladder.
    false_alarm_every : float
        Outcomes of a side; see :mod:`.coverage`.
    points : int
        Origins kept for the page, by instrument.
    drift : DriftSettings
        See there.
    """

    stale_after_s: float = 900.0
    false_alarm_every: float = 100_000.0
    points: int = 500
    drift: DriftSettings = DriftSettings()


class _Watched:
    """Everything of one instrument."""

    def __init__(self, settings: MonitorSettings, reference: Sequence[float]) -> None:
        self.outcomes = InstrumentOutcomes(points=settings.points)
        self.drift = InstrumentDrift(settings.drift, reference=reference)
        self.tests: dict[str, CoverageTest] = {}
        self.quote: Quote | None = None
        self.first_at = 0
        self.period_s = 0.0


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
        self._watched: dict[str, _Watched] = {}
        self._engine = AlertEngine(ALERT_RULES)
        self._burn = (BurnRate(AVAILABILITY), BurnRate(LATENCY))
        self._breakers: dict[str, str] = {}
        self._changed: set[str] = set()

    def quoted(self, quotes: Iterable[Quote]) -> None:
        """Take new quotes, after they were written to the table."""
        listed = list(quotes)
        self.metrics.quoted(listed)
        for quote in listed:
            watched = self._of(quote.instrument)
            watched.quote = quote
            watched.first_at = watched.first_at or quote.quoted_at
            if quote.calculation is not None:
                made_of = quote.calculation
                watched.period_s = made_of.horizon_s / max(made_of.horizon_periods, 1)
            watched.outcomes.quoted(quote)

    def observed(self, observations: Iterable[Observation]) -> None:
        """Take accepted observations; closes judge the margins quoted before them."""
        for observation in observations:
            if isinstance(observation, Bar):
                watched = self._of(observation.instrument)
                for judged in watched.outcomes.closed(observation.time, observation.close):
                    self._judge(watched, judged)
                    self._changed.add(observation.instrument)

    def breakers(self, states: Mapping[str, str]) -> None:
        """Take the states of breakers: ``closed``, ``half-open`` or ``open``."""
        self._breakers.update(states)
        self.metrics.breakers(states)

    def evaluate(self) -> list[Notification]:
        """Look at everything now; return every notification that was not delivered yet."""
        now = self._clock.now()
        changed = [(name, self._watched[name]) for name in sorted(self._changed)]
        coverage = [s for name, watched in changed for s in _coverage(name, watched)]
        drift = [s for name, watched in changed for s in watched.drift.standing(name)]
        # Only what was judged since can have changed; what alarms is looked at every time, for
        # reminders.
        self._changed = {s.instrument for s in coverage if s.alarmed}
        self._changed |= {s.instrument for s in drift if s.active}
        self.metrics.covered(coverage)
        self.metrics.drifted(drift)
        overdue = self._overdue(now)
        self.metrics.overdue(overdue)
        signals = [
            *stale_signals(overdue, limit_s=self._settings.stale_after_s),
            *breaker_signals(self._breakers),
            *coverage_signals(coverage),
            *drift_signals(drift),
            *self._burning(now / SECOND_NS),
        ]
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
        self._changed.discard(instrument)
        self.metrics.forget(instrument)
        names = [f"{instrument} {detector}" for detector in (*_SIDES, *_DETECTORS)]
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
            "coverage": [
                {**msgspec.to_builtins(standing), "recent_rate": standing.recent_rate}
                for standing in _coverage(instrument, watched)
            ],
            "drift": msgspec.to_builtins(watched.drift.standing(instrument)),
        }

    def _of(self, instrument: str) -> _Watched:
        watched = self._watched.get(instrument)
        if watched is None:
            watched = _Watched(self._settings, self._references.get(instrument, ()))
            self._watched[instrument] = watched
        return watched

    def _judge(self, watched: _Watched, judged: Judged) -> None:
        watched.drift.add(judged)
        losses = (
            judged.long_loss_bps > judged.long_margin_bps,
            judged.short_loss_bps > judged.short_margin_bps,
        )
        for side, breach in zip(_SIDES, losses, strict=True):
            test = watched.tests.get(side)
            # Another promise is another test; the evidence against the old one says nothing of it.
            if test is None or (test.tail_probability, test.lag) != (
                judged.tail_probability,
                judged.lag,
            ):
                test = watched.tests[side] = CoverageTest(
                    tail_probability=judged.tail_probability,
                    lag=judged.lag,
                    false_alarm_every=self._settings.false_alarm_every,
                )
            test.update(breach)

    def _overdue(self, now: int) -> dict[str, float]:
        """Seconds beyond the end of the period; what the ladder calls stale has no good age."""
        ages = {}
        for name, watched in self._watched.items():
            quote = watched.quote
            if quote is None:
                continue
            if not quote.observed_at:  # a service that starts gets the time that a feed gets
                age = (now - watched.first_at) / SECOND_NS
            else:
                age = (now - quote.observed_at) / SECOND_NS - watched.period_s
                if quote.calculation is not None and quote.calculation.due_at:
                    age = (now - quote.calculation.due_at) / SECOND_NS
            if quote.observed_at and quote.status is Status.FALLBACK:
                age = math.nan
            elif quote.status is Status.STALE:
                age = max(age, math.nextafter(self._settings.stale_after_s, math.inf))
            ages[name] = age
        return ages

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
            for notification in monitor.evaluate():
                await sink.send(notification)
                monitor.delivered(notification.id)
        except Exception as error:  # a broken sink or one bad number must not end the watch
            failed(error)
        await sleep(every_s)


_DETECTORS = ("ks", "psi", "page-hinkley", "cusum-long", "cusum-short")


def _coverage(instrument: str, watched: _Watched) -> list[CoverageStanding]:
    return [test.standing(instrument, side) for side, test in watched.tests.items()]
