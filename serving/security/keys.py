"""API keys as records: how a secret is made, and what is kept of it.

A secret is 256 random bits, so nobody can guess it from its digest and a slow hash (scrypt, argon2)
would protect nothing; it would let anybody who sends wrong keys burn our processor and memory. What
is kept is therefore HMAC-SHA256 under a salt of the key's own, one microsecond to check. For
passwords that people choose this would be wrong.
"""

import hmac
import re
import secrets
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from ...errors import InputError
from .principals import Rate, Scope

SIGNING_CONTEXT = b"foremargin request signing v1"
DEFAULT_RATE = Rate(per_s=100.0, burst=200)
_TOKEN = re.compile(rb"fm_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")


class KeyRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file keeps of one key.

    Attributes
    ----------
    id : str
        Twelve letters and digits; not secret.
    label : str
        Whose it is, for people.
    scopes : list of Scope
        What it may do.
    salt, digest : str
        Hex; the digest is HMAC-SHA256 of the secret under the salt.
    signing_key : str
        Hex, for keys that sign; empty for the others. Whoever reads it can sign as this key, but
        cannot get the secret from it.
    created, expires : int
        ns UTC; ``expires`` 0 is never.
    revoked : int
        When it was revoked, ns UTC; 0 if it was not.
    rate : Rate
        Requests allowed.
    """

    id: Annotated[str, Meta(pattern=r"^[a-z0-9]{12}$")]
    label: Annotated[str, Meta(max_length=200)] = ""
    scopes: list[Scope]
    salt: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    signing_key: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    created: int
    expires: int = 0
    revoked: int = 0
    rate: Rate = DEFAULT_RATE


def new_key(
    scopes: Iterable[Scope],
    *,
    now: int,
    label: str = "",
    expires: int = 0,
    rate: Rate = DEFAULT_RATE,
    signs: bool = False,
) -> tuple[KeyRecord, str]:
    """Return the record of a new key, and the token that its holder gets, this once.

    Parameters
    ----------
    scopes : iterable of Scope
        At least one.
    now, expires : int
        ns UTC; ``expires`` 0 is never.
    signs : bool
        Whether every request must be signed; such a key never sends its secret.

    Returns
    -------
    record : KeyRecord
        For the file.
    token : str
        ``fm_<id>_<secret>``; it is not kept anywhere.

    Raises
    ------
    InputError
        If there is no scope, the rate is not positive, or the key would be expired already.
    """
    granted = sorted(set(scopes))
    if not granted:
        raise InputError("a key must have at least one scope, found none; name read, say")
    if not 0.0 < rate.per_s < 1e9 or not 1 <= rate.burst < 1_000_000_000:
        raise InputError(f"a rate must be positive and finite with a burst from 1 on, found {rate}")
    if expires and expires <= now:
        raise InputError(f"a key must expire after now, {now}, found {expires}")
    identifier, secret, salt = _identifier(), secrets.token_urlsafe(32), secrets.token_bytes(16)
    record = KeyRecord(
        id=identifier,
        label=label,
        scopes=granted,
        salt=salt.hex(),
        digest=secret_digest(secret.encode(), salt=salt).hex(),
        signing_key=signing_key(secret).hex() if signs else "",
        created=now,
        expires=expires,
        rate=rate,
    )
    return record, f"fm_{identifier}_{secret}"


def secret_digest(secret: bytes, *, salt: bytes) -> bytes:
    """Return what is kept of a secret."""
    return hmac.digest(salt, secret, "sha256")


def signing_key(secret: str) -> bytes:
    """Return the key that signs requests, derived from the secret of a token."""
    return hmac.digest(secret.encode(), SIGNING_CONTEXT, "sha256")


def split_token(token: bytes) -> tuple[str, bytes] | None:
    """Return identifier and secret of a token; None if it is none."""
    match = _TOKEN.fullmatch(token)
    return None if match is None else (match[1].decode(), match[2])


def _identifier() -> str:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(secrets.choice(letters) for _ in range(12))
