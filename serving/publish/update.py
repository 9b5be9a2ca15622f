"""The messages that are signed, and their hashes as EIP-712 defines them.

Every field has a fixed width, so that the encoding is one line of fixed layout and what is signed
is exactly what a contract reads. What belongs together is one message: a maintenance margin never
travels without the initial margin above it.

References
----------
.. [1] Bloemen, Logvinov and Evans (2017), "EIP-712: Typed structured data hashing and signing".
"""

from collections.abc import Iterable
from functools import cached_property
from struct import Struct as Layout
from struct import error as LayoutError
from typing import Any, Self

import msgspec
from msgspec import Struct

from ...errors import InputError
from .hashing import ZERO, keccak

UNKNOWN_64 = 2**64 - 1
"""Not known, in a field of 64 bits: read as a number it is the most cautious one."""

UNKNOWN_128 = 2**128 - 1
"""Not known, in a field of 128 bits."""

_MASK = 2**64 - 1
_UPDATE = Layout(">32s 28xI28xI28xI28xI 16xQQ16xQQ16xQQ 24xQ24xQ24xQ 31xB31xB28xI 24xQ24xQ24xQ"
                 "24xQ24xQ24xQ 32s32s32s")  # fmt: skip
_BATCH = Layout(">32s 24xQ24xQ24xQ24xQ24xQ")
_WORD = 32

UPDATE_FIELDS = (
    *("bytes32 marketId", "uint32 longInitialBps", "uint32 longMaintenanceBps"),
    *("uint32 shortInitialBps", "uint32 shortMaintenanceBps", "uint128 sigmaE18"),
    *("uint128 sigmaLowerE18", "uint128 sigmaUpperE18", "uint64 stressE18"),
    *("uint64 liquidityStressE18", "uint64 liquidityCostE18", "uint8 regime", "uint8 status"),
    *("uint32 horizonSec", "uint64 observationTime", "uint64 validFrom", "uint64 validUntil"),
    *("uint64 prevSeq", "uint64 seq", "uint64 epoch", "bytes32 prevDigest"),
    *("bytes32 modelDigest", "bytes32 evidenceRoot"),
)
"""Types and names of a margin update, in order."""

BATCH_FIELDS = (
    *("bytes32 root", "uint64 count", "uint64 epoch", "uint64 batchSeq"),
    *("uint64 validFrom", "uint64 validUntil"),
)
"""Types and names of a batch, in order."""

_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
UPDATE_TYPE_HASH = keccak(f"MarginUpdate({','.join(UPDATE_FIELDS)})".encode())
BATCH_TYPE_HASH = keccak(f"MarginBatch({','.join(BATCH_FIELDS)})".encode())


class MarginUpdate(Struct, frozen=True, kw_only=True, gc=False):
    """The margin of one market, as a contract reads it.

    Times are whole seconds since 1970 UTC. What is not known is 0 in a lower end and in a time or
    digest, and the largest value of its field elsewhere.

    Attributes
    ----------
    market_id : bytes
        Hash of the instrument's name, 32 bytes.
    long_initial_bps, long_maintenance_bps, short_initial_bps, short_maintenance_bps : int
        Margins, basis points of notional, rounded up; 32 bit.
    sigma_e18, sigma_lower_e18, sigma_upper_e18 : int
        Volatility of the log return over the horizon and its 90 % interval, 10⁻¹⁸; the lower end
        is rounded down, the others up; 128 bit.
    stress_e18, liquidity_stress_e18 : int
        Probabilities, 10⁻¹⁸, rounded up; 64 bit.
    liquidity_cost_e18 : int
        Expected cost of closing, fraction of notional, 10⁻¹⁸, rounded up; 64 bit.
    regime, status : int
        See :data:`REGIMES` and :data:`STATUSES`; 8 bit.
    horizon_s : int
        Margin period of risk, seconds; 0 if not known; 32 bit.
    observation_time : int
        Last moment of the market that it knows.
    valid_from, valid_until : int
        May be used from the one until before the other.
    prev_seq, seq : int
        Number of the market's update before, 0 if it is the first of its epoch, and its own.
    epoch : int
        Rises with every change of keys and every roll-back; sequences begin anew.
    prev_digest : bytes
        Digest of the market's update before, 32 bytes; zero if it is the first of its epoch.
    model_digest, evidence_root : bytes
        SHA-256 of the bundle's manifest, and Merkle root of the evidence for it; 32 bytes, zero if
        there is none.
    """

    market_id: bytes
    long_initial_bps: int
    long_maintenance_bps: int
    short_initial_bps: int
    short_maintenance_bps: int
    sigma_e18: int
    sigma_lower_e18: int
    sigma_upper_e18: int
    stress_e18: int
    liquidity_stress_e18: int
    liquidity_cost_e18: int
    regime: int
    status: int
    horizon_s: int
    observation_time: int
    valid_from: int
    valid_until: int
    prev_seq: int
    seq: int
    epoch: int
    prev_digest: bytes = ZERO
    model_digest: bytes = ZERO
    evidence_root: bytes = ZERO

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """Long initial and maintenance, short initial and maintenance margin, basis points."""
        return (
            self.long_initial_bps,
            self.long_maintenance_bps,
            self.short_initial_bps,
            self.short_maintenance_bps,
        )

    def abi(self) -> bytes:
        """Return the fields as the contract ABI encodes them, 23 words of 32 bytes.

        Raises
        ------
        InputError
            If a value does not fit its field.
        """
        values = msgspec.structs.astuple(self)
        x, y, z = values[5:8]
        try:
            if len(values[0]) == len(values[20]) == len(values[21]) == len(values[22]) == _WORD:
                halves = x >> 64, x & _MASK, y >> 64, y & _MASK, z >> 64, z & _MASK
                return _UPDATE.pack(*values[:5], *halves, *values[8:])
        except (LayoutError, TypeError):
            pass
        raise _misfit(self, UPDATE_FIELDS)

    @classmethod
    def from_abi(cls, encoded: bytes) -> Self:
        """Read what :meth:`abi` wrote; InputError unless it is exactly such an encoding."""
        words = _exactly(_UPDATE, encoded, "an update")
        sigmas = [words[k] << 64 | words[k + 1] for k in (5, 7, 9)]
        return cls(**dict(zip(cls.__struct_fields__, words[:5] + sigmas + words[11:], strict=True)))

    def struct_hash(self) -> bytes:
        """Return EIP-712's ``hashStruct``, 32 bytes."""
        return keccak(UPDATE_TYPE_HASH + self.abi())


class MarginBatch(Struct, frozen=True, kw_only=True):
    """Many updates under one signature: the root of a Merkle tree of their digests.

    Attributes
    ----------
    root : bytes
        32 bytes; see :mod:`.merkle`.
    count : int
        Number of updates.
    epoch, batch_seq : int
        As for updates; batches have a sequence of their own.
    valid_from, valid_until : int
        Seconds since 1970 UTC; each update has its own besides.
    """

    root: bytes
    count: int
    epoch: int
    batch_seq: int
    valid_from: int
    valid_until: int

    def abi(self) -> bytes:
        """Return the fields as the contract ABI encodes them; InputError if one does not fit."""
        try:
            if len(self.root) == _WORD:
                return _BATCH.pack(*msgspec.structs.astuple(self))
        except (LayoutError, TypeError):
            pass
        raise _misfit(self, BATCH_FIELDS)

    @classmethod
    def from_abi(cls, encoded: bytes) -> Self:
        """Read what :meth:`abi` wrote; InputError unless it is exactly such an encoding."""
        words = _exactly(_BATCH, encoded, "a batch")
        return cls(**dict(zip(cls.__struct_fields__, words, strict=True)))

    def struct_hash(self) -> bytes:
        """Return EIP-712's ``hashStruct``, 32 bytes."""
        return keccak(BATCH_TYPE_HASH + self.abi())


class Domain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Where a signature counts: one contract on one chain.

    Attributes
    ----------
    chain_id : int
        Number of the chain, as EIP-155 has it.
    contract : str
        Address of the verifying contract, ``0x`` and 40 hexadecimal digits.
    name, version : str
        Of the messages; a contract fixes both.
    """

    chain_id: int
    contract: str
    name: str = "foremargin"
    version: str = "1"

    def __post_init__(self) -> None:
        address_bytes(self.contract)
        if not 0 < self.chain_id < 2**256:
            raise InputError(f"chain_id must be from 1 to 2²⁵⁶ - 1, was {self.chain_id}")

    @cached_property
    def separator(self) -> bytes:
        """EIP-712's domain separator, 32 bytes."""
        texts = [keccak(text.encode()) for text in (_DOMAIN_TYPE, self.name, self.version)]
        contract = address_bytes(self.contract).rjust(_WORD, b"\0")
        return keccak(b"".join(texts) + self.chain_id.to_bytes(_WORD, "big") + contract)

    @cached_property
    def _prefix(self) -> bytes:
        return b"\x19\x01" + self.separator

    def digest(self, message: MarginUpdate | MarginBatch) -> bytes:
        """Return what is signed, 32 bytes."""
        return keccak(self._prefix + message.struct_hash())

    def digests_of_abi(self, encoded: Iterable[bytes]) -> tuple[bytes, ...]:
        """Return what is signed of updates that were encoded already, 32 bytes each."""
        prefix = self._prefix
        return tuple([keccak(prefix + keccak(UPDATE_TYPE_HASH + code)) for code in encoded])


def address_bytes(address: str) -> bytes:
    """Return an address of ``0x`` and 40 hexadecimal digits as its 20 bytes; case is ignored."""
    try:
        content = bytes.fromhex(address.removeprefix("0x"))
    except ValueError:
        content = b""
    if len(content) != 20 or not address.startswith("0x"):
        raise InputError(f"an address must be 0x and 40 hexadecimal digits, was {address!r}")
    return content


def _exactly(layout: Layout, encoded: bytes, what: str) -> list[Any]:
    """Unpack, and refuse bytes in the padding: two encodings of one message must not exist."""
    if len(encoded) == layout.size:
        words = layout.unpack(encoded)
        if layout.pack(*words) == encoded:
            return list(words)
    raise InputError(f"{what} must be {layout.size} bytes with zeros between its fields, is not")


def _misfit(message: Struct, fields: tuple[str, ...]) -> InputError:
    found = []
    for spec, value in zip(fields, msgspec.structs.astuple(message), strict=True):
        kind, name = spec.split()
        if kind == "bytes32":
            fits = isinstance(value, bytes) and len(value) == _WORD
        else:
            fits = isinstance(value, int) and 0 <= value < 2 ** int(kind.removeprefix("uint"))
        found += [] if fits else [f"{name} ({kind}) was {value!r}"]
    return InputError("every value must fit its field: " + "; ".join(found))
