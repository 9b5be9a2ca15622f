"""Downloading: requests that are tried again, and files that are resumed, checked and whole."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from ...errors import InputError, SourceError
from .partial_file import PartialFile, PassingError, sha256_of

Params = Mapping[str, str | int | float]
"""Query parameters of a request."""

_Answer = TypeVar("_Answer")

_PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})  # busy or broken for the moment
_FIRST_BACKOFF_S = 0.5
_SHOWN_CHARACTERS = 200  # of an answer, in a message


@dataclass(frozen=True, kw_only=True)
class Download:
    """A finished download.

    Attributes
    ----------
    path : Path
        The whole file.
    size_bytes : int
        Its size.
    transferred_bytes : int
        What this call received; less than the size where an earlier call had a part of it.
    skipped : bool
        Whether the file was there already, so that nothing was asked for.
    """

    path: Path
    size_bytes: int
    transferred_bytes: int
    skipped: bool


@dataclass(kw_only=True)
class Client:
    """Asks servers politely, and again if they fail.

    Failed connections, bodies that end early and the statuses 429, 500, 502, 503 and 504 are
    tried again, after a pause that doubles from half a second and is spread by chance, or after
    the pause that the server asks for (``Retry-After``). Every other failure is final.

    Parameters
    ----------
    tries : int
        How often a request is sent at most, at least 1.
    timeout_s : float
        How long to wait for a connection and for each part of an answer, seconds.
    pause_s : float
        Shortest time from one request to the next, seconds: the server's rate limit.
    longest_pause_s : float
        Longest time between two tries, whatever the server asks for, seconds.
    sleep : callable
        Waits a number of seconds; a test passes its own.
    """

    tries: int = 5
    timeout_s: float = 30.0
    pause_s: float = 0.0
    longest_pause_s: float = 120.0
    sleep: Callable[[float], object] = time.sleep
    _session: requests.Session = field(default_factory=requests.Session, init=False, repr=False)
    _next_at: float = field(default=0.0, init=False, repr=False)  # on the monotonic clock

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise InputError(f"tries must be at least 1, was {self.tries}; 1 means no second try")

    def get_bytes(self, url: str, *, params: Params | None = None) -> bytes:
        """Return the body of an answer.

        Raises
        ------
        SourceError
            If the server refuses, or still fails at the last try.
        """

        def ask() -> bytes:
            with self._answer(url, params=params) as response:
                return response.content

        return self._persist(url, ask)

    def get_json(self, url: str, *, params: Params | None = None) -> Any:
        """Return the body of an answer, read as JSON; what is in it is for the caller to check.

        Raises
        ------
        SourceError
            If the server refuses, still fails at the last try, or answers with anything else.
        """

        def ask() -> Any:
            with self._answer(url, params=params) as response:
                return _json(response)

        return self._persist(url, ask)

    def post_json(self, url: str, body: Any) -> Any:
        """Send a body as JSON, for questions that change nothing, and return the answer's JSON.

        Raises
        ------
        SourceError
            If the server refuses, still fails at the last try, or answers with anything else.
        """

        def ask() -> Any:
            with self._answer(url, body=body) as response:
                return _json(response)

        return self._persist(url, ask)

    def download(self, url: str, path: Path, *, sha256: str | None = None) -> Download:
        """Download a file, so that `path` is either whole or not there.

        The bytes go to ``<path>.part`` first. An interrupted download leaves that file, and the
        next call asks for the rest only, provided that the server says by ETag or date that the
        file is still the same, or `sha256` tells afterwards.

        Parameters
        ----------
        url, path : str, Path
            Where from, where to; missing folders are made.
        sha256 : str or None
            Checksum of the whole file, hexadecimal. A file that is there and fits is not asked
            for again; without a checksum it always is.

        Raises
        ------
        SourceError
            If the server refuses, still fails at the last try, or sends a file that does not
            have the checksum.
        """
        if sha256 is not None and path.exists() and sha256_of(path) == sha256.lower():
            size = path.stat().st_size
            return Download(path=path, size_bytes=size, transferred_bytes=0, skipped=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = PartialFile(path, sha256=sha256)
        self._persist(url, lambda: self._receive(url, part))
        part.finish()
        return Download(
            path=path,
            size_bytes=path.stat().st_size,
            transferred_bytes=part.received_bytes,
            skipped=False,
        )

    def _receive(self, url: str, part: PartialFile) -> None:
        resumed = part.resumable()
        headers = {"Accept-Encoding": "identity", **(part.range_headers() if resumed else {})}
        try:
            with self._answer(url, headers=headers, stream=True) as response:
                part.receive(response, resumed=resumed)
        except PassingError as error:
            if error.status == requests.codes.requested_range_not_satisfiable:
                part.discard()
            raise
        part.check(url, resumed=resumed)

    def _persist(self, url: str, ask: Callable[[], _Answer]) -> _Answer:
        for attempt in range(1, self.tries + 1):
            self._keep_pace()
            try:
                return ask()
            except PassingError as error:
                failure = error
            if attempt < self.tries:
                self.sleep(self._backoff_s(attempt, failure.retry_after_s))
        raise SourceError(
            f"{url}: the server must answer, and after {_tries(self.tries)} {failure}; "
            "check the connection, or try again later",
            status=failure.status,
        ) from failure

    def _keep_pace(self) -> None:
        wait_s = self._next_at - time.monotonic()
        if wait_s > 0:
            self.sleep(wait_s)
        self._next_at = time.monotonic() + self.pause_s

    def _backoff_s(self, attempt: int, retry_after_s: float | None) -> float:
        if retry_after_s is None:
            # Clients that failed together must not come back together.
            retry_after_s = _FIRST_BACKOFF_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
        return min(retry_after_s, self.longest_pause_s)

    @contextmanager
    def _answer(
        self,
        url: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        stream: bool = False,
    ) -> Iterator[requests.Response]:
        """Yield a good answer; failures while it is read are told apart as well."""
        try:
            with self._session.request(
                "GET" if body is None else "POST",
                url,
                params=dict(params or {}),
                json=body,
                headers=dict(headers or {}),
                timeout=self.timeout_s,
                stream=stream,
            ) as response:
                _require_good(response)
                yield response
        except requests.Timeout as error:
            raise PassingError(f"it was silent for {self.timeout_s:g} s") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise PassingError(f"the connection failed ({_reason(error)})") from error
        except requests.RequestException as error:
            raise SourceError(
                f"{url}: the address must be one that can be asked, and asking failed "
                f"({_reason(error)}); check its spelling"
            ) from error


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except requests.JSONDecodeError as error:
        raise SourceError(
            f"{response.url}: the answer must be JSON, was {_shown(response)}; "
            "check the address, or try again later",
            damaged=True,
        ) from error


def _require_good(response: requests.Response) -> None:
    status = response.status_code
    if response.ok:
        return
    if status in _PASSING_STATUSES:
        raise PassingError(
            f"it answered {_status(response)}", status=status, retry_after_s=_retry_after(response)
        )
    if status == requests.codes.requested_range_not_satisfiable:
        raise PassingError("the part on disk was no part of the file", status=status)
    raise SourceError(
        f"{response.url}: the server must answer with success, and it answered "
        f"{_status(response)}: {_shown(response)}; check what was asked for",
        status=status,
    )


def _retry_after(response: requests.Response) -> float | None:
    header = response.headers.get("Retry-After")
    try:
        return None if header is None else Retry().parse_retry_after(header)
    except InvalidHeader:
        return None


def _status(response: requests.Response) -> str:
    return f"{response.status_code} {response.reason or ''}".strip()


def _shown(response: requests.Response) -> str:
    text = " ".join(response.text[: 2 * _SHOWN_CHARACTERS].split())
    return repr(text[:_SHOWN_CHARACTERS]) if text else "empty"


def _reason(error: Exception) -> str:
    """Return the innermost cause: the outer ones repeat the address and name objects."""
    while True:
        inner = [cause for cause in error.args if isinstance(cause, Exception)]
        reason = getattr(error, "reason", None)
        if isinstance(reason, Exception):
            inner.append(reason)
        if not inner:
            return str(error) or type(error).__name__
        error = inner[-1]


def _tries(count: int) -> str:
    return "one try" if count == 1 else f"{count} tries"
