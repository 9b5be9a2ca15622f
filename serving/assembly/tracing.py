"""Which steps a request for observations went through, and how long each of them took.

Nothing in the service knows of traces: the core and the publisher are watched from outside, by what
goes in and what comes out. What a request caused is known by sequences of the journal up to the
calculator, and by instruments from there on. A step is recorded when it is over, for the sampled
requests that it was done for; what no request asked for (heartbeats, age) is in no trace.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from ..journal import Entry
from ..monitor import Step, Tracer
from ..observations import Observation
from ..publish import Ledger, Market, Plan, Publisher, SignedBatch, Signer
from ..quote import Calculation, Quote
from ..service import ServiceCore
from ..service.records import Append, Effect, Refuse, Reply, Show, Submit
from ..settings import FallbackSettings
from .publishing import PUBLISHED

Causes = tuple[str, ...]
"""``traceparent`` of requests."""

_KEPT = 1_000  # records whose calculation is waited for; a calculator may be down for days
_MOST = 32  # requests that one step is linked to


class Trail:
    """What requests cause, from event to event; spans come out.

    Parameters
    ----------
    tracer : Tracer
        Takes the spans.
    worked : callable
        When the calculator began and ended its last results, ns UTC; zeros if not known.
    now : callable
        The clock of the machine, ns UTC: a clock of the service may be of another time.
    """

    def __init__(
        self,
        tracer: Tracer,
        *,
        worked: Callable[[], tuple[int, int]] = lambda: (0, 0),
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._tracer, self._worked, self._now = tracer, worked, now
        self._asking: dict[int, Causes] = {}
        self._submitted: deque[tuple[int, Causes, int]] = deque(maxlen=_KEPT)
        self._results: Causes = ()  # they are in hand, and not quoted yet
        self._results_at = 0
        self._quoted: tuple[Causes, int, int] = ((), 0, 0)  # in the append under way
        self._append_at = 0
        self._caused: dict[str, Causes] = {}  # by instrument, until the publisher looks at it
        self._planned: Causes = ()
        self._planned_at = 0

    def asked(self, ticket: int) -> None:
        """Take a request; the span that is open is its cause."""
        cause = self._tracer.traceparent()
        if cause:
            self._asking[ticket] = (cause,)

    def noted(self, ticket: int) -> None:
        """Take the record of the plan that is open."""
        if self._planned:
            self._asking[ticket] = self._planned

    def calculated(self, calculations: Sequence[Calculation], *, applied: int) -> None:
        """Take results, before the core has them."""
        if not self._submitted or self._submitted[0][0] > applied:
            return
        now, causes, waited_from = self._now(), Causes(), self._submitted[0][2]
        while self._submitted and self._submitted[0][0] <= applied:
            causes = _joined(causes, self._submitted.popleft()[1])
        began, ended = self._worked()
        took = (began, ended) if ended else (waited_from, now)
        self._tracer.record(Step.CALCULATE, causes, span=took, sequence=applied)
        self._results_at = self._results_at if self._results else now
        self._results = _joined(self._results, causes)
        for one in calculations:
            self._caused[one.instrument] = _joined(self._caused.get(one.instrument, ()), causes)

    def began(self, effects: Iterable[Effect]) -> None:
        """Take the effects of any event, whether an append begins among them."""
        for effect in effects:
            if isinstance(effect, Append):
                self._append_at = self._now()
                self._quoted = (self._results, self._results_at, self._append_at)
                self._results = ()
            elif isinstance(effect, Reply):
                self._asking.pop(effect.ticket, None)

    def settled(self) -> None:
        """Note that nothing is being appended: results in hand have changed no quote."""
        if self._results and not self._append_at:
            self._quoted, self._results = (self._results, self._results_at, self._now()), ()
            self._record_quotes(0)

    def appended(self, effects: Sequence[Effect], *, failed: bool = False) -> None:
        """Take what became of the append under way."""
        began, self._append_at = self._append_at, 0
        causes: Causes = self._quoted[0]
        of_record: dict[int, Causes] = {}
        shown = 0
        for effect in effects:
            if isinstance(effect, Reply):
                own = self._asking.pop(effect.ticket, ())
                places = {one.sequence for one in effect.receipts if one.sequence} if own else ()
                for place in places:
                    of_record[place] = _joined(of_record.get(place, ()), own)
                causes = _joined(causes, own) if places else causes
            elif isinstance(effect, Refuse):
                causes = _joined(causes, self._asking.pop(effect.ticket, ()))
            elif isinstance(effect, Show):
                shown += len(effect.rows)
        now = self._now()
        self._record_quotes(shown)
        if causes:
            self._tracer.record(Step.JOURNAL, causes, span=(began, now), failed=failed)
        for effect in effects:
            if isinstance(effect, Submit) and effect.sequence in of_record:
                self._submitted.append((effect.sequence, of_record[effect.sequence], now))
        self.began(effects)

    def planned(self, quotes: Iterable[Quote], *, began: int, due: bool) -> None:
        """Take quotes that the publisher has looked at, and whether something is to be signed."""
        causes = Causes()
        if self._caused:
            for quote in quotes:
                causes = _joined(causes, self._caused.pop(quote.instrument, ()))
        if due:
            self._planned, self._planned_at = causes, began

    def signed(self, began: int, *, updates: int) -> None:
        """Take note that what was planned is signed now."""
        causes, self._planned = self._planned, ()
        if causes:
            now = self._now()
            self._tracer.record(Step.SIGN, causes, span=(began, now))
            self._tracer.record(Step.PUBLISH, causes, span=(self._planned_at, now), updates=updates)

    def now(self) -> int:
        """Return the time of the machine, ns UTC."""
        return self._now()

    def _record_quotes(self, shown: int) -> None:
        (causes, began, ended), self._quoted = self._quoted, ((), 0, 0)
        if causes:
            self._tracer.record(Step.QUOTE, causes, span=(began, ended), quotes=shown)


class TracedCore(ServiceCore):
    """A core whose events leave a trail.

    Parameters
    ----------
    instruments, fallback
        As of :class:`~foremargin.serving.service.ServiceCore`.
    trail : Trail
        Where.
    """

    def __init__(
        self, instruments: Iterable[str], *, trail: Trail, fallback: FallbackSettings | None = None
    ) -> None:
        super().__init__(instruments, fallback=fallback)
        self._trail = trail

    def observed(
        self, observations: Sequence[Observation], *, by: str, ticket: int, now: int
    ) -> list[Effect]:
        """As of the core; the open span is the cause of what follows."""
        self._trail.asked(ticket)
        return self._seen(super().observed(observations, by=by, ticket=ticket, now=now))

    def noted(self, entry: Entry, *, ticket: int, now: int) -> list[Effect]:
        """As of the core."""
        if entry.kind == PUBLISHED:
            self._trail.noted(ticket)
        return self._seen(super().noted(entry, ticket=ticket, now=now))

    def calculated(
        self, calculations: Iterable[Calculation], *, applied: int, now: int
    ) -> list[Effect]:
        """As of the core."""
        listed = list(calculations)
        self._trail.calculated(listed, applied=applied)
        effects = self._seen(super().calculated(listed, applied=applied, now=now))
        if not self.on_hold:
            self._trail.settled()
        return effects

    def ticked(self, now: int) -> list[Effect]:
        """As of the core."""
        return self._seen(super().ticked(now))

    def calculator_is(self, fault: str, *, now: int) -> list[Effect]:
        """As of the core."""
        return self._seen(super().calculator_is(fault, now=now))

    def appended(self, first: int, *, now: int) -> list[Effect]:
        """As of the core."""
        effects = super().appended(first, now=now)
        self._trail.appended(effects)
        self._trail.settled()
        return effects

    def append_failed(self, reason: str, *, now: int) -> list[Effect]:
        """As of the core."""
        effects = super().append_failed(reason, now=now)
        self._trail.appended(effects, failed=True)
        return effects

    def _seen(self, effects: list[Effect]) -> list[Effect]:
        self._trail.began(effects)
        return effects


class TracedPublisher(Publisher):
    """A publisher whose plans and signatures leave a trail.

    Parameters
    ----------
    ledger, markets, signer
        As of :class:`~foremargin.serving.publish.Publisher`.
    trail : Trail
        Where.
    """

    def __init__(
        self, ledger: Ledger, markets: Iterable[Market], signer: Signer, *, trail: Trail
    ) -> None:
        super().__init__(ledger, markets, signer)
        self._trail = trail

    def plan(self, quotes: Iterable[Quote], *, now: int) -> Plan:
        """As of the publisher."""
        listed, began = list(quotes), self._trail.now()
        plan = super().plan(listed, now=now)
        self._trail.planned(listed, began=began, due=bool(plan.record))
        return plan

    def commit(self, plan: Plan) -> SignedBatch | None:
        """As of the publisher."""
        began = self._trail.now()
        batch = super().commit(plan)
        self._trail.signed(began, updates=len(plan.updates))
        return batch


def make_core(
    instruments: Iterable[str], trail: Trail | None, *, fallback: FallbackSettings
) -> ServiceCore:
    """Return a core; one that leaves a trail if there is one."""
    if trail is None:
        return ServiceCore(instruments, fallback=fallback)
    return TracedCore(instruments, trail=trail, fallback=fallback)


def make_publisher(
    ledger: Ledger, markets: Iterable[Market], signer: Signer, *, trail: Trail | None
) -> Publisher:
    """Return a publisher; one that leaves a trail if there is one."""
    if trail is None:
        return Publisher(ledger, markets, signer)
    return TracedPublisher(ledger, markets, signer, trail=trail)


def _joined(causes: Causes, more: Causes) -> Causes:
    if not more or causes == more:
        return causes
    return tuple(dict.fromkeys((*causes, *more)))[:_MOST]
