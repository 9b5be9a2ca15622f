"""From a quote to the update that a consumer will take: when it is due, and how far it may go."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from ...errors import ForemarginError, InputError
from ..quote import Quote
from .fixed_point import (
    REGIMES,
    margin_update,
    margins_of,
    model_digest,
    regime_of,
    seconds,
    status_of,
)
from .hashing import ZERO
from .ledger import Ledger
from .limits import Check, Held, Limits, Refusal, content_refusal, coupling_refusal, reachable
from .packed import PackedUpdates
from .rule import Due, PublishRule
from .update import MarginUpdate

if TYPE_CHECKING:
    from .columns import Rules

NOT_CONVERTIBLE = "NotConvertible"
"""The quote has a number that is none, or too large."""
LIMITED = "Limited"
"""Signed, but only as far on its way as the consumer's limits allow; the rest follows."""
PREFLIGHT = "Preflight"
"""The trial before signing refused it."""

_MANY = 64  # quotes from which on columns are faster
_MOVES = frozenset({Check.STEP_TOO_LARGE, Check.OUT_OF_BOUNDS})
_NEWS = frozenset({Due.FIRST, Due.REGIME, Due.STATUS})  # worth saying though margins must stay


class Preflight(Protocol):
    """A trial of an update before it is signed, such as on the accounts of the consumer."""

    def refusals(
        self, instrument: str, update: MarginUpdate, held: Held | None, *, now: int
    ) -> Sequence[str]:
        """Return why an update must not be signed, as sentences; empty if it may.

        `held` is what was signed last, `now` in seconds since 1970 UTC.
        """
        ...


class Market(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument that is published, what its consumer allows, and how often.

    Attributes
    ----------
    instrument : str
        Name.
    limits : Limits
        The same as the contract's.
    rule : PublishRule
        When an update is due.
    """

    instrument: str
    limits: Limits = Limits()
    rule: PublishRule = PublishRule()


class Report(Struct, frozen=True, kw_only=True):
    """Something that was not signed, or not as far as was asked.

    Attributes
    ----------
    instrument : str
        Name.
    code : str
        A :class:`.Check`, :data:`NOT_CONVERTIBLE`, :data:`LIMITED` or :data:`PREFLIGHT`.
    message : str
        What must hold and what was found.
    """

    instrument: str
    code: str
    message: str


class Draft(NamedTuple):
    """An update that may be signed, its encoding, why it is due, and what is to be reported.

    Without an update nothing is due, or it must not be signed.
    """

    update: MarginUpdate | None = None
    encoded: bytes = b""
    due: Due = Due.FIRST
    reports: tuple[Report, ...] = ()


class Drafts(NamedTuple):
    """What is to be said of many quotes.

    Attributes
    ----------
    updates : mapping of str to MarginUpdate
        By instrument, in the order in which the quotes were given.
    encoded : dict of str to bytes
        The same, as the contract ABI has it.
    due : dict of str to Due
        Why each.
    reports : list of Report
        What is not said, or not as far as was asked.
    """

    updates: Mapping[str, MarginUpdate]
    encoded: dict[str, bytes]
    due: dict[str, Due]
    reports: list[Report]


class Drafter:
    """Decides what is said of each quote.

    Parameters
    ----------
    ledger : Ledger
        What was said last; read, never written.
    markets : iterable of Market
        What is published.
    preflight : Preflight or None
        A trial that every update must pass besides the limits.
    evidence : mapping of str to bytes
        Root of the evidence for each bundle, by the bundle's digest (hex).
    """

    def __init__(
        self,
        ledger: Ledger,
        markets: Iterable[Market],
        *,
        preflight: Preflight | None,
        evidence: Mapping[str, bytes],
    ) -> None:
        self._ledger = ledger
        self._markets = {market.instrument: market for market in markets}
        self._preflight = preflight
        self._evidence = dict(evidence)

        self._rules: Rules | None = None
        self._kinds: dict[str, int] = {}

    @property
    def instruments(self) -> Collection[str]:
        """Names of what is published."""
        return self._markets.keys()

    def draft(self, quote: Quote, *, now: int) -> Draft:
        """Return what is to be said of the newest quote of an instrument.

        `now` in seconds since 1970 UTC. Nothing raises: what cannot be published is reported.
        """
        market = self._markets.get(quote.instrument)
        if market is None:
            return _refused(quote, Check.UNKNOWN_MARKET, "it must be a published market, is not")
        try:
            due = self._due(market, quote, now)
            if due is None:
                return Draft()
            if self._ledger.is_paused(quote.instrument):
                return _refused(quote, Check.PAUSED, "it must not be paused, is")
            wanted = self._wanted(quote)
            encoded = wanted.abi()
        except InputError as error:
            return _refused(quote, NOT_CONVERTIBLE, str(error))
        return self._accepted(market, quote, Draft(wanted, encoded, due), now)

    def drafts(self, quotes: Mapping[str, Quote], *, now: int) -> Drafts:
        """Return what is to be said of the newest quotes of instruments, as :meth:`draft` does.

        Of many, those that are usual are drafted column by column, unless each needs a trial.
        """
        many = len(quotes) >= _MANY and self._preflight is None
        usual = self._usual(quotes, now) if many else {}
        drafts = Drafts({}, {}, {}, [])
        for name, quote in quotes.items():
            encoded, due = usual.get(name) or self._alone(quote, drafts, now)
            if encoded:
                drafts.encoded[name], drafts.due[name] = encoded, due
        return drafts._replace(updates=PackedUpdates(drafts.encoded)) if usual else drafts

    def _alone(self, quote: Quote, drafts: Drafts, now: int) -> tuple[bytes, Due]:
        one = self.draft(quote, now=now)
        drafts.reports.extend(one.reports)
        if one.update is not None:
            drafts.updates[quote.instrument] = one.update  # type: ignore[index]  # a dict so far
        return one.encoded, one.due

    def _usual(self, quotes: Mapping[str, Quote], now: int) -> dict[str, tuple[bytes, Due]]:
        """Return encoding and reason of what is usual; no encoding where nothing is due."""
        from .columns import NEVER, Rules, usual_drafts  # numpy, which few do without

        if self._rules is None:
            kinds: dict[tuple[Limits, PublishRule], int] = {}  # few: most markets share theirs
            self._kinds = {
                name: kinds.setdefault((one.limits, one.rule), len(kinds))
                for name, one in self._markets.items()
            }
            self._rules = Rules.of(list(kinds))
        ledger, digests = self._ledger, self._digests(quotes.values())
        chosen = [
            (quote, known, ledger.held.packed(name) or NEVER)
            for name, quote in quotes.items()
            if (known := quote.calculation) is not None
            and known.bundle in digests
            and known.regime in REGIMES
            and name in self._markets
            and not ledger.is_paused(name)
        ]
        rules = self._rules.at([self._kinds[quote.instrument] for quote, _, _ in chosen])
        try:
            found = usual_drafts(chosen, rules, digests, epoch=ledger.epoch, now=now)
        except (OverflowError, TypeError):  # a number that does not belong there: one by one
            return {}
        drafts = {chosen[place][0].instrument: (b"", Due.FIRST) for place in found.idle}
        for place, encoded, due in zip(found.places, found.encoded, found.due, strict=True):
            drafts[chosen[place][0].instrument] = encoded, due
        return drafts

    def _digests(self, quotes: Iterable[Quote]) -> dict[str, tuple[bytes, bytes]]:
        """Return digest and root of the evidence of the bundles that are named as they must be."""
        bundles = {one.calculation.bundle for one in quotes if one.calculation is not None}
        found = {}
        for bundle in bundles:
            with suppress(InputError):
                found[bundle] = model_digest(bundle), self._evidence.get(bundle, ZERO)
        return found

    def _due(self, market: Market, quote: Quote, now: int) -> Due | None:
        held = self._ledger.held.get(market.instrument)
        if held is not None and held.update.epoch != self._ledger.epoch:
            held = None
        regime, status = regime_of(quote), status_of(quote)
        due = market.rule.due(margins_of(quote), held, regime=regime, status=status, now=now)
        return None if due is Due.HEARTBEAT and not _renews(quote, held) else due

    def _wanted(self, quote: Quote) -> MarginUpdate:
        prev_seq, prev_digest = self._ledger.last(quote.instrument)
        return margin_update(
            quote,
            seq=prev_seq + 1,
            epoch=self._ledger.epoch,
            prev_seq=prev_seq,
            prev_digest=prev_digest,
            evidence=self._evidence,
        )

    def _accepted(self, market: Market, quote: Quote, asked: Draft, now: int) -> Draft:
        """Return as much of an update as the consumer will take."""
        held, due = self._ledger.held.get(market.instrument), asked.due
        assert asked.update is not None
        wanted = update = asked.update
        reports = asked.reports
        refusal = coupling_refusal(wanted) or self._refusal(market, wanted, held, now)
        if refusal is not None and held is not None and refusal.check in _MOVES:
            shorter = _shortened(wanted, held, market.limits)
            renewal = _renews(quote, held) and market.rule.is_old(held, now=now)
            if shorter.margins != held.update.margins or renewal or due in _NEWS:
                reports = _refused(quote, LIMITED, refusal.message).reports
                update, refusal = shorter, self._refusal(market, shorter, held, now)
        if refusal is not None:
            return _refused(quote, refusal.check, refusal.message)
        if against := self._trial(market.instrument, update, held, now):
            return _refused(quote, PREFLIGHT, *against)
        encoded = asked.encoded if update is wanted else update.abi()
        return Draft(update, encoded, due, reports)

    def _refusal(
        self, market: Market, update: MarginUpdate, held: Held | None, now: int
    ) -> Refusal | None:
        epoch = self._ledger.epoch
        return content_refusal(update, held, market.limits, epoch=epoch, now=now)

    def _trial(self, name: str, update: MarginUpdate, held: Held | None, now: int) -> Sequence[str]:
        if self._preflight is None:
            return ()
        try:
            return self._preflight.refusals(name, update, held, now=now)
        except ForemarginError as error:  # what could not be tried has not passed
            return (str(error),)


def _refused(quote: Quote, code: str, *messages: str) -> Draft:
    name = quote.instrument
    return Draft(
        reports=tuple(Report(instrument=name, code=code, message=text) for text in messages)
    )


def _renews(quote: Quote, held: Held | None) -> bool:
    """Return whether a quote holds longer than what was published: else it says nothing new."""
    return held is None or seconds(quote.valid_until) > held.update.valid_until


def _shortened(wanted: MarginUpdate, held: Held, limits: Limits) -> MarginUpdate:
    """Return the update with its margins as far on their way as the limits allow."""
    margins = reachable(wanted.margins, held, limits, regime=wanted.regime, at=wanted.valid_from)
    names = MarginUpdate.__struct_fields__[1:5]
    return msgspec.structs.replace(wanted, **dict(zip(names, margins, strict=True)))
