"""How a request says who sends it.

``BearerToken`` sends a key as it is, ``TokenSigner`` signs with it, so that the secret does not
travel and nothing can be sent twice. A signature is made anew for every attempt.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from ..errors import InputError

_TOKEN = re.compile(r"fm_([A-Za-z0-9]+)_(\S+)")
_SCHEME = "FM1-HMAC-SHA256"
_SIGNING_CONTEXT = b"foremargin request signing v1"


class Credentials(Protocol):
    """Whoever can say who sends a request."""

    def headers(self, method: str, target: str, body: bytes) -> Mapping[str, str]:
        """Return the headers of one attempt.

        Parameters
        ----------
        method : str
            In capitals.
        target : str
            Path, and query after a question mark if there is one, as sent.
        body : bytes
            Empty if there is none.
        """
        ...


class BearerToken:
    """A key that is sent as it is; use TLS beyond loopback.

    Parameters
    ----------
    token : str
        ``fm_<id>_<secret>``.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        _parts(token)

    def headers(self, method: str, target: str, body: bytes) -> Mapping[str, str]:
        """Return the Authorization header."""
        return {"authorization": f"Bearer {self._token}"}

    def __repr__(self) -> str:
        return f"BearerToken(fm_{_parts(self._token)[0]}_…)"


class TokenSigner:
    """Signs with the scheme FM1-HMAC-SHA256 in the Authorization header.

    The HMAC key is derived from the secret of the token, and scheme and identifier are signed too:
    what the service keeps cannot be used as the token itself.

    Parameters
    ----------
    token : str
        ``fm_<id>_<secret>``; the identifier is sent, the secret is not.
    clock : callable
        Returns ns since 1970 UTC.
    nonce : callable
        Returns a word that was never used.
    """

    def __init__(
        self,
        token: str,
        *,
        clock: Callable[[], int] = time.time_ns,
        nonce: Callable[[], str] = lambda: secrets.token_urlsafe(16),
    ) -> None:
        self._id, secret = _parts(token)
        self._key = hmac.digest(secret.encode(), _SIGNING_CONTEXT, "sha256")
        self._clock = clock
        self._nonce = nonce

    def headers(self, method: str, target: str, body: bytes) -> Mapping[str, str]:
        """Return the Authorization header."""
        timestamp, nonce = str(self._clock() // 1_000_000_000), self._nonce()
        content = hashlib.sha256(body).hexdigest()
        lines = (_SCHEME, self._id, method, target, timestamp, nonce, content)
        digest = hmac.digest(self._key, "\n".join(lines).encode(), "sha256").hex()
        fields = f"key={self._id},time={timestamp},nonce={nonce},signature={digest}"
        return {"authorization": f"{_SCHEME} {fields}"}

    def __repr__(self) -> str:
        return f"TokenSigner(fm_{self._id}_…)"


def _parts(token: str) -> tuple[str, str]:
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InputError("a token must be fm_<id>_<secret>, found something else")
    return match[1], match[2]
