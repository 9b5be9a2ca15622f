"""Signed updates, and waiting for the next one.

A consumer that has one asks with ``If-None-Match`` and ``Prefer: wait=5`` (RFC 7240): the answer
comes as soon as there is another, or is 304 after the wait. Nothing is polled, and a service that
is too busy to let one more wait answers at once, as that preference allows.
"""

import asyncio
import re
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Protocol

from .answers import JSON, Answer, Header
from .problems import NO_UPDATE, NOT_OFFERED, ProblemError
from .reads import matches

_NO_CACHE: Header = (b"cache-control", b"no-cache")
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)


class UpdatesPort(Protocol):
    """What the publisher signed last."""

    def latest(self, instrument: str) -> bytes | None:
        """Return the last signed update of an instrument as JSON; None if there is none."""
        ...

    def batch(self) -> bytes | None:
        """Return the last Merkle batch with its proofs as JSON; None if there is none."""
        ...

    def changed(self) -> asyncio.Future[None] | None:
        """Return what is done when another one can be read; None if there is none to come."""
        ...


class Updates:
    """Answers with what was signed last, or with what is signed next.

    Parameters
    ----------
    port : UpdatesPort or None
        What was signed; None if nothing ever is.
    longest_wait_s : float
        Longest wait, seconds.
    waiting : int
        Most requests that wait at once.
    """

    def __init__(self, port: UpdatesPort | None, *, longest_wait_s: float, waiting: int) -> None:
        self._port, self._longest_wait_s, self._most = port, longest_wait_s, waiting
        self._waiting = 0
        self._tags: dict[str, tuple[bytes, bytes]] = {}

    async def of(self, instrument: str, *, if_none_match: str, prefer: str) -> Answer:
        """Return the update of an instrument; headers of the request, empty if it had none.

        Raises
        ------
        ProblemError
            If nothing was signed yet, or ever is.
        """
        port = self._offered()
        return await self._answer(
            lambda: port.latest(instrument), instrument, if_none_match, prefer
        )

    async def batch(self, *, if_none_match: str, prefer: str) -> Answer:
        """Return the batch, like :meth:`of`."""
        return await self._answer(self._offered().batch, "", if_none_match, prefer)

    def _offered(self) -> UpdatesPort:
        if self._port is None:
            raise ProblemError(NOT_OFFERED, "This service signs no updates.")
        return self._port

    async def _answer(
        self, read: Callable[[], bytes | None], name: str, if_none_match: str, prefer: str
    ) -> Answer:
        known, wait_s = if_none_match.encode("latin-1"), min(wait_of(prefer), self._longest_wait_s)
        applied: tuple[Header, ...] = ()
        if wait_s > 0.0 and self._waiting < self._most:
            applied = ((b"preference-applied", b"wait=%d" % wait_s),)
            self._waiting += 1
            try:
                await self._wait(lambda: self._is_news(read(), name, known), wait_s)
            finally:
                self._waiting -= 1
        body = read()
        if body is None:
            whose = f"of {name}" if name else "of any instrument"
            raise ProblemError(NO_UPDATE, f"No update {whose} was signed yet.")
        headers = ((b"etag", self._tag(name, body)), _NO_CACHE, *applied)
        if not self._is_news(body, name, known):
            return Answer(status=304, headers=headers)
        return Answer(body=body, headers=(JSON, *headers))

    async def _wait(self, over: Callable[[], bool], wait_s: float) -> None:
        """Wait until it is over, nothing comes any more, or the time has passed."""
        until = time.monotonic() + wait_s
        while not over():
            changed, left = self._offered().changed(), until - time.monotonic()
            if changed is None or left <= 0.0:
                return
            await asyncio.wait([changed], timeout=left)

    def _is_news(self, body: bytes | None, name: str, known: bytes) -> bool:
        if body is None:
            return False
        return not known or not matches(known, etag=self._tag(name, body))

    def _tag(self, name: str, body: bytes) -> bytes:
        """Return the tag of a body; those who wait for the same batch have it hashed once."""
        known = self._tags.get(name)
        if known is None or known[0] is not body:
            known = self._tags[name] = body, f'"{sha256(body).hexdigest()[:32]}"'.encode()
        return known[1]


def wait_of(prefer: str) -> float:
    """Return the seconds that a ``Prefer`` header asks to wait, 0 if it does not."""
    found = _WAIT.search(prefer)
    return float(found[1]) if found else 0.0
