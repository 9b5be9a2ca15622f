"""The publisher: quotes in, signed updates out, and nothing is signed before it is on the disk.

It does no input or output of its own: :meth:`Publisher.plan` says what to write down,
:meth:`Publisher.commit` signs it once that is done.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from ...errors import ForemarginError, InputError
from ..quote import Quote
from .fixed_point import margin_update, margins_of, regime_of, seconds, status_of
from .ledger import (
    ALL,
    EpochRecord,
    Ledger,
    PauseRecord,
    UpdatesRecord,
    encode_record,
)
from .limits import (
    Check,
    Held,
    Limits,
    Refusal,
    content_refusal,
    coupling_refusal,
    reachable,
)
from .merkle import Levels, tree
from .rule import Due, PublishRule
from .signed import SignedBatch, SignedUpdate, batch_of
from .signing import Signer
from .update import MarginBatch, MarginUpdate

NOT_CONVERTIBLE = "NotConvertible"
"""The quote has a number that is none, or too large."""
LIMITED = "Limited"
"""Signed, but only as far on its way as the consumer's limits allow; the rest follows."""
PREFLIGHT = "Preflight"
"""The trial on the consumer's accounts refused it."""


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


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be signed, and what is to be written down before.

    Attributes
    ----------
    record : bytes
        JSON that must be durable before :meth:`Publisher.commit`; empty if there is nothing to do.
    updates : dict of str to MarginUpdate
        By instrument, in the order of their names.
    digests : tuple of bytes
        Of the updates.
    due : dict of str to Due
        Why each.
    batch : MarginBatch or None
        The batch of all of them.
    levels : tuple of tuple of bytes
        Its tree.
    reports : tuple of Report
        What was not signed, or not as far as was asked.
    """

    record: bytes
    updates: dict[str, MarginUpdate]
    digests: tuple[bytes, ...] = ()
    due: dict[str, Due] = {}
    batch: MarginBatch | None = None
    levels: Levels = ()
    reports: tuple[Report, ...] = ()


class Publisher:
    """Makes updates of quotes, in order, within the consumer's limits, never two of one number.

    Parameters
    ----------
    ledger : Ledger
        What was recorded before; a new one if nothing was.
    markets : iterable of Market
        What is published.
    signer : Signer
        The key of this epoch.
    preflight : Preflight, optional
        A trial that every update must pass besides the limits.
    evidence : mapping of str to bytes, optional
        Root of the evidence for each bundle, by the bundle's digest (hex).

    Raises
    ------
    InputError
        If the ledger was signed with another key: a new key needs a new epoch, see :meth:`rotate`.
    """

    def __init__(
        self,
        ledger: Ledger,
        markets: Iterable[Market],
        signer: Signer,
        *,
        preflight: Preflight | None = None,
        evidence: Mapping[str, bytes] | None = None,
    ) -> None:
        if ledger.signer and ledger.signer != signer.address:
            raise InputError(
                f"the key must be that of {ledger.signer}, who signed this epoch, was that of "
                f"{signer.address}; start with the old key and rotate"
            )
        self._ledger = ledger
        self._markets = {market.instrument: market for market in markets}
        self._signer = signer
        self._next_signer = signer
        self._preflight = preflight
        self._evidence = dict(evidence or {})
        self._open: Plan | None = None
        self._batch: SignedBatch | None = None
        self._singles: dict[str, SignedUpdate] = {}

    @property
    def epoch(self) -> int:
        """Current epoch; the contract must be in the same."""
        return self._ledger.epoch

    def plan(self, quotes: Iterable[Quote], *, now: int) -> Plan:
        """Return what is due, at most one update per instrument.

        Parameters
        ----------
        quotes : iterable of Quote
            In any order; of two of one instrument the one with the higher sequence counts.
        now : int
            ns since 1970 UTC.

        Raises
        ------
        InputError
            If the plan before was not committed: repeat writing its record, then commit it. A
            record that may be on the disk cannot be taken back.
        """
        self._require_nothing_open()
        newest: dict[str, Quote] = {}
        for quote in quotes:
            known = newest.get(quote.instrument)
            if known is None or known.sequence < quote.sequence:
                newest[quote.instrument] = quote
        time = seconds(now)
        updates: dict[str, MarginUpdate] = {}
        due: dict[str, Due] = {}
        reports: list[Report] = []
        for name in sorted(newest):
            made = self._made(newest[name], time, reports)
            if made is not None:
                updates[name], due[name] = made
        if not updates:
            return Plan(record=b"", updates={}, reports=tuple(reports))
        self._open = self._opened(updates, due, tuple(reports), time)
        return self._open

    def commit(self, plan: Plan) -> SignedBatch | None:
        """Sign what was planned; its record must be durable.

        None if it holds no updates, or one of its markets was paused meanwhile: the others can be
        had by :meth:`signed`.

        Raises
        ------
        InputError
            If it is not the plan that is open.
        """
        if not plan.record:
            return None
        if plan is not self._open:
            raise InputError("only the plan that is open can be committed, this one is not")
        self._open, self._batch = None, None
        if plan.batch is None:
            self._ledger.replay(plan.record)
            self._signer = self._next_signer
            self._singles = {}
            return None
        self._ledger.take(self._signer.address, plan.batch, plan.updates, plan.digests)
        for name in plan.updates:
            self._singles.pop(name, None)
        if not any(map(self._ledger.is_paused, plan.updates)):
            self._batch = self._signed(plan.batch, plan.updates, plan.levels)
        return self._batch

    def batch(self) -> SignedBatch | None:
        """Return the last batch that was recorded, signed.

        None if there is none in this epoch, or one of its markets is paused.
        """
        ledger = self._ledger
        if not ledger.batch_seq or any(map(ledger.is_paused, ledger.in_batch)):
            return None
        if self._batch is None:
            assert ledger.batch is not None
            held = {name: ledger.held[name] for name in ledger.in_batch}
            updates = {name: one.update for name, one in held.items()}
            levels = tree(one.digest for one in held.values())
            self._batch = self._signed(ledger.batch, updates, levels)
        return self._batch

    def signed(self, instrument: str) -> SignedUpdate | None:
        """Return the instrument's last update that was recorded, signed by itself.

        None if there is none in this epoch, or it is paused.
        """
        if not self._ledger.last(instrument)[0] or self._ledger.is_paused(instrument):
            return None
        if instrument not in self._singles:
            held = self._ledger.held[instrument]
            self._singles[instrument] = SignedUpdate(
                instrument=instrument,
                update=held.update,
                domain=self._ledger.domain,
                digest=held.digest,
                signatures=(self._signer.sign(held.digest),),
            )
        return self._singles[instrument]

    def rotate(self, signer: Signer | None = None) -> Plan:
        """Return the plan for a new epoch, with a new key or, after a roll-back, with the same.

        Sequences begin anew; the limits on movement hold on. The contract must be told too.
        """
        self._require_nothing_open()
        self._next_signer = signer or self._signer
        record = EpochRecord(epoch=self.epoch + 1, signer=self._next_signer.address)
        self._open = Plan(record=encode_record(record), updates={})
        return self._open

    def pause(self, instrument: str = ALL) -> bytes:
        """Stop signing for an instrument or for all, at once; return the record to write."""
        return self._set_paused(PauseRecord(instrument=instrument, paused=True))

    def resume(self, instrument: str = ALL) -> bytes:
        """Sign again; return the record to write. A pause of all is not one of each."""
        return self._set_paused(PauseRecord(instrument=instrument, paused=False))

    def snapshot(self) -> bytes:
        """Return the ledger as JSON, for :meth:`Ledger.restored`.

        Raises
        ------
        InputError
            If a plan is open: its record would have to come after the snapshot, and may be before.
        """
        self._require_nothing_open()
        return self._ledger.snapshot()

    def _made(
        self, quote: Quote, time: int, reports: list[Report]
    ) -> tuple[MarginUpdate, Due] | None:
        """Return one update and why, or None; what stands against it goes to the reports."""
        name = quote.instrument
        market = self._markets.get(name)
        if market is None:
            text = f"{name} must be one of the published markets, is not"
            reports.append(Report(instrument=name, code=Check.UNKNOWN_MARKET, message=text))
            return None
        try:
            due = self._due(market, quote, time)
            if due is None:
                return None
            update = self._wanted(quote)
        except InputError as error:
            reports.append(Report(instrument=name, code=NOT_CONVERTIBLE, message=str(error)))
            return None
        accepted, found = self._accepted(market, update, time)
        reports += [Report(instrument=name, code=code, message=text) for code, text in found]
        return None if accepted is None else (accepted, due)

    def _due(self, market: Market, quote: Quote, time: int) -> Due | None:
        held = self._ledger.held.get(market.instrument)
        if held is not None and held.update.epoch != self.epoch:
            held = None
        regime, status = regime_of(quote), status_of(quote)
        return market.rule.due(margins_of(quote), held, regime=regime, status=status, now=time)

    def _wanted(self, quote: Quote) -> MarginUpdate:
        prev_seq, prev_digest = self._ledger.last(quote.instrument)
        return margin_update(
            quote,
            seq=prev_seq + 1,
            epoch=self.epoch,
            prev_seq=prev_seq,
            prev_digest=prev_digest,
            evidence=self._evidence,
        )

    def _accepted(
        self, market: Market, update: MarginUpdate, time: int
    ) -> tuple[MarginUpdate | None, list[tuple[str, str]]]:
        """Return what the consumer will take of an update, None if nothing, and what was left."""
        name, held = market.instrument, self._ledger.held.get(market.instrument)
        if self._ledger.is_paused(name):
            return None, [(Check.PAUSED, f"{name} must not be paused to be signed, is")]
        left: list[tuple[str, str]] = []
        refusal = coupling_refusal(update) or self._refusal(market, update, held, time)
        if refusal is not None and held is not None and refusal.check in _MOVES:
            shorter = _shortened(update, held, market.limits)
            if shorter.margins != held.update.margins or market.rule.is_old(held, now=time):
                left = [(LIMITED, refusal.message)]
                update, refusal = shorter, self._refusal(market, shorter, held, time)
        if refusal is not None:
            return None, [(refusal.check, refusal.message)]
        against = self._trial(name, update, held, time)
        return (None, against) if against else (update, left)

    def _refusal(
        self, market: Market, update: MarginUpdate, held: Held | None, time: int
    ) -> Refusal | None:
        return content_refusal(update, held, market.limits, epoch=self.epoch, now=time)

    def _trial(
        self, name: str, update: MarginUpdate, held: Held | None, time: int
    ) -> list[tuple[str, str]]:
        if self._preflight is None:
            return []
        try:
            found = self._preflight.refusals(name, update, held, now=time)
        except ForemarginError as error:  # what cannot be tried was not passed
            found = [str(error)]
        return [(PREFLIGHT, sentence) for sentence in found]

    def _opened(
        self,
        updates: dict[str, MarginUpdate],
        due: dict[str, Due],
        reports: tuple[Report, ...],
        time: int,
    ) -> Plan:
        digest = self._ledger.domain.digest
        digests = tuple([digest(update) for update in updates.values()])
        batch, levels = batch_of(updates, digests, seq=self._ledger.batch_seq + 1, now=time)
        record = UpdatesRecord(
            signer=self._signer.address,
            batch=batch.abi(),
            updates={name: update.abi() for name, update in updates.items()},
        )
        return Plan(
            record=encode_record(record),
            updates=updates,
            digests=digests,
            due=due,
            batch=batch,
            levels=levels,
            reports=reports,
        )

    def _signed(
        self, batch: MarginBatch, updates: Mapping[str, MarginUpdate], levels: Levels
    ) -> SignedBatch:
        digest = self._ledger.domain.digest(batch)
        return SignedBatch(
            batch=batch,
            updates=updates,
            domain=self._ledger.domain,
            digest=digest,
            signatures=(self._signer.sign(digest),),
            levels=levels,
        )

    def _set_paused(self, record: PauseRecord) -> bytes:
        self._ledger.set_paused(record)
        return encode_record(record)

    def _require_nothing_open(self) -> None:
        if self._open is not None:
            raise InputError(
                "the plan before must be committed first; write its record again if that failed"
            )


_MOVES = frozenset({Check.STEP_TOO_LARGE, Check.OUT_OF_BOUNDS})


def _shortened(update: MarginUpdate, held: Held, limits: Limits) -> MarginUpdate:
    """Return the update with its margins as far on their way as the limits allow."""
    margins = reachable(update.margins, held, limits, regime=update.regime, at=update.valid_from)
    names = MarginUpdate.__struct_fields__[1:5]
    return msgspec.structs.replace(update, **dict(zip(names, margins, strict=True)))
