"""Alerts without input or output: signals and a moment go in, notifications come out.

Every signal has a rule and a subject; both together are one alert::

    quiet --active--> pending --held for `hold_s`--> firing --inactive for `clear_s`--> quiet

Somebody is told when an alert starts firing, again every `repeat_s` while it does, and when it is
resolved; what flickers within `clear_s` is one alert. Every evaluation returns a notification until
:meth:`AlertEngine.delivered` says that it was sent, with the same identifier each time, so that a
sender that fails loses none and a receiver can drop what it has. A subject without a signal keeps
its state: not looked at is not resolved.
"""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol

import msgspec
from msgspec import Struct

from ...errors import InputError

SECOND_NS = 1_000_000_000


class State(StrEnum):
    """Where an alert stands."""

    PENDING = "pending"
    """Active, not yet for long enough."""
    FIRING = "firing"
    """Somebody was told."""
    RESOLVED = "resolved"
    """Over; somebody was told of that too."""


class AlertRule(Struct, frozen=True, kw_only=True):
    """What an alert is called and how patient it is.

    Attributes
    ----------
    name : str
        For example ``stale-feed``.
    severity : str
        ``page`` or ``ticket``.
    hold_s, clear_s : float
        Seconds that a signal must be active before it fires, and inactive before it is resolved.
    repeat_s : float
        Seconds between two reminders.
    """

    name: str
    severity: str
    hold_s: float = 0.0
    clear_s: float = 60.0
    repeat_s: float = 4 * 3_600.0


class Signal(Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes
    ----------
    rule, subject : str
        Name of the rule; instrument, breaker or objective.
    value, threshold : float
        What was found and what it is held against, in the unit that `summary` says. A value that
        is NaN is active: what cannot be measured is not well.
    active : bool
        Whether it is a fault.
    summary : str
        One sentence for whoever is woken.
    """

    rule: str
    subject: str
    value: float
    threshold: float
    active: bool
    summary: str


class Alert(Struct, frozen=True, kw_only=True):
    """An alert as the page and ``/v1/alerts`` show it.

    Attributes
    ----------
    rule, subject, severity, summary
        As in :class:`Signal` and :class:`AlertRule`.
    state : State
        Pending, firing or resolved.
    since : int
        When it became active, ns UTC.
    changed_at : int
        When it came into this state, ns UTC.
    value, threshold : float or None
        At the last look; None where it could not be measured.
    """

    rule: str
    subject: str
    severity: str
    state: State
    since: int
    changed_at: int
    value: float | None
    threshold: float | None
    summary: str


class Notification(Struct, frozen=True, kw_only=True):
    """What is sent.

    Attributes
    ----------
    id : str
        The same for every attempt to send it; another one for a reminder.
    alert : Alert
        As it was when the notification was made.
    """

    id: str
    alert: Alert


class Sink(Protocol):
    """Where notifications go."""

    async def send(self, notification: Notification) -> None:
        """Send one; an exception means that it has to be sent again."""
        ...


class _Track(Struct):
    rule: AlertRule
    subject: str
    state: State | None = None
    since: int = 0
    changed_at: int = 0
    quiet_since: int = 0  # 0 while active
    told_at: int = 0
    told: int = 0  # notifications so far: a clock that stands still must not repeat an identifier
    unsent: str | None = None  # last firing notification of this episode, sent or not
    signal: Signal | None = None


class AlertsState(Struct, frozen=True):
    """Everything that an engine remembers."""

    tracks: list[_Track]
    outbox: list[Notification]
    resolved: list[Alert]
    now: int


class AlertEngine:
    """States of all alerts.

    Parameters
    ----------
    rules : iterable of AlertRule
        Names must differ.
    kept : int
        Resolved alerts that are still shown.
    """

    def __init__(self, rules: Iterable[AlertRule], *, kept: int = 50) -> None:
        listed = list(rules)
        self._rules: Mapping[str, AlertRule] = {rule.name: rule for rule in listed}
        if len(self._rules) < len(listed):
            raise InputError("names of alert rules must differ; rename one of those with one name")
        self._tracks: dict[tuple[str, str], _Track] = {}
        self._outbox: dict[str, Notification] = {}
        self._resolved: list[Alert] = []
        self._kept = kept
        self._now = 0

    def evaluate(self, signals: Iterable[Signal], *, now: int) -> list[Notification]:
        """Take all signals of one moment, ns UTC; return everything that is to be sent.

        A clock that goes back stands still.

        Raises
        ------
        InputError
            If a signal names a rule that there is none of.
        """
        self._now = max(now, self._now)
        for signal in signals:
            if signal.rule not in self._rules:
                raise InputError(
                    f"signals must name one of {sorted(self._rules)}, was {signal.rule}"
                )
            key = (signal.rule, signal.subject)
            track = self._tracks.get(key)
            if track is None:
                track = _Track(rule=self._rules[signal.rule], subject=signal.subject)
                self._tracks[key] = track
            track.signal = signal
            self._step(track, active=signal.active or math.isnan(signal.value))
        return list(self._outbox.values())

    def delivered(self, notification_id: str) -> None:
        """Drop a notification that was sent."""
        self._outbox.pop(notification_id, None)

    def forget(self, subject: str) -> None:
        """Drop all alerts of a subject that is gone for good, in silence."""
        for key in [key for key in self._tracks if key[1] == subject]:
            del self._tracks[key]

    def alerts(self) -> list[Alert]:
        """Return what is firing and pending, oldest first, then what was resolved, newest first."""
        open_ = [_alert(t) for t in self._tracks.values() if t.state is not None]
        open_.sort(key=lambda alert: (alert.state != State.FIRING, alert.since, alert.subject))
        return [*open_, *reversed(self._resolved)]

    def state(self) -> AlertsState:
        """Return what it remembers of alerts that are or were open."""
        tracks = [msgspec.structs.replace(one) for one in self._tracks.values() if one.told]
        return AlertsState(tracks, list(self._outbox.values()), list(self._resolved), self._now)

    def restore(self, state: AlertsState) -> None:
        """Go on from a state; what is alerted already is not alerted again.

        Alerts of a rule that there is none of any more are left out.
        """
        for track in state.tracks:
            rule = self._rules.get(track.rule.name)
            if rule is not None:
                track.rule = rule
                self._tracks[rule.name, track.subject] = track
        self._outbox = {one.id: one for one in state.outbox}
        self._resolved = list(state.resolved)[-self._kept :]
        self._now = state.now

    def _step(self, track: _Track, *, active: bool) -> None:
        rule, now = track.rule, self._now
        if active:
            track.quiet_since = 0
            if track.state is None:
                track.since = now
                self._enter(track, State.PENDING)
            if track.state is State.PENDING and now - track.since >= rule.hold_s * SECOND_NS:
                self._enter(track, State.FIRING)
                self._tell(track)
            elif track.state is State.FIRING and now - track.told_at >= rule.repeat_s * SECOND_NS:
                self._tell(track)
        elif track.state is State.PENDING:
            track.state = None
        elif track.state is State.FIRING:
            track.quiet_since = track.quiet_since or now
            if now - track.quiet_since >= rule.clear_s * SECOND_NS:
                self._resolve(track)

    def _enter(self, track: _Track, state: State) -> None:
        track.state, track.changed_at = state, self._now

    def _resolve(self, track: _Track) -> None:
        self._enter(track, State.RESOLVED)
        self._tell(track)
        self._resolved = [*self._resolved, _alert(track)][-self._kept :]
        track.state = None

    def _tell(self, track: _Track) -> None:
        """Put a notification into the outbox, in the place of an unsent one of the same alert.

        A firing alert that was never sent and is over by now is still two notifications: that it
        happened is not kept quiet.
        """
        track.told_at = self._now
        track.told += 1
        alert = _alert(track)
        if track.unsent is not None and alert.state is State.FIRING:
            self._outbox.pop(track.unsent, None)
        name = f"{track.rule.name}:{track.subject}:{track.since}:{track.told}"
        track.unsent = name if alert.state is State.FIRING else None
        self._outbox[name] = Notification(id=name, alert=alert)


def _alert(track: _Track) -> Alert:
    signal = track.signal
    return Alert(
        rule=track.rule.name,
        subject=track.subject,
        severity=track.rule.severity,
        state=track.state or State.RESOLVED,
        since=track.since,
        changed_at=track.changed_at,
        value=_finite(signal.value) if signal else None,
        threshold=_finite(signal.threshold) if signal else None,
        summary=signal.summary if signal else "",
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
