"""Requests signed with HMAC-SHA256: the secret never travels, and nothing can be sent twice.

The header is ::

    Authorization: FM1-HMAC-SHA256 key=<id>,time=<s>,nonce=<nonce>,signature=<hex>

and the signature is over seven lines: the scheme, the key, method, path with query as sent, seconds
since 1970, nonce, and SHA-256 of the body in hex. After the idea of AWS Signature 4, without its
canonical forms: a proxy between the two must pass the target on as it is.
"""

import hashlib
import hmac
import re
import secrets
from collections import deque

from msgspec import Struct

from ...errors import InputError
from .keys import signing_key, split_token
from .principals import Refusal

SCHEME = b"FM1-HMAC-SHA256"
TOLERANCE_S = 30
_HEADER = re.compile(
    rb"FM1-HMAC-SHA256 key=([a-z0-9]{12}),time=([0-9]{1,12}),"
    rb"nonce=([A-Za-z0-9_-]{16,64}),signature=([0-9a-f]{64})"
)


class SignedRequest(Struct, frozen=True, kw_only=True):
    """What a signature is over.

    Attributes
    ----------
    method : str
        In capitals.
    target : bytes
        Path and query as they are on the wire.
    body : bytes
        Empty if there is none.
    """

    method: str
    target: bytes
    body: bytes = b""


class Signature(Struct, frozen=True, kw_only=True):
    """What an Authorization header with a signature says.

    Attributes
    ----------
    key : str
        Identifier of the key.
    time : int
        When it was signed, seconds since 1970.
    nonce : bytes
        Used once.
    digest : bytes
        The signature, 32 bytes.
    """

    key: str
    time: int
    nonce: bytes
    digest: bytes


def sign_request(request: SignedRequest, *, token: str, now: int, nonce: str | None = None) -> str:
    """Return the Authorization header of a request, for the holder of a key.

    Parameters
    ----------
    token : str
        ``fm_<id>_<secret>``.
    now : int
        ns UTC.
    nonce : str, optional
        Drawn if not given.

    Raises
    ------
    InputError
        If the token is none.
    """
    parts = split_token(token.encode())
    if parts is None:
        raise InputError("a token must be fm_<id>_<secret>, found something else")
    identifier, secret = parts
    nonce = secrets.token_urlsafe(16) if nonce is None else nonce
    said = Signature(key=identifier, time=now // 10**9, nonce=nonce.encode(), digest=b"")
    digest = _digest(request, said, key=signing_key(secret.decode()))
    fields = f"key={identifier},time={said.time},nonce={nonce},signature={digest.hex()}"
    return f"{SCHEME.decode()} {fields}"


def read_signature(authorization: bytes) -> Signature | None:
    """Return what an Authorization header says; None if it is no signature."""
    match = _HEADER.fullmatch(authorization)
    if match is None:
        return None
    return Signature(
        key=match[1].decode(),
        time=int(match[2]),
        nonce=match[3],
        digest=bytes.fromhex(match[4].decode()),
    )


def signature_holds(request: SignedRequest, signature: Signature, *, key: bytes) -> bool:
    """Return whether a signature is that of this request under this key, in constant time."""
    return hmac.compare_digest(_digest(request, signature, key=key), signature.digest)


def is_timely(signature: Signature, *, now: int) -> bool:
    """Return whether the time of a signature is within 30 s of `now` (ns UTC)."""
    return abs(now - signature.time * 10**9) <= TOLERANCE_S * 10**9


def _digest(request: SignedRequest, said: Signature, *, key: bytes) -> bytes:
    lines = (
        SCHEME,
        said.key.encode(),
        request.method.encode(),
        request.target,
        str(said.time).encode(),
        said.nonce,
        hashlib.sha256(request.body).hexdigest().encode(),
    )
    return hmac.digest(key, b"\n".join(lines), "sha256")


class NonceCache:
    """Nonces that were used, for as long as their signatures are timely.

    Parameters
    ----------
    capacity : int
        Most nonces remembered. A full cache refuses: to forget one early would let it be replayed.
    """

    def __init__(self, *, capacity: int = 200_000) -> None:
        self._capacity = capacity
        self._used: set[tuple[str, bytes]] = set()
        self._order: deque[tuple[int, tuple[str, bytes]]] = deque()

    def __len__(self) -> int:
        return len(self._used)

    def use(self, signature: Signature, *, now: int) -> Refusal | None:
        """Remember the nonce of a signature that holds; a Refusal if it was used or none fits.

        The time of a signature may lie 30 s ahead, so a nonce is kept for twice that.
        """
        while self._order and self._order[0][0] < now:
            self._used.discard(self._order.popleft()[1])
        entry = (signature.key, signature.nonce)
        if entry in self._used:
            return Refusal.REPLAY
        if len(self._used) >= self._capacity:
            return Refusal.BUSY
        self._used.add(entry)
        self._order.append((now + 2 * TOLERANCE_S * 10**9, entry))
        return None
