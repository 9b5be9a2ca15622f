"""The second signer: checks everything by itself, and signs what it has written down."""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ...errors import InputError
from .draft import PREFLIGHT, Market, Preflight, Report
from .hashing import market_id
from .ledger import ALL, EpochRecord, Ledger, UpdatesRecord, encode_record
from .limits import Check, content_refusal
from .merkle import tree
from .signed import SignedBatch
from .signing import Signer, recover
from .update import MarginUpdate


class Consent(NamedTuple):
    """What a co-signer is about to sign, or why it does not.

    Attributes
    ----------
    record : bytes
        JSON that must be durable before :meth:`CoSigner.commit`; empty if it refuses.
    signed : SignedBatch
        What it was asked for.
    digests : tuple of bytes
        Of the updates, 32 bytes each.
    reports : tuple of Report
        Why it refuses; empty if it does not.
    """

    record: bytes
    signed: SignedBatch
    digests: tuple[bytes, ...]
    reports: tuple[Report, ...]


class CoSigner:
    """A key of its own, on a machine of its own, with limits and a memory of its own.

    It signs a batch whole or not at all. Give it a `preflight` that compares with a calculation
    of its own, and two machines must be wrong in the same way for a wrong margin to pass.

    Parameters
    ----------
    ledger : Ledger
        What it recorded before; of the same domain and epoch.
    markets : iterable of Market
        What it signs for; their rules do not matter.
    signer : Signer
        Its key.
    publishers : collection of str
        Addresses whose batches it signs.
    preflight : Preflight, optional
        A trial that every update must pass besides the limits.

    Raises
    ------
    InputError
        If the ledger was signed with another key.
    """

    def __init__(
        self,
        ledger: Ledger,
        markets: Iterable[Market],
        signer: Signer,
        *,
        publishers: Collection[str],
        preflight: Preflight | None = None,
    ) -> None:
        if ledger.signer not in ("", signer.address):
            raise InputError(f"the key must be that of {ledger.signer}, who signed this epoch")
        self._ledger = ledger
        self._markets = {market.instrument: market for market in markets}
        self._signer = signer
        self._publishers = frozenset(publishers)
        self._preflight = preflight
        self._open: Consent | None = None

    def consider(self, signed: SignedBatch, *, now: int) -> Consent:
        """Check a batch; `now` in seconds since 1970 UTC.

        Asked again for the batch that it signed last, it consents again.

        Raises
        ------
        InputError
            If the batch is not what its publisher signed, or a consent is open.
        """
        self._require_nothing_open()
        digests = self._digests(signed)
        reports = tuple(self._reports(signed, now))
        if reports:
            return Consent(b"", signed, digests, reports)
        record = UpdatesRecord(
            signer=self._signer.address,
            batch=signed.batch.abi(),
            updates={name: update.abi() for name, update in signed.updates.items()},
        )
        self._open = Consent(encode_record(record), signed, digests, ())
        return self._open

    def commit(self, consent: Consent) -> bytes:
        """Return the signature, 65 bytes; the record must be durable.

        Raises
        ------
        InputError
            If it is not the consent that is open, or a market was paused since.
        """
        if consent is not self._open:
            raise InputError("only the consent that is open can be committed, this one is not")
        signed = consent.signed
        self._open = None
        self._ledger.take(self._signer.address, signed.batch, signed.updates, consent.digests)
        if any(map(self._ledger.is_paused, signed.updates)):
            raise InputError("no market of a batch may be paused when it is signed, one is")
        return self._signer.sign(signed.digest)

    def begin(self, epoch: int) -> bytes:
        """Follow the publisher into a new epoch; return the record, to be written first of all.

        Raises
        ------
        InputError
            If it is not above the current one, or a consent is open.
        """
        self._require_nothing_open()
        record = EpochRecord(epoch=epoch, signer=self._signer.address)
        self._ledger.begin(record)
        return encode_record(record)

    def pause(self, instrument: str = ALL) -> bytes:
        """Stop signing for an instrument or for all, at once; return the record to write."""
        return self._ledger.pause(instrument, True, known=self._markets)

    def resume(self, instrument: str = ALL) -> bytes:
        """Sign again; return the record to write. A pause of all is not one of each."""
        return self._ledger.pause(instrument, False, known=self._markets)

    def _require_nothing_open(self) -> None:
        if self._open is not None:
            raise InputError("the consent before must be committed first; write its record again")

    def _digests(self, signed: SignedBatch) -> tuple[bytes, ...]:
        """Return the digests, computed here; nothing in the batch is believed."""
        domain, batch, updates = self._ledger.domain, signed.batch, signed.updates
        digests = tuple([domain.digest(update) for update in updates.values()])
        if (
            not digests
            or tree(digests)[-1][0] != batch.root
            or batch.count != len(digests)
            or signed.digest != domain.digest(batch)
        ):
            raise InputError("a batch must be the root of its updates for this contract, is not")
        if any(update.market_id != market_id(name) for name, update in updates.items()):
            raise InputError("every update must be of the instrument that it is named by, is not")
        signers = {recover(signed.digest, signature) for signature in signed.signatures}
        if not signers & self._publishers:
            raise InputError(f"a batch must be signed by one of {sorted(self._publishers)}, is not")
        return digests

    def _reports(self, signed: SignedBatch, now: int) -> Iterator[Report]:
        """Yield all that stands against a batch."""
        batch, ledger = signed.batch, self._ledger
        again = batch == ledger.batch
        if batch.epoch != ledger.epoch or (not again and batch.batch_seq <= ledger.batch_seq):
            check = Check.WRONG_EPOCH if batch.epoch != ledger.epoch else Check.REPLAYED
            text = f"a batch must be of epoch {ledger.epoch} and above number {ledger.batch_seq}, "
            found = f"was {batch.batch_seq} of {batch.epoch}"
            yield Report(instrument=ALL, code=check, message=text + found)
        for name, update in signed.updates.items():
            if ledger.is_paused(name):
                text = f"{name} must not be paused to be signed, is"
                yield Report(instrument=name, code=Check.PAUSED, message=text)
            elif not again:
                yield from self._against(name, update, now)

    def _against(self, name: str, update: MarginUpdate, now: int) -> Iterator[Report]:
        market, held = self._markets.get(name), self._ledger.held.get(name)
        if market is None:
            text = f"{name} must be one of the markets signed for, is not"
            yield Report(instrument=name, code=Check.UNKNOWN_MARKET, message=text)
            return
        epoch = self._ledger.epoch
        refusal = content_refusal(update, held, market.limits, epoch=epoch, now=now)
        if refusal is not None:
            yield Report(instrument=name, code=refusal.check, message=refusal.message)
        elif self._preflight is not None:
            for sentence in self._preflight.refusals(name, update, held, now=now):
                yield Report(instrument=name, code=PREFLIGHT, message=sentence)
