"""From an Authorization header to a principal, fast and in constant time.

A token that was verified is remembered by its digest for a few seconds, so that a fast read costs
one hash and two look-ups. When that time is over the file of keys is looked at again: a revoked key
stops within ``cache_s`` of its revocation without anybody being told.
"""

import hashlib
import hmac
import logging
from functools import lru_cache
from ipaddress import ip_address

from ...errors import InputError
from ..ports import Clock
from .keys import KeyRecord, secret_digest, split_token
from .principals import ANONYMOUS, LOOPBACK, Principal, Refusal
from .signing import (
    SCHEME,
    NonceCache,
    SignedRequest,
    is_timely,
    read_signature,
    signature_holds,
)
from .store import KeyStore

_log = logging.getLogger(__name__)
_LARGEST_CACHE = 10_000
_NO_SALT, _NO_DIGEST = bytes(16), bytes(32)


class Authenticator:
    """Says who asks.

    Parameters
    ----------
    keys : KeyStore or None
        None: no key is known, and callers from this machine may read and simulate.
    clock : Clock
        Wall clock.
    nonces : NonceCache, optional
        Of signed requests; a new one if not given.
    cache_s : float
        For how long a verified token is believed without looking at its key again.
    """

    def __init__(
        self,
        keys: KeyStore | None,
        *,
        clock: Clock,
        nonces: NonceCache | None = None,
        cache_s: float = 5.0,
    ) -> None:
        self._keys = keys
        self._now = clock.now
        self._nonces = NonceCache() if nonces is None else nonces
        self._cache_ns = int(cache_s * 1e9)
        self._verified: dict[bytes, tuple[int, Principal]] = {}
        self._looked_at = 0

    @property
    def has_keys(self) -> bool:
        """Whether any key can be known."""
        return self._keys is not None

    def authenticate(
        self,
        authorization: bytes | None,
        *,
        address: str,
        request: SignedRequest | None = None,
    ) -> Principal | Refusal:
        """Return who asks, or why they are not believed.

        Parameters
        ----------
        authorization : bytes or None
            The header.
        address : str
            Of the caller, as the socket says; empty if it is not known or a proxy stands between.
        request : SignedRequest, optional
            What a signature must be of; without it a signature is refused.

        Returns
        -------
        Principal or Refusal
            ``ANONYMOUS`` where keys are known and none was presented.
        """
        if authorization is None:
            return LOOPBACK if self._keys is None and is_loopback(address) else ANONYMOUS
        if self._keys is None:
            return Refusal.UNKNOWN
        if authorization[:7].lower() == b"bearer ":
            return self._bearer(authorization[7:].strip(), self._keys)
        return self._signed(authorization, self._keys, request)

    def precheck(self, authorization: bytes) -> Refusal | None:
        """Refuse a signature by its key and time alone, before a body is read."""
        signature = read_signature(authorization)
        if signature is None:
            return Refusal.MALFORMED
        if self._keys is None or signature.key not in self._keys.keys:
            return Refusal.UNKNOWN
        return None if is_timely(signature, now=self._now()) else Refusal.SKEW

    def forget(self) -> None:
        """Read the keys again, and believe no token without looking."""
        self._verified.clear()
        self._looked_at = 0

    def _bearer(self, token: bytes, keys: KeyStore) -> Principal | Refusal:
        now = self._now()
        name = hashlib.sha256(token).digest()
        known = self._verified.get(name)
        if known is not None and 0 <= known[0] - now <= self._cache_ns:
            return known[1]
        found = self._verify(token, keys, now)
        if isinstance(found, Refusal):
            self._verified.pop(name, None)
            return found
        if len(self._verified) >= _LARGEST_CACHE:
            self._verified.clear()
        expires = keys.keys[found.id].expires
        until = now + self._cache_ns
        self._verified[name] = (min(until, expires - 1) if expires else until, found)
        return found

    def _verify(self, token: bytes, keys: KeyStore, now: int) -> Principal | Refusal:
        parts = split_token(token)
        if parts is None:
            return Refusal.MALFORMED
        self._refresh(keys, now)
        identifier, secret = parts
        record = keys.keys.get(identifier)
        # An unknown identifier costs the same as a wrong secret.
        salt = _NO_SALT if record is None else bytes.fromhex(record.salt)
        kept = _NO_DIGEST if record is None else bytes.fromhex(record.digest)
        same = hmac.compare_digest(secret_digest(secret, salt=salt), kept)
        if record is None or not same:
            return Refusal.UNKNOWN
        if record.signing_key:
            return Refusal.MUST_SIGN
        return _principal(record, now)

    def _signed(
        self, authorization: bytes, keys: KeyStore, request: SignedRequest | None
    ) -> Principal | Refusal:
        signature = read_signature(authorization)
        if signature is None or request is None:
            return Refusal.MALFORMED
        now = self._now()
        self._refresh(keys, now)
        record = keys.keys.get(signature.key)
        if record is None or not record.signing_key:
            return Refusal.UNKNOWN
        if not is_timely(signature, now=now):
            return Refusal.SKEW
        if not signature_holds(request, signature, key=bytes.fromhex(record.signing_key)):
            return Refusal.SIGNATURE
        found = _principal(record, now)
        if isinstance(found, Refusal):
            return found
        # Only now: nobody else can use up the nonces of a key.
        return self._nonces.use(signature, now=now) or found

    def _refresh(self, keys: KeyStore, now: int) -> None:
        if 0 <= now - self._looked_at < self._cache_ns:
            return
        self._looked_at = now
        try:
            if keys.reload():
                self._verified.clear()
        except InputError as error:
            # The keys known before stay: a file that was damaged must not stop the margins.
            _log.error("keys were not read again: %s", error)


def is_signature(authorization: bytes | None) -> bool:
    """Return whether a header is a signature, so that the body is needed to check it."""
    return authorization is not None and authorization.startswith(SCHEME)


@lru_cache(maxsize=1024)
def is_loopback(address: str) -> bool:
    """Return whether an address is of this machine; False for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _principal(record: KeyRecord, now: int) -> Principal | Refusal:
    if record.revoked:
        return Refusal.REVOKED
    if record.expires and now >= record.expires:
        return Refusal.EXPIRED
    return Principal(id=record.id, scopes=frozenset(record.scopes), rate=record.rate)
