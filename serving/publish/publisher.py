"""The publisher: quotes in, signed updates out, and nothing is signed before it is on the disk.

It does no input or output of its own: :meth:`Publisher.plan` says what to write down,
:meth:`Publisher.commit` signs it once that is done.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from ...errors import InputError
from ..quote import Quote
from .draft import Drafter, Drafts, Market, Preflight, Report
from .fixed_point import seconds
from .ledger import ALL, EpochRecord, Ledger, UpdatesRecord, encode_record
from .merkle import Levels, tree
from .rule import Due
from .signed import SignedBatch, SignedUpdate, batch_of
from .signing import Signer
from .update import MarginBatch, MarginUpdate


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be signed, and what is to be written down before.

    Attributes
    ----------
    record : bytes
        JSON that must be durable before :meth:`Publisher.commit`; empty if there is nothing to do.
    updates : mapping of str to MarginUpdate
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
    updates: Mapping[str, MarginUpdate]
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
        self._drafter = Drafter(ledger, markets, preflight=preflight, evidence=evidence or {})
        self._signer = signer
        self._next_signer = signer
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
        drafts = self._drafter.drafts(dict(sorted(newest.items())), now=time)
        if not drafts.encoded:
            return Plan(record=b"", updates={}, reports=tuple(drafts.reports))
        self._open = self._opened(drafts, time)
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
        recorded = ledger.batch if ledger.batch_seq else None
        if recorded is None or any(map(ledger.is_paused, ledger.in_batch)):
            return None
        if self._batch is None:
            updates = {name: ledger.held[name].update for name in ledger.in_batch}
            levels = tree(map(ledger.held.digest, ledger.in_batch))
            self._batch = self._signed(recorded, updates, levels)
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
        return self._ledger.pause(instrument, True, known=self._drafter.instruments)

    def resume(self, instrument: str = ALL) -> bytes:
        """Sign again; return the record to write. A pause of all is not one of each."""
        return self._ledger.pause(instrument, False, known=self._drafter.instruments)

    def snapshot(self) -> bytes:
        """Return the ledger as JSON, for :meth:`Ledger.restored`.

        Raises
        ------
        InputError
            If a plan is open: its record would have to come after the snapshot, and may be before.
        """
        self._require_nothing_open()
        return self._ledger.snapshot()

    def _opened(self, drafts: Drafts, time: int) -> Plan:
        updates, encoded = drafts.updates, drafts.encoded
        digests = self._ledger.domain.digests_of_abi(encoded.values())
        batch, levels = batch_of(updates, digests, seq=self._ledger.batch_seq + 1, now=time)
        record = UpdatesRecord(signer=self._signer.address, batch=batch.abi(), updates=encoded)
        return Plan(
            record=encode_record(record),
            updates=updates,
            digests=digests,
            due=drafts.due,
            batch=batch,
            levels=levels,
            reports=tuple(drafts.reports),
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

    def _require_nothing_open(self) -> None:
        if self._open is not None:
            raise InputError(
                "the plan before must be committed first; write its record again if that failed"
            )
