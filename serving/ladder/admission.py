"""Who is let in: the rules for observations that are late, known, impossible or hard to believe.

A price is hard to believe in two cases. It is an *outlier* if it is further from the last price
than both a fixed move and a multiple of the usual one. It is *dislocated* if several other venues
agree and it is off (:mod:`.consensus`). Such an observation is held back. An outlier is believed as
soon as another source, or enough further observations of its own, come out on the same side, at
least half as far; it is forgotten when its own source comes back or its period closes. While other
venues agree with one another, no number of prices of one venue is believed.

The rules are functions of what was let in or held back before, in the order of the journal, so
that a restart arrives at the same state.
"""

import math
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from ...errors import InputError
from ..observations import Bar, Observation, OraclePrice, Tick
from ..ports import Outcome
from .consensus import is_dislocated
from .plausible import impossible

_SECOND = 10**9
_USUAL_WEIGHT = 0.05  # of the newest move in the usual one: about the last forty count


class AdmissionLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds of the rules.

    Attributes
    ----------
    outlier_move : float
        Log distance from the last price that is never an outlier.
    outlier_multiple : float
        Usual moves (exponential mean of absolute log moves of the same kind of observation) that
        are never an outlier.
    first_usual_move : float
        Usual move before any was seen, log.
    confirmations : int
        Further ticks or oracle prices of the same source that make an outlier believed; one more
        bar is enough.
    confirmed_within_s : float
        Age above which a tick or oracle price that is held back counts no more.
    ahead_s : float
        Seconds that an observation may be ahead of the clock.
    fresh_s : float
        Age up to which the price of another venue counts for the consensus.
    spread, tolerance : float
        Median distances, and relative distance, from the median of all venues that are never a
        dislocation; as in :func:`foremargin.calibrate.addons.venue_consensus`.
    """

    outlier_move: float = 0.05
    outlier_multiple: float = 10.0
    first_usual_move: float = 0.02
    confirmations: int = 3
    confirmed_within_s: float = 900.0
    ahead_s: float = 60.0
    fresh_s: float = 60.0
    spread: float = 5.0
    tolerance: float = 0.002

    def __post_init__(self) -> None:
        if not 1 <= self.confirmations <= 16:
            raise InputError(f"confirmations must be in 1 to 16, was {self.confirmations}")
        for name in self.__struct_fields__:
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be finite, at least 0, was {getattr(self, name)}")


_KINDS = {Bar: "bar", Tick: "tick", OraclePrice: "oracle"}
_NONE: list[Observation] = []
_REMEMBERED = 16
_HELD = 17  # per source: an outlier and the most confirmations that can be asked for


class Known(Struct, frozen=True, kw_only=True, gc=False):
    """What is known of one instrument.

    Attributes
    ----------
    closed : int
        Close of its last bar, ns UTC.
    price, priced_at : float, int
        Last price that was believed, 0 if none, and its time.
    usual : dict of str to float
        Usual absolute log move by kind of observation.
    recent : dict of str to list
        Last observations of each feed (kind and source), believed or held back.
    held : list
        Observations that are held back, oldest first.
    """

    closed: int = 0
    price: float = 0.0
    priced_at: int = 0
    usual: dict[str, float] = {}
    recent: dict[str, list[Observation]] = {}
    held: list[Observation] = []


class Verdict(Struct, frozen=True, kw_only=True, gc=False):
    """What becomes of an observation.

    Attributes
    ----------
    outcome : Outcome
        As the receipt says it.
    reason : str
        Why, if it is not simply accepted.
    admitted : list
        What goes to the calculator now: what it confirmed, and itself; empty unless accepted.
    """

    outcome: Outcome
    reason: str = ""
    admitted: list[Observation] = []


class Trial:
    """Judgements that do not count until they are committed; see :meth:`Admission.trial`."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self.changed: dict[str, Known] = {}

    def judge(self, observation: Observation, *, now: int) -> Verdict:
        """Judge an observation after those judged before; `now` in ns UTC."""
        name, limits = observation.instrument, self._admission.limits
        known = self.changed.get(name) or self._admission.known.get(name)
        if known is None:
            reason = f"instrument must be one of the service's, was {name}"
            return Verdict(outcome=Outcome.UNKNOWN_INSTRUMENT, reason=reason)
        verdict = _judge(known, observation, now=now, limits=limits)
        if verdict.outcome is Outcome.OUTLIER:
            self.changed[name] = held_back(known, observation)
        for admitted in verdict.admitted:
            known = let_in(known, admitted, limits=limits)
            self.changed[name] = known
        return verdict


class Admission:
    """The rules for all instruments.

    Parameters
    ----------
    instruments : iterable of str
        Instruments of the service; others are not let in.
    limits : AdmissionLimits, optional
        Thresholds.
    known : mapping, optional
        State to go on from.
    """

    def __init__(
        self,
        instruments: Iterable[str],
        *,
        limits: AdmissionLimits | None = None,
        known: Mapping[str, Known] | None = None,
    ) -> None:
        self.limits = AdmissionLimits() if limits is None else limits
        before = {} if known is None else known
        self.known = {name: before.get(name, Known()) for name in instruments}

    def trial(self) -> Trial:
        """Start judging; nothing changes before :meth:`commit`."""
        return Trial(self)

    def commit(self, trial: Trial) -> None:
        """Take over what a trial changed; call it when its observations are on the disk."""
        self.known.update(trial.changed)

    def replay(self, observations: Iterable[Observation], *, held: bool) -> None:
        """Take over observations of the journal that were let in, or held back."""
        for observation in observations:
            known = self.known.get(observation.instrument)
            if known is not None:  # else it was an instrument of the service in the past
                after = (
                    held_back(known, observation)
                    if held
                    else let_in(known, observation, limits=self.limits)
                )
                self.known[observation.instrument] = after


def let_in(known: Known, observation: Observation, *, limits: AdmissionLimits) -> Known:
    """Return the state after an observation was believed."""
    price, time, kind = price_of(observation), observation.time, _KINDS[type(observation)]
    closed = max(known.closed, time) if isinstance(observation, Bar) else known.closed
    usual, held = known.usual, known.held
    if known.price > 0.0:
        move = abs(math.log(price / known.price))
        before = usual.get(kind, limits.first_usual_move)
        usual = {**usual, kind: before + _USUAL_WEIGHT * (move - before)}
    newest = time >= known.priced_at
    if held:  # seldom; a start replays a million records through here
        held = [
            waiting
            for waiting in held
            if not (_feed(waiting) == _feed(observation) and waiting.time <= time)
            and not (waiting.time <= closed and not isinstance(waiting, Bar))
        ]
    return Known(
        closed=closed,
        price=price if newest else known.price,
        priced_at=time if newest else known.priced_at,
        usual=usual,
        recent=_remembered(known, observation),
        held=held,
    )


def held_back(known: Known, observation: Observation) -> Known:
    """Return the state after an observation was held back."""
    source = source_of(observation)
    own = [waiting for waiting in known.held if source_of(waiting) == source]
    gone = own[: max(len(own) + 1 - _HELD, 0)]
    held = [waiting for waiting in known.held if waiting not in gone]
    return msgspec.structs.replace(
        known, recent=_remembered(known, observation), held=[*held, observation]
    )


def _judge(known: Known, observation: Observation, *, now: int, limits: AdmissionLimits) -> Verdict:
    if reason := impossible(observation):
        return Verdict(outcome=Outcome.INVALID, reason=reason)
    if observation.time > now + limits.ahead_s * _SECOND:
        reason = f"time must be at most {limits.ahead_s:g} s ahead of the service's clock"
        return Verdict(outcome=Outcome.INVALID, reason=reason)
    if (verdict := _out_of_place(known, observation)) is not None:
        return verdict
    reason, confirmable = _hard_to_believe(known, observation, limits)
    if not reason:
        return Verdict(outcome=Outcome.ACCEPTED, admitted=[observation])
    confirmed = _confirmed(known, observation, limits) if confirmable else []
    if confirmed:
        return Verdict(outcome=Outcome.ACCEPTED, admitted=[*confirmed, observation])
    return Verdict(outcome=Outcome.OUTLIER, reason=reason)


def _out_of_place(known: Known, observation: Observation) -> Verdict | None:
    """Judge the moment of an observation."""
    recent = known.recent.get(_feed(observation), [])
    for earlier in reversed(recent):
        if earlier.time == observation.time:
            if earlier == observation:
                return Verdict(outcome=Outcome.DUPLICATE, reason="it is known already")
            reason = "another one of the same moment is known, and the first one counts"
            return Verdict(outcome=Outcome.CONFLICT, reason=reason)
    if observation.time <= known.closed:
        reason = f"time must be after the close of the last bar, {known.closed} ns"
        return Verdict(outcome=Outcome.LATE, reason=reason)
    if recent and observation.time < recent[-1].time:
        reason = f"time must not be before the last one of its source, {recent[-1].time} ns"
        return Verdict(outcome=Outcome.INVALID, reason=reason)
    return None


def _hard_to_believe(
    known: Known, observation: Observation, limits: AdmissionLimits
) -> tuple[str, bool]:
    """Say why, and whether more of the same makes it believed."""
    price = price_of(observation)
    if not isinstance(observation, Bar):
        others = _other_venues(known, observation, limits)
        if is_dislocated(price, others, spread=limits.spread, tolerance=limits.tolerance):
            return f"{len(others)} other venues agree, and it is off; held back", False
    if known.price <= 0.0:
        return "", True
    usual = known.usual.get(_KINDS[type(observation)], limits.first_usual_move)
    limit = max(limits.outlier_move, limits.outlier_multiple * usual)
    move = math.log(price / known.price)
    if abs(move) <= limit:
        return "", True
    return f"log move must be within {limit:.4g} of the last price, was {move:.4g}; held back", True


def _other_venues(known: Known, observation: Observation, limits: AdmissionLimits) -> list[float]:
    """Return the fresh prices of other venues and oracles."""
    own, oldest = source_of(observation), observation.time - limits.fresh_s * _SECOND
    last = (feed[-1] for feed in known.recent.values() if not isinstance(feed[-1], Bar))
    return [price_of(other) for other in last if source_of(other) != own and other.time >= oldest]


def _confirmed(
    known: Known, observation: Observation, limits: AdmissionLimits
) -> list[Observation]:
    """Return what is held back and is believed together with this one; empty if too little is."""
    oldest = observation.time - limits.confirmed_within_s * _SECOND
    move = math.log(price_of(observation) / known.price)
    alike = [
        waiting
        for waiting in known.held
        if (isinstance(waiting, Bar) or waiting.time >= oldest)
        and _same_way(move, math.log(price_of(waiting) / known.price))
    ]
    own = [waiting for waiting in alike if source_of(waiting) == source_of(observation)]
    further = [*own[1:], observation] if own else []
    evidence = sum(limits.confirmations if isinstance(o, Bar) else 1 for o in further)
    return alike if len(own) < len(alike) or evidence >= limits.confirmations else []


def _same_way(a: float, b: float) -> bool:
    return a * b > 0.0 and 0.5 <= abs(a / b) <= 2.0


def _remembered(known: Known, observation: Observation) -> dict[str, list[Observation]]:
    feed = _feed(observation)
    before = known.recent.get(feed, _NONE)
    # One that was held back is let in now; a feed is in order, so it is not behind its last time.
    if before and before[-1].time >= observation.time and observation in before:
        return known.recent
    return {**known.recent, feed: [*before[1 - _REMEMBERED :], observation]}


def price_of(observation: Observation) -> float:
    """Return the price that an observation is judged by: a bar's close."""
    return observation.close if isinstance(observation, Bar) else observation.price


def source_of(observation: Observation) -> str:
    """Return who says so; a bar is of the instrument's own venue."""
    if isinstance(observation, OraclePrice):
        return f"oracle {observation.source}"
    return observation.venue if isinstance(observation, Tick) else ""


def _feed(observation: Observation) -> str:
    return f"{_KINDS[type(observation)]} {source_of(observation)}"
