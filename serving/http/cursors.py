"""Where a list goes on: opaque to clients, and checked.

A cursor holds the last name or number of a page, so it stays right when others are added, on
another replica and after a restart. Its checksum is no secret: it only tells a cursor of this list
from one that was cut, changed or belongs elsewhere.
"""

import base64
import binascii
import hashlib
import hmac

from .problems import INVALID_CURSOR, ProblemError

_VERSION = b"c1"
_CHECK = 9


def write_cursor(position: str, *, of: str) -> str:
    """Return the cursor of a position in the list named `of`."""
    content = position.encode()
    return base64.urlsafe_b64encode(_check(content, of) + content).decode().rstrip("=")


def read_cursor(cursor: str, *, of: str) -> str:
    """Return the position that a cursor holds.

    Raises
    ------
    ProblemError
        If it is no cursor of this list.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = base64.b64decode(padded, altchars=b"-_", validate=True)
        check, content = found[:_CHECK], found[_CHECK:]
        position = content.decode()
    except (UnicodeError, binascii.Error) as error:
        raise ProblemError(INVALID_CURSOR, "The cursor is not one of this list.") from error
    if not hmac.compare_digest(check, _check(content, of)):
        raise ProblemError(INVALID_CURSOR, "The cursor is not one of this list.")
    return position


def _check(content: bytes, of: str) -> bytes:
    message = b"\0".join((_VERSION, of.encode(), content))
    return hashlib.blake2b(message, digest_size=_CHECK).digest()
