"""What can be asked, as plans that both clients run."""

import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote as percent_encoded
from uuid import uuid4

import msgspec

from ..errors import InputError
from .errors import AnswerError
from .exchange import Answer, Call, Exchange, Plan
from .freshness import Freshness
from .remembered import Remembered
from .types import (
    AuditEntry,
    AuditPage,
    Forecast,
    Health,
    InstrumentList,
    Observation,
    Quote,
    QuotePage,
    Receipt,
    ReceiptList,
    Schedule,
    SignedUpdate,
    Simulation,
)

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_KEY = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
_LONGEST_WAIT_S = 3_600.0


class Questions:
    """Plans for every question; the state is what may be asked for conditionally.

    Parameters
    ----------
    exchange : Exchange
        Where to.
    clock : callable
        ns since 1970 UTC; counts only where an answer has no ``Date``.
    """

    def __init__(self, exchange: Exchange, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.exchange = exchange
        self._clock = clock
        self._quotes: Remembered[Quote] = Remembered()
        self._updates: Remembered[SignedUpdate] = Remembered()

    # ------------------------------------------------------------ margins

    def margin(self, instrument: str, freshness: Freshness) -> Plan[Quote]:
        """One quote; an unchanged one does not travel again."""
        path = f"/v1/margins/{escaped(instrument)}"
        etag, known = self._quotes.get(path)
        headers = {"if-none-match": etag} if known is not None else {}
        accept = frozenset({200, 304}) if known is not None else frozenset({200})
        answer = yield from self.exchange.ask(
            Call(method="GET", path=path, headers=headers, accept=accept)
        )
        quote = known
        if answer.status == 200 or quote is None:
            quote = decoded(answer, Quote)
            if quote.instrument != instrument:
                raise AnswerError(
                    f"the margin must be that of {instrument}, was that of {quote.instrument}"
                )
            self._quotes.put(path, answer.headers.get("etag", ""), quote)
        return self._checked(quote, answer, freshness)

    def page(
        self, instruments: Collection[str] | None, *, after: str | None, limit: int
    ) -> Plan[tuple[Answer, QuotePage]]:
        """One page of quotes: those named, or all."""
        params = {"limit": str(limit)} if instruments is None else {}
        if instruments is not None:
            params["instruments"] = ",".join(instruments)
        if after is not None:
            params["after"] = after
        answer = yield from self.exchange.ask(Call(method="GET", path="/v1/margins", params=params))
        return answer, decoded(answer, QuotePage)

    def checked_page(self, answer: Answer, page: QuotePage, freshness: Freshness) -> list[Quote]:
        """Return the quotes of a page, or raise for the first that is not fresh."""
        return [self._checked(quote, answer, freshness) for quote in page.quotes]

    def _checked(self, quote: Quote, answer: Answer, freshness: Freshness) -> Quote:
        now, age_s = self._now_and_age(quote, answer)
        return freshness.check(quote, age_s=age_s, now=now)

    def _now_and_age(self, quote: Quote, answer: Answer) -> tuple[int, float]:
        """Return upper bounds of the service's time (ns UTC) and of the age of a quote (s).

        Date and Age are whole seconds rounded down, and the answer travelled for at most as long
        as the attempt took. The clock of this machine counts only without a Date.
        """
        late_ns = round(answer.elapsed_s * 1e9) + 1_000_000_000
        date = _date_ns(answer.headers.get("date"))
        now = self._clock() if date is None else date + late_ns
        age_s = (now - quote.observed_at) / 1e9 if quote.observed_at else math.inf
        said = answer.headers.get("age", "")
        if said.isascii() and said.isdigit() and len(said) < 12:
            age_s = max(age_s, float(said) + late_ns / 1e9)
        return now, age_s

    # ------------------------------------------------------------ other reads

    def get(self, path: str, kind: type[T], **params: str) -> Plan[T]:
        """Any read."""
        answer = yield from self.exchange.ask(Call(method="GET", path=path, params=params))
        return decoded(answer, kind)

    def instruments(self) -> Plan[list[str]]:
        """Names."""
        found = yield from self.get("/v1/instruments", InstrumentList)
        return found.instruments

    def history(self, instrument: str, *, limit: int) -> Plan[list[Quote]]:
        """Last quotes, oldest first."""
        path = f"/v1/margins/{escaped(instrument)}/history"
        page = yield from self.get(path, QuotePage, limit=str(limit))
        return page.quotes

    def forecast(self, instrument: str) -> Plan[Forecast]:
        """Volatility, regime and what else was forecast."""
        return (yield from self.get(f"/v1/forecasts/{escaped(instrument)}", Forecast))

    def schedule(self, instrument: str) -> Plan[Schedule]:
        """Margins with the time in which they hold."""
        return (yield from self.get(f"/v1/schedules/{escaped(instrument)}", Schedule))

    def update(self, instrument: str, *, wait_s: float) -> Plan[SignedUpdate]:
        """Last signed update, or the next one."""
        if not 0.0 <= wait_s <= _LONGEST_WAIT_S:
            raise InputError(f"wait_s must be in 0 to {_LONGEST_WAIT_S:g}, was {wait_s}")
        path, seconds = f"/v1/updates/{escaped(instrument)}", math.ceil(wait_s)
        etag, known = self._updates.get(path)
        headers = {"prefer": f"wait={seconds}"} if seconds else {}
        if known is not None:
            headers["if-none-match"] = etag
        accept = frozenset({200, 304}) if known is not None else frozenset({200})
        call = Call(method="GET", path=path, headers=headers, accept=accept, wait_s=seconds)
        answer = yield from self.exchange.ask(call)
        if answer.status == 304 and known is not None:
            return known
        update = decoded(answer, SignedUpdate)
        self._updates.put(path, answer.headers.get("etag", ""), update)
        return update

    def update_batch(self) -> Plan[dict[str, Any]]:
        """Last batch."""
        return (yield from self.get("/v1/updates/batch", dict[str, Any]))

    def audit_page(self, *, after: int, limit: int) -> Plan[list[AuditEntry]]:
        """Entries above a sequence."""
        page = yield from self.get("/v1/audit", AuditPage, after=str(after), limit=str(limit))
        return page.entries

    def health(self) -> Plan[Health]:
        """Whether it is ready; not being ready is an answer here and no error."""
        answer = yield from self.exchange.ask(
            Call(method="GET", path="/readyz", accept=frozenset({200, 503}))
        )
        details = decoded(answer, dict[str, Any])
        ready = answer.status == 200 and details.get("ready", True) is True
        return Health(ready=ready, details=details)

    # ------------------------------------------------------------ what is sent

    def simulate(self, positions: Mapping[str, float]) -> Plan[Simulation]:
        """Margin of signed notional amounts."""
        wrong = {name: value for name, value in positions.items() if not math.isfinite(value)}
        if wrong:
            raise InputError(f"notional amounts must be finite, found {wrong}")
        rows = [{"instrument": name, "notional": value} for name, value in positions.items()]
        call = Call(
            method="POST", path="/v1/portfolios:simulate", body=_encode({"positions": rows})
        )
        answer = yield from self.exchange.ask(call)
        found = decoded(answer, dict[str, Any])
        margin = found.get("margin")
        if isinstance(margin, bool) or not isinstance(margin, int | float):
            raise AnswerError(f"the answer must have a number as margin, had {margin!r}")
        return Simulation(margin=float(margin), answer=found)

    def observations(
        self, observations: Sequence[Observation], *, idempotency_key: str | None
    ) -> Plan[list[Receipt]]:
        """Hand in observations, once however often it is tried."""
        for observation in observations:
            _must_be_finite(observation)
        answer = yield from self.exchange.ask(
            Call(
                method="POST",
                path="/v1/observations",
                body=_encode(list(observations)),
                idempotency_key=_key(idempotency_key),
                accept=frozenset({200, 201, 202}),
            )
        )
        receipts = decoded(answer, ReceiptList).receipts
        if len(receipts) != len(observations):
            raise AnswerError(
                f"there must be a receipt for each of {len(observations)} observations, "
                f"came {len(receipts)}"
            )
        return receipts

    def command(
        self, name: str, arguments: Mapping[str, Any], *, idempotency_key: str | None
    ) -> Plan[dict[str, Any]]:
        """Tell the service to do something, once however often it is tried."""
        answer = yield from self.exchange.ask(
            Call(
                method="POST",
                path=f"/v1/commands/{escaped(name)}",
                body=_encode(dict(arguments)),
                idempotency_key=_key(idempotency_key),
                accept=frozenset({200, 202}),
            )
        )
        return decoded(answer, dict[str, Any])


def escaped(name: str) -> str:
    """Return a name as one segment of a path.

    Raises
    ------
    InputError
        If it is empty or a step in the path.
    """
    if name in {"", ".", ".."}:
        raise InputError(f"a name must be a word, was {name!r}")
    return percent_encoded(name, safe=":")


def decoded(answer: Answer, kind: type[T]) -> T:
    """Return the body of an answer as its type.

    Raises
    ------
    AnswerError
        If it is no JSON, or not of the type.
    """
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise AnswerError(
            f"the answer must be {getattr(kind, '__name__', kind)} as JSON, was not: {error}"
        ) from error


def _key(given: str | None) -> str:
    if given is None:
        return uuid4().hex
    if not _KEY.fullmatch(given):
        raise InputError(
            f"an idempotency key must be 1 to 128 visible ASCII characters without quotes and "
            f"backslashes, was {given!r}"
        )
    return given


def _must_be_finite(observation: Observation) -> None:
    values = {
        name: value
        for name, value in msgspec.structs.asdict(observation).items()
        if isinstance(value, float)
    }
    values.update(getattr(observation, "more", {}))
    wrong = {name: value for name, value in values.items() if not math.isfinite(value)}
    if wrong:
        # JSON has no word for them, and null would read as something that was left out.
        raise InputError(
            f"numbers of {observation.instrument} must be finite, found {wrong}; leave out what is "
            f"not known"
        )


def _date_ns(text: str | None) -> int | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000
