"""Standard Webhooks signatures: what the sender writes, and what a receiver checks.

The signature is HMAC-SHA256 over ``<webhook-id>.<webhook-timestamp>.<body>``, base64, with the
prefix ``v1,``; while keys are rotated there are several, with spaces between. See
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
"""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence

from ...errors import InputError

TOLERANCE_S = 300
_PREFIX = "whsec_"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def new_webhook_secret() -> str:
    """Return a new secret, ``whsec_`` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def webhook_headers(
    body: bytes, *, identifier: str, now: int, keys: Sequence[str]
) -> dict[str, str]:
    """Return the headers of one attempt.

    Parameters
    ----------
    body : bytes
        As it is sent.
    identifier : str
        The same for every attempt at one message.
    now : int
        ns UTC.
    keys : sequence of str
        Secrets, ``whsec_...``; all of them sign.

    Raises
    ------
    InputError
        If there is no key, one is none, or the identifier is not plain.
    """
    if not keys:
        raise InputError("a webhook must be signed with at least one key, found none")
    if not _ID.fullmatch(identifier):
        raise InputError(f"an identifier must be letters, digits, _ and -, found {identifier!r}")
    seconds = str(now // 10**9)
    signatures = (_signature(body, identifier, seconds, _key_bytes(key)) for key in keys)
    return {
        "webhook-id": identifier,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{signature.decode()}" for signature in signatures),
    }


def verify_webhook(
    body: bytes, headers: Mapping[str, str], *, keys: Sequence[str], now: int
) -> str:
    """Return the identifier of a webhook that is what it says; for receivers.

    A receiver keeps the identifiers that it saw: within five minutes the same message can come
    again, from the sender or from somebody who recorded it.

    Raises
    ------
    InputError
        If a header is missing, the time is more than five minutes away, or no signature holds.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        identifier, seconds = lower["webhook-id"], lower["webhook-timestamp"]
        given = lower["webhook-signature"]
    except KeyError as error:
        raise InputError(f"a webhook must have the header {error.args[0]}, found none") from None
    if not re.fullmatch(r"[0-9]{1,12}", seconds):
        raise InputError("webhook-timestamp must be seconds since 1970, found something else")
    if abs(now - int(seconds) * 10**9) > TOLERANCE_S * 10**9:
        raise InputError("webhook-timestamp must be within 300 s of now; check both clocks")
    expected = [_signature(body, identifier, seconds, _key_bytes(key)) for key in keys]
    offered = [item[3:].encode() for item in given.split(" ")[:16] if item.startswith("v1,")]
    # Every pair is compared, so that the time says nothing about which one was near.
    holds = [hmac.compare_digest(one, other) for one in expected for other in offered]
    if not any(holds):
        raise InputError("webhook-signature must be made with a known key over this body")
    return identifier


def _signature(body: bytes, identifier: str, seconds: str, key: bytes) -> bytes:
    content = b".".join((identifier.encode(), seconds.encode(), body))
    return base64.b64encode(hmac.digest(key, content, "sha256"))


def _key_bytes(key: str) -> bytes:
    try:
        found = base64.b64decode(key.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not 24 <= len(found) <= 64:
        raise InputError("a webhook secret must be whsec_ and 24 to 64 bytes in base64")
    return found
