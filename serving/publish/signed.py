"""What is released: an update with its signatures, or a batch and the way into it."""

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Struct

from ...errors import InputError
from .merkle import Levels, proof, tree
from .packed import PackedUpdates
from .signing import in_order, recover
from .update import BATCH_FIELDS, UPDATE_FIELDS, Domain, MarginBatch, MarginUpdate


class SignedUpdate(Struct, frozen=True, kw_only=True):
    """One update, and who signed it.

    Attributes
    ----------
    instrument : str
        Name behind ``update.market_id``.
    update : MarginUpdate
        What is said.
    domain : Domain
        For which contract.
    digest : bytes
        What was signed, 32 bytes.
    signatures : tuple of bytes
        65 bytes each, by rising address of the signers, as the contract wants them.
    """

    instrument: str
    update: MarginUpdate
    domain: Domain
    digest: bytes
    signatures: tuple[bytes, ...]

    def joined(self, signatures: Iterable[bytes]) -> "SignedUpdate":
        """Return it with more signatures, each signer once."""
        all_of_them = in_order(self.digest, (*self.signatures, *signatures))
        return msgspec.structs.replace(self, signatures=all_of_them)

    def is_complete(self, signers: Collection[str], *, threshold: int) -> bool:
        """Return whether enough of these signers signed, and nobody else."""
        return _is_complete(self.digest, self.signatures, signers, threshold)

    def plain(self) -> dict[str, Any]:
        """Return JSON: the message as wallets take it (EIP-712), numbers above 32 bit as text."""
        return {
            "instrument": self.instrument,
            "domain": _domain(self.domain),
            "primaryType": "MarginUpdate",
            "message": plain_message(self.update),
            "digest": _hex(self.digest),
            "signatures": [_hex(signature) for signature in self.signatures],
        }


class SignedBatch(Struct, frozen=True, kw_only=True, dict=True):
    """Many updates under one signature.

    Attributes
    ----------
    batch : MarginBatch
        What was signed.
    updates : mapping of str to MarginUpdate
        By instrument, in the order of the leaves.
    domain, digest, signatures
        As in :class:`SignedUpdate`, of the batch.
    levels : tuple of tuple of bytes
        The tree; see :mod:`.merkle`.
    """

    batch: MarginBatch
    updates: Mapping[str, MarginUpdate]
    domain: Domain
    digest: bytes
    signatures: tuple[bytes, ...]
    levels: Levels

    @cached_property
    def _index(self) -> dict[str, int]:
        return {instrument: index for index, instrument in enumerate(self.updates)}

    def proof(self, instrument: str) -> tuple[bytes, ...]:
        """Return the proof of one update, 32 bytes per level; InputError if it is not here."""
        try:
            return proof(self.levels, self._index[instrument])
        except KeyError:
            raise InputError(f"{instrument!r} must be in the batch, and is not") from None

    def joined(self, signatures: Iterable[bytes]) -> "SignedBatch":
        """Return it with more signatures, each signer once."""
        all_of_them = in_order(self.digest, (*self.signatures, *signatures))
        return msgspec.structs.replace(self, signatures=all_of_them)

    def is_complete(self, signers: Collection[str], *, threshold: int) -> bool:
        """Return whether enough of these signers signed, and nobody else."""
        return _is_complete(self.digest, self.signatures, signers, threshold)

    def plain(self, instruments: Iterable[str] | None = None) -> dict[str, Any]:
        """Return JSON with the updates and proofs of some instruments, by default of all."""
        chosen = self.updates if instruments is None else instruments
        return {
            "domain": _domain(self.domain),
            "primaryType": "MarginBatch",
            "message": plain_message(self.batch),
            "digest": _hex(self.digest),
            "signatures": [_hex(signature) for signature in self.signatures],
            "updates": [
                {
                    "instrument": name,
                    "message": plain_message(self.updates[name]),
                    "proof": [_hex(partner) for partner in self.proof(name)],
                }
                for name in chosen
            ],
        }


def batch_of(
    updates: Mapping[str, MarginUpdate], digests: Iterable[bytes], *, seq: int, now: int
) -> tuple[MarginBatch, Levels]:
    """Return the batch of some updates and its tree.

    Parameters
    ----------
    updates : mapping of str to MarginUpdate
        By instrument, all of one epoch.
    digests : iterable of bytes
        Their digests, in order.
    seq : int
        Number of the batch.
    now : int
        Seconds since 1970 UTC; the batch is valid from then on, until its last update is not.
    """
    levels = tree(digests)
    batch = MarginBatch(
        root=levels[-1][0],
        count=len(updates),
        epoch=next(iter(updates.values())).epoch,
        batch_seq=seq,
        valid_from=now,
        valid_until=updates.valid_until
        if isinstance(updates, PackedUpdates)
        else max(update.valid_until for update in updates.values()),
    )
    return batch, levels


def plain_message(message: MarginUpdate | MarginBatch) -> dict[str, Any]:
    """Return a message by the names of its EIP-712 type, for JSON.

    Bytes are hexadecimal with ``0x``; numbers of 64 bit and more are decimal text, since many
    readers of JSON keep 53.
    """
    fields = UPDATE_FIELDS if isinstance(message, MarginUpdate) else BATCH_FIELDS
    pairs = zip(map(str.split, fields), msgspec.structs.astuple(message), strict=True)
    return {name: _plain(kind, value) for (kind, name), value in pairs}


def read_update(message: Mapping[str, Any]) -> MarginUpdate:
    """Read what :func:`plain_message` wrote of an update.

    Raises
    ------
    InputError
        If a field is missing, unknown or does not fit its type.
    """
    kinds = {name: kind for kind, name in map(str.split, UPDATE_FIELDS)}
    if message.keys() != kinds.keys():
        raise InputError(f"a message must have the fields {', '.join(kinds)}, and no other")
    values: list[Any] = [_value(kind, message[name]) for name, kind in kinds.items()]
    update = MarginUpdate(**dict(zip(MarginUpdate.__struct_fields__, values, strict=True)))
    update.abi()
    return update


def _plain(kind: str, value: Any) -> int | str:
    if kind == "bytes32":
        return _hex(value)
    return str(value) if kind in ("uint64", "uint128") else int(value)


def _value(kind: str, given: Any) -> int | bytes:
    try:
        if kind == "bytes32":
            return bytes.fromhex(given.removeprefix("0x"))
        if isinstance(given, str) and given.isascii() and given.isdigit():
            return int(given)
    except (AttributeError, ValueError, TypeError) as error:
        raise InputError(f"a {kind} must be hexadecimal text, was {given!r}") from error
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise InputError(f"a {kind} must be a whole number or its decimal text, was {given!r}")


def _domain(domain: Domain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "version": domain.version,
        "chainId": domain.chain_id,
        "verifyingContract": domain.contract,
    }


def _hex(content: bytes) -> str:
    return "0x" + content.hex()


def _is_complete(
    digest: bytes, signatures: Iterable[bytes], signers: Collection[str], threshold: int
) -> bool:
    found = {recover(digest, signature) for signature in signatures}
    return len(found) >= threshold and found <= set(signers)
