"""What was signed, or may have been: written down before it is signed, and read after a crash.

Every record is durable before anything in it is signed. A record that was written is final: after
a restart its content is signed again, byte for byte, and its sequence numbers are never used for
anything else.
"""

from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec import Struct
from msgspec.json import Decoder, Encoder

from ...errors import InputError
from .hashing import ZERO
from .limits import Held
from .merkle import tree
from .packed import HeldUpdates, PackedUpdates
from .update import Domain, MarginBatch, MarginUpdate

ALL = ""
"""In the place of an instrument's name: all of them."""


class UpdatesRecord(Struct, frozen=True, kw_only=True, tag="updates", forbid_unknown_fields=True):
    """A batch and its updates, by instrument, as the ABI encodes them; and who signs."""

    signer: str
    batch: bytes
    updates: dict[str, bytes]


class EpochRecord(Struct, frozen=True, kw_only=True, tag="epoch", forbid_unknown_fields=True):
    """A new epoch, and who signs from now on."""

    epoch: int
    signer: str


class PauseRecord(Struct, frozen=True, kw_only=True, tag="pause", forbid_unknown_fields=True):
    """An instrument, or all of them, is paused or is not any more."""

    instrument: str
    paused: bool


class _Snapshot(Struct, frozen=True, kw_only=True, tag="snapshot", forbid_unknown_fields=True):
    epoch: int
    signer: str
    separator: bytes
    held: dict[str, bytes]
    batch: bytes
    in_batch: list[str]
    paused: list[str]


Record = UpdatesRecord | EpochRecord | PauseRecord

encode_record = Encoder().encode
"""Return a record as JSON."""

_decode_record = Decoder(Record).decode
_decode_snapshot = Decoder(_Snapshot).decode


class Ledger:
    """The last update of every market, the last batch, the epoch, who signs, and what is paused.

    Parameters
    ----------
    domain : Domain
        Of all digests.
    epoch : int
        To begin with; the contract's.
    """

    def __init__(self, domain: Domain, *, epoch: int = 1) -> None:
        self.domain = domain
        self.epoch = epoch
        self.signer = ""
        self.held = HeldUpdates()
        self.batch: MarginBatch | None = None
        self.in_batch: tuple[str, ...] = ()
        self.paused: frozenset[str] = frozenset()

    @classmethod
    def restored(cls, domain: Domain, snapshot: bytes, records: Iterable[bytes] = ()) -> "Ledger":
        """Return the ledger of a snapshot and the records that came after it.

        Raises
        ------
        InputError
            If they are damaged, of another domain, or not in order.
        """
        try:
            known = _decode_snapshot(snapshot)
        except msgspec.MsgspecError as error:
            raise InputError(f"a snapshot must be what a ledger wrote: {error}") from error
        if known.separator != domain.separator:
            raise InputError("a snapshot must be of the same chain and contract, is of another")
        ledger = cls(domain, epoch=known.epoch)
        ledger.signer, ledger.paused = known.signer, frozenset(known.paused)
        for name, encoded in known.held.items():
            update = MarginUpdate.from_abi(encoded)
            ledger.held[name] = Held(update=update, digest=domain.digest(update))
        if known.batch:
            ledger._set_batch(MarginBatch.from_abi(known.batch), known.in_batch)
        for record in records:
            ledger.replay(record)
        return ledger

    @property
    def batch_seq(self) -> int:
        """Number of the last batch of this epoch, 0 if there is none."""
        return self.batch.batch_seq if self.batch and self.batch.epoch == self.epoch else 0

    def is_paused(self, instrument: str) -> bool:
        """Return whether an instrument is paused, by itself or with all of them."""
        return ALL in self.paused or instrument in self.paused

    def last(self, instrument: str) -> tuple[int, bytes]:
        """Return sequence and digest of the instrument's last update in this epoch, or zeros."""
        held = self.held.get(instrument)
        if held is None or held.update.epoch != self.epoch:
            return 0, ZERO
        return held.update.seq, held.digest

    def snapshot(self) -> bytes:
        """Return everything as JSON."""
        snapshot = _Snapshot(
            epoch=self.epoch,
            signer=self.signer,
            separator=self.domain.separator,
            held=self.held.encoded(),
            batch=self.batch.abi() if self.batch else b"",
            in_batch=list(self.in_batch),
            paused=sorted(self.paused),
        )
        return encode_record(snapshot)

    def replay(self, encoded: bytes) -> None:
        """Take up a record; the very last one may come twice.

        Raises
        ------
        InputError
            If it is damaged, of another domain, or not in order; nothing changed.
        """
        try:
            record = _decode_record(encoded)
        except msgspec.MsgspecError as error:
            raise InputError(f"a record must be what a ledger wrote: {error}") from error
        if isinstance(record, UpdatesRecord):
            updates = {n: MarginUpdate.from_abi(code) for n, code in record.updates.items()}
            digests = [self.domain.digest(update) for update in updates.values()]
            self._take(record.signer, MarginBatch.from_abi(record.batch), updates, digests)
        elif isinstance(record, EpochRecord):
            self.begin(record)
        else:
            self.set_paused(record)

    def take(
        self,
        signer: str,
        batch: MarginBatch,
        updates: Mapping[str, MarginUpdate],
        digests: Iterable[bytes],
    ) -> None:
        """Take up what was recorded just now; its root is known to be right."""
        if isinstance(updates, PackedUpdates):
            self.held.take(updates, digests)
        else:
            for (name, update), digest in zip(updates.items(), digests, strict=True):
                self.held[name] = Held(update=update, digest=digest)
        self.signer, self.batch, self.in_batch = signer, batch, tuple(updates)

    def begin(self, record: EpochRecord) -> None:
        """Begin an epoch, or find that it has begun."""
        if (record.epoch, record.signer) == (self.epoch, self.signer):
            return
        if record.epoch <= self.epoch:
            raise InputError(f"an epoch must be above {self.epoch}, the last, was {record.epoch}")
        self.epoch, self.signer = record.epoch, record.signer

    def pause(self, instrument: str, paused: bool, *, known: Collection[str]) -> bytes:
        """Pause or resume one of the known instruments, or all; return the record to write.

        Raises
        ------
        InputError
            If there is no such instrument: nothing would have stopped.
        """
        if instrument != ALL and instrument not in known:
            raise InputError(f"only a market can be paused or resumed, {instrument!r} is none")
        record = PauseRecord(instrument=instrument, paused=paused)
        self.set_paused(record)
        return encode_record(record)

    def set_paused(self, record: PauseRecord) -> None:
        """Pause or resume as recorded."""
        one = {record.instrument}
        self.paused = self.paused | one if record.paused else self.paused - one

    def _take(
        self,
        signer: str,
        batch: MarginBatch,
        updates: dict[str, MarginUpdate],
        digests: list[bytes],
    ) -> None:
        if batch == self.batch and signer == self.signer:
            return
        if not updates or tree(digests)[-1][0] != batch.root:
            raise InputError("a record must be of this chain and contract, and whole; is not")
        if batch.epoch != self.epoch or batch.batch_seq <= self.batch_seq:
            raise InputError(
                f"a batch must be of epoch {self.epoch} and above number {self.batch_seq}, was "
                f"{batch.batch_seq} of epoch {batch.epoch}"
            )
        for name, update in updates.items():
            seq, digest = self.last(name)
            follows = seq < update.seq and seq <= update.prev_seq
            if not follows or (update.prev_seq == seq and update.prev_digest != digest):
                raise InputError(f"an update of {name} must follow number {seq}, does not")
        self.take(signer, batch, updates, digests)

    def _set_batch(self, batch: MarginBatch, names: list[str]) -> None:
        if tree(self.held.digest(name) for name in names)[-1][0] != batch.root:
            raise InputError("a snapshot must hold the updates of its batch, does not")
        self.batch, self.in_batch = batch, tuple(names)
