"""Signatures of Ethereum: secp256k1, 65 bytes, with s in the lower half of its range.

Signing is deterministic (RFC 6979), so that the same content gives the same signature after a
restart. libsecp256k1 is used where ``coincurve`` is installed, which is some hundred times faster
than the pure Python of ``eth-keys``.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from ...errors import InputError
from .hashing import keccak

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Order of the group of secp256k1."""

_V = 27  # v is 27 or 28 on chain, the parity of the nonce's point


class Signer(Protocol):
    """Whoever holds a key: in this process, in a module of its own, or elsewhere."""

    @property
    def address(self) -> str:
        """``0x`` and 40 lower-case hexadecimal digits."""
        ...

    def sign(self, digest: bytes) -> bytes:
        """Return 65 bytes r ‖ s ‖ v for 32 bytes, the same every time, with low s."""
        ...


class _Backend(NamedTuple):
    public: Callable[[bytes], bytes]
    sign: Callable[[bytes, bytes], bytes]
    recover: Callable[[bytes, bytes], bytes | None]


def _coincurve() -> _Backend:
    from coincurve import PrivateKey, PublicKey

    keys: dict[bytes, PrivateKey] = {}

    def sign(secret: bytes, digest: bytes) -> bytes:
        key = keys.get(secret) or keys.setdefault(secret, PrivateKey(secret))
        return key.sign_recoverable(digest, hasher=None)

    def recover(signature: bytes, digest: bytes) -> bytes | None:
        try:
            key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
        except Exception:  # the library raises bare exceptions for a point that is none
            return None
        return key.format(compressed=False)[1:]

    def public(secret: bytes) -> bytes:
        return PrivateKey(secret).public_key.format(compressed=False)[1:]

    return _Backend(public, sign, recover)


def _eth_keys() -> _Backend:
    from eth_keys.backends.native.main import NativeECCBackend
    from eth_keys.datatypes import PrivateKey, Signature
    from eth_keys.exceptions import BadSignature

    backend = NativeECCBackend()

    def recover(signature: bytes, digest: bytes) -> bytes | None:
        try:
            key = Signature(signature, backend=backend).recover_public_key_from_msg_hash(digest)
        except (BadSignature, ValueError):
            return None
        return key.to_bytes()

    def sign(secret: bytes, digest: bytes) -> bytes:
        return PrivateKey(secret, backend).sign_msg_hash(digest).to_bytes()

    return _Backend(lambda secret: PrivateKey(secret, backend).public_key.to_bytes(), sign, recover)


def _fastest() -> _Backend:
    try:
        return _coincurve()
    except ImportError:
        return _eth_keys()


_backend = _fastest()


class LocalSigner:
    """A key in the memory of this process; it shows itself nowhere.

    Parameters
    ----------
    secret : bytes
        32 bytes, as a number from 1 to the order of the group less 1.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise InputError("a key must be 32 bytes, neither zero nor above the group's order")
        self._secret = secret
        self._address = _address(_backend.public(secret))

    @classmethod
    def from_file(cls, path: Path) -> "LocalSigner":
        """Read a file of 64 hexadecimal digits that only its owner may read.

        Raises
        ------
        InputError
            If it cannot be read, is no key, or others may read it; its content is in no message.
        """
        try:
            with path.open() as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(256).strip().removeprefix("0x")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"a key must be in a readable file, {path}") from error
        if mode & 0o077:
            raise InputError(f"only its owner may read a key, {path}; run chmod 600 on it")
        try:
            return cls(bytes.fromhex(text))
        except ValueError:
            raise InputError(f"a key must be 64 hexadecimal digits, {path}") from None

    @property
    def address(self) -> str:
        """``0x`` and 40 lower-case hexadecimal digits."""
        return self._address

    def sign(self, digest: bytes) -> bytes:
        """Return 65 bytes r ‖ s ‖ v, v 27 or 28; deterministic, s in the lower half."""
        signature = _backend.sign(self._secret, digest)
        return signature[:64] + bytes([signature[64] + _V])

    def __repr__(self) -> str:
        return f"LocalSigner({self._address})"


def recover(digest: bytes, signature: bytes) -> str | None:
    """Return the address that signed; None for what is no signature of a single form.

    A signature has 65 bytes, v of 27 or 28 and s in the lower half: of the two that are valid for
    the same content only one is accepted, so that nobody can make a second from the first.
    """
    if not well_formed(signature) or not has_low_s(signature):
        return None
    key = _backend.recover(signature[:64] + bytes([signature[64] - _V]), digest)
    return None if key is None else _address(key)


def well_formed(signature: bytes) -> bool:
    """Return whether it has 65 bytes and a v of 27 or 28."""
    return len(signature) == 65 and signature[64] in (27, 28)


def has_low_s(signature: bytes) -> bool:
    """Return whether s is in the lower half of its range."""
    return int.from_bytes(signature[32:64], "big") <= ORDER // 2


def in_order(digest: bytes, signatures: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return signatures by rising address of their signers, each signer once.

    Raises
    ------
    InputError
        If one of them is none.
    """
    by_signer = {}
    for signature in signatures:
        signer = recover(digest, signature)
        if signer is None:
            raise InputError(
                "a signature must be 65 bytes with v of 27 or 28 and low s, one is not"
            )
        by_signer[signer] = signature
    return tuple(by_signer[signer] for signer in sorted(by_signer))


def _address(public_key: bytes) -> str:
    return "0x" + keccak(public_key)[12:].hex()
