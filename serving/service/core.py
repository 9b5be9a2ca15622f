"""The service without input and output: events and a time in, effects out.

One append is under way at a time. What comes meanwhile waits and goes into the next one, so that a
busy service shares its fsyncs. Nothing counts before it is on the disk: admission judges on trial,
and a quote is followed only when it was appended. If the disk does not take a quote, it is shown
all the same, since an old one would say less, and it is appended when the disk is back.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from msgspec.structs import replace

from ..journal import Entry, Record
from ..ladder import (
    Admission,
    AdmissionLimits,
    Breaker,
    BreakerSettings,
    BreakerState,
    Ladder,
    Standing,
    differs,
    unsound,
)
from ..observations import Observation
from ..ports import Companion, Outcome, Receipt
from ..quote import Calculation, Quote, Status
from ..settings import FallbackSettings
from ..table import encoded
from .culprits import Omissions
from .flight import Flight, Note, Request
from .records import (
    COMMAND,
    HELD,
    LEFT_OUT,
    OBSERVATIONS,
    QUOTES,
    Accompanied,
    Append,
    Effect,
    Made,
    Observed,
    Refuse,
    Reply,
    Show,
    Submit,
    decode_commanded,
    decode_left_out,
    decode_observed,
    decode_quoted,
    encode,
    encode_quoted,
)
from .state import Row, State
from .waiting import Waiting

PAUSED = "paused by an operator: margins may rise and not fall"
ON_TRIAL = "results were faulty lately and are on trial: margins may rise and not fall"
_NOT_CALCULATED = (Status.STALE, Status.FALLBACK)
_NEVER = 2**63
_BATCH = 8 * 2**20  # bytes of one append, about


class ServiceCore:
    """Admission, breakers, ladder and the order of the journal, for all instruments.

    Every method that takes an event returns the effects to carry out, in order.

    Parameters
    ----------
    instruments : sequence of str
        Names; each has a quote from the first effect on.
    fallback : FallbackSettings, optional
        Of the ladder.
    limits : AdmissionLimits, optional
        Of admission.
    breakers : BreakerSettings, optional
        Of the breakers.

    Attributes
    ----------
    last : int
        Last sequence of the journal that is in the state.
    standings : dict of str to Standing
        By instrument.
    paused : bool
        Whether an operator has said that no margin may fall.
    companion : Companion or None
        Asked for a record to append with quotes; told by ``Accompanied`` what became of it.
    on_hold : bool
        Whether no append may be started, while the journal is opened again; what comes waits.
    disk_fault, calculator_fault : str
        What is wrong with them; empty if nothing is.
    ignored, last_fault : int, str
        Calculations that could not be true or were of no instrument, and what was wrong with the
        last of the former.
    left_out : Omissions
        Records that the calculator was not given or has refused.
    """

    def __init__(
        self,
        instruments: Iterable[str],
        *,
        fallback: FallbackSettings | None = None,
        limits: AdmissionLimits | None = None,
        breakers: BreakerSettings | None = None,
    ) -> None:
        names = list(dict.fromkeys(instruments))
        self.admission = Admission(names, limits=limits)
        self.standings = {name: Standing() for name in names}
        self.breakers: dict[str, Breaker] = {}
        self.waiting = Waiting()
        self.last = 0
        self.paused = self.on_hold = False
        self.companion: Companion | None = None
        self.disk_fault = self.calculator_fault = ""
        self.ignored = 0
        self.last_fault = ""
        self.left_out = Omissions()
        self._breaker_settings = breakers
        self._ladder = Ladder(fallback)
        self._stale = int(self._ladder.settings.stale_after_s * 10**9)
        self._queue: deque[Request | Note] = deque()
        self._flight: Flight | None = None
        self._changed: dict[str, None] = dict.fromkeys(names)
        self._owed: dict[str, Made] = {}
        self._due: list[tuple[int, str]] = []
        self._scheduled: dict[str, int] = {}
        self._behind = False

    def observed(
        self, observations: Sequence[Observation], *, by: str, ticket: int, now: int
    ) -> list[Effect]:
        """Take observations; ``Reply`` comes when those let in are on the disk."""
        self._queue.append(Request(ticket, observations, by))
        return self._next(now)

    def noted(self, entry: Entry, *, ticket: int, now: int) -> list[Effect]:
        """Take a record of another kind; ``Reply`` has its place."""
        self._queue.append(Note(ticket, entry))
        return self._next(now)

    def calculated(
        self, calculations: Iterable[Calculation], *, applied: int, now: int
    ) -> list[Effect]:
        """Take results, and the sequence up to which the calculator has applied everything."""
        repeated = applied <= self.waiting.applied
        self.waiting.done(applied)
        for calculation in calculations:
            self._take(calculation, now, repeated=repeated)
        return self._next(now)

    def ticked(self, now: int) -> list[Effect]:
        """Let time pass: what has come of age is quoted anew."""
        while self._due and self._due[0][0] <= now:
            then, name = heapq.heappop(self._due)
            if self._scheduled.get(name) == then:
                del self._scheduled[name]
                last = self.standings[name].quote
                if last is not None and last.valid_until > now:
                    self._schedule(name)
                else:
                    self._changed[name] = None
        since = self.waiting.since
        behind = since is not None and now - since > self._stale
        if behind is not self._behind:
            self._changed.update(dict.fromkeys(self.standings))
        self._behind = behind
        return self._next(now)

    def calculator_is(self, fault: str, *, now: int) -> list[Effect]:
        """Take what is wrong with the calculator; empty if it runs."""
        if fault != self.calculator_fault:
            self.calculator_fault = fault
            old = (q.instrument for q in self.quotes() if q.status in _NOT_CALCULATED)
            self._changed.update(dict.fromkeys(old))  # their reason is another now
        return self._next(now)

    def appended(self, first: int, *, now: int) -> list[Effect]:
        """Take the good news of the append under way: sequence of its first record."""
        flight, self._flight, self.disk_fault = self._landed(), None, ""
        self.last = first + len(flight.entries) - 1
        self.admission.commit(flight.trial)
        effects: list[Effect] = []
        for ticket, receipts in flight.receipts:
            placed = [
                replace(r, sequence=first + r.sequence - 1) if r.sequence else r for r in receipts
            ]
            effects.append(Reply(ticket, placed))
        for place, observations in flight.submits:
            self.waiting.submitted(first + place, flight.now)
            effects.append(Submit(observations, first + place))
        for name in flight.owed:
            self._owed.pop(name, None)
        return effects + self._show(flight, on_disk=True) + self._next(now)

    def append_failed(self, reason: str, *, now: int) -> list[Effect]:
        """Take the bad news: nothing of the append under way is on the disk."""
        flight, self._flight, self.disk_fault = self._landed(), None, reason
        refused: list[Effect] = [Refuse(ticket, reason) for ticket, _ in flight.receipts]
        for _, made in flight.made:
            self._owed[made.quote.instrument] = made
        # What waits would most likely fail as well; what comes next, or time, tries again.
        refused += [Refuse(waiting.ticket, reason) for waiting in self._queue]
        self._queue.clear()
        return refused + self._show(flight, on_disk=False)

    def pause(self, paused: bool) -> None:
        """Let margins fall no more, or again; ``ticked`` or the next event shows it."""
        self.paused = paused
        for name, standing in self.standings.items():
            if not paused and standing.doubt == PAUSED:
                self.standings[name] = replace(standing, doubt="")
                self._changed[name] = None

    def replay(self, record: Record) -> list[Effect]:
        """Take a record of the journal that this state does not have yet, at a start."""
        self.last = record.sequence
        if record.kind in (OBSERVATIONS, HELD):
            observations = decode_observed(record.payload).observations
            self.admission.replay(observations, held=record.kind == HELD)
            if record.kind == OBSERVATIONS:
                self.waiting.submitted(record.sequence, record.time)
                return [Submit(observations, record.sequence)]
        elif record.kind == QUOTES:
            quoted = decode_quoted(record.payload)
            self.waiting.done(quoted.applied)
            for made in quoted.quotes:
                name = made.quote.instrument
                owed = self._owed.get(name)
                if owed is not None and owed.quote.sequence <= made.quote.sequence:
                    del self._owed[name]
                if name in self.standings:  # else it was an instrument of the service in the past
                    self._follow(made, self.standings[name])
        elif record.kind == COMMAND:
            command = decode_commanded(record.payload)
            if command.stage == "done" and command.name in ("pause", "resume"):
                self.pause(command.name == "pause")
        elif record.kind == LEFT_OUT:
            left_out = decode_left_out(record.payload)
            self.left_out = self.left_out.plus(left_out, now=record.time)
        return []

    def state(self) -> State:
        """Return the state after record `last`; nothing in it changes afterwards."""
        known = self.admission.known
        return State(
            last=self.last,
            paused=self.paused,
            applied=self.waiting.applied,
            times=self.waiting.times,
            owed=list(self._owed.values()),
            left_out=self.left_out,
            rows=[Row(n, standing, known[n]) for n, standing in self.standings.items()],
        )

    def restore(self, state: State) -> None:
        """Go on from a state; instruments that are not the service's any more are left out."""
        self.last, self.paused, self.left_out = state.last, state.paused, state.left_out
        self.waiting.restarted(state.applied, state.times)
        self._owed = {m.quote.instrument: m for m in state.owed}
        for row in state.rows:
            if row.name in self.standings:
                self.standings[row.name] = row.standing
                self.admission.known[row.name] = row.known
                self._schedule(row.name)

    def quotes(self) -> list[Quote]:
        """Return the last quote of every instrument that has one."""
        return [s.quote for s in self.standings.values() if s.quote is not None]

    def health(self, now: int) -> dict[str, Any]:
        """Return plain JSON: what is wrong, and how many quotes have which status and basis."""
        quotes = self.quotes()
        states = {name: breaker.state(now).value for name, breaker in self.breakers.items()}
        since = self.waiting.since
        return {
            "status": _counts(quote.status.value for quote in quotes),
            "rungs": _counts(quote.basis.value for quote in quotes),
            "oldest_s": max((now - q.observed_at for q in quotes if q.observed_at), default=0)
            / 1e9,
            "breakers": {name: state for name, state in states.items() if state != "closed"},
            "paused": self.paused,
            "disk": {"fault": self.disk_fault, "last": self.last, "owed": len(self._owed)},
            "calculator": {
                "fault": self.calculator_fault,
                "applied": self.waiting.applied,
                "waiting_s": 0.0 if since is None else max(now - since, 0) / 1e9,
                "ignored": self.ignored,
                "last_fault": self.last_fault,
                "left_out": self.left_out.count,
                "last_left_out": self.left_out.told(),
            },
        }

    def _landed(self) -> Flight:
        assert self._flight is not None, "an append must be under way"
        return self._flight

    def _take(self, calculation: Calculation, now: int, *, repeated: bool) -> None:
        name = calculation.instrument
        standing = self.standings.get(name)
        if standing is None:
            self.ignored += 1
            return
        known = standing.calculation
        breaker = self.breakers.get(name)
        if fault := unsound(calculation):
            breaker = self.breakers.setdefault(name, Breaker(self._breaker_settings))
            breaker.failed(now)
            self.ignored += 1
            self.last_fault = f"{name}: {fault}"
            return
        if known is not None and (
            calculation.observed_at < known.observed_at
            # After a restart the calculator says again what it said, unless it has another bundle.
            or (repeated and calculation.bundle == known.bundle)
            or calculation == known
        ):
            return
        tried = BreakerState.CLOSED if breaker is None else breaker.succeeded(now)
        doubt = ON_TRIAL if tried is not BreakerState.CLOSED else PAUSED if self.paused else ""
        self.standings[name] = self._ladder.calculated(standing, calculation, doubt=doubt)
        self._changed[name] = None

    def _next(self, now: int) -> list[Effect]:
        """Start the next append if none is under way and there is something to append."""
        if self._flight is not None or self.on_hold:
            return []
        flight = Flight(self.admission.trial(), now)
        size = 0
        while self._queue and size < _BATCH:
            waiting = self._queue.popleft()
            before = len(flight.entries)
            if isinstance(waiting, Note):
                flight.entries.append(waiting.entry)
                receipt = Receipt(outcome=Outcome.ACCEPTED, sequence=before + 1)
                flight.receipts.append((waiting.ticket, [receipt]))
            else:
                self._judge(waiting, flight)
            size += sum(len(entry.payload) for entry in flight.entries[before:])
        self._quote(flight)
        if not flight.entries:
            return [Reply(ticket, receipts) for ticket, receipts in flight.receipts]
        self._flight = flight
        return [Append(flight.entries, now)]

    def _judge(self, request: Request, flight: Flight) -> None:
        """Judge the observations of a request; neighbours of one fate share a record."""
        verdicts = [flight.trial.judge(o, now=flight.now) for o in request.observations]
        receipts = []
        for outcome, run in groupby(
            zip(request.observations, verdicts, strict=True), key=lambda pair: pair[1].outcome
        ):
            pairs = list(run)
            held = outcome is Outcome.OUTLIER
            if held or outcome is Outcome.ACCEPTED:
                kept = [o for o, v in pairs for o in ([o] if held else v.admitted)]
                payload = encode(Observed(kept))
                if not held:
                    flight.submits.append((len(flight.entries), kept))
                kind = HELD if held else OBSERVATIONS
                flight.entries.append(Entry(kind, request.by, payload))
            place = len(flight.entries) if held or outcome is Outcome.ACCEPTED else 0
            receipts += [
                Receipt(outcome=outcome, sequence=place, reason=v.reason) for _, v in pairs
            ]
        flight.receipts.append((request.ticket, receipts))

    def _quote(self, flight: Flight) -> None:
        """Add the quotes that say something new, and those that the disk did not take."""
        since = self.waiting.since
        cause = self.calculator_fault or self.disk_fault
        for name in self._changed:
            standing = self.standings[name]
            quote = self._ladder.quote(
                standing, name, now=flight.now, waiting_since=since, cause=cause
            )
            last = standing.quote
            if last is None or last.valid_until <= flight.now or differs(quote, last):
                made = Made(quote=quote, doubt=standing.doubt, waiting_since=since)
                flight.made.append((standing, made))
        self._changed.clear()
        fresh = [made for _, made in flight.made]
        flight.rows = [encoded(made.quote) for made in fresh]
        names = {made.quote.instrument for made in fresh} if self._owed else ()
        owed = [made for name, made in self._owed.items() if name not in names]
        flight.owed = list(self._owed)
        if fresh or owed:
            old = [encoded(made.quote) for made in owed]
            payload = encode_quoted(self.waiting.applied, [*owed, *fresh], [*old, *flight.rows])
            flight.entries.append(Entry(QUOTES, "", payload))
        if fresh and self.companion is not None:
            beside = self.companion.beside([made.quote for made in fresh], now=flight.now)
            if beside is not None:
                flight.entries.append(beside)
                flight.accompanied = True

    def _show(self, flight: Flight, *, on_disk: bool) -> list[Effect]:
        for then, one in flight.made:
            self._follow(one, then)
        shown: list[Effect] = [Show(flight.rows)] if flight.rows else []
        return [*shown, Accompanied(on_disk)] if flight.accompanied else shown

    def _follow(self, made: Made, then: Standing) -> None:
        """Take a quote into the state that it was made from; what came meanwhile stays."""
        name = made.quote.instrument
        now = self.standings[name]
        after = self._ladder.followed(
            then, made.quote, doubt=made.doubt, waiting_since=made.waiting_since
        )
        if now.calculation is not then.calculation:
            assert now.calculation is not None
            after = self._ladder.calculated(after, now.calculation, doubt=now.doubt)
        self.standings[name] = replace(after, doubt=now.doubt) if now is not then else after
        self._schedule(name)

    def _schedule(self, name: str) -> None:
        """Have an instrument looked at when its quote runs out; it is in the heap once."""
        quote = self.standings[name].quote
        if quote is not None and quote.valid_until < self._scheduled.get(name, _NEVER):
            self._scheduled[name] = quote.valid_until
            heapq.heappush(self._due, (quote.valid_until, name))


def _counts(values: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts
