"""Carries out a write once, keeps its answer, and writes both down."""

import asyncio
import io
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from ...errors import InputError
from ..ports import Clock
from .answers import Answer
from .idempotency import Decision, Entry, Ledger, StoredAnswer
from .problems import (
    IDEMPOTENCY_KEY_IN_FLIGHT,
    IDEMPOTENCY_KEY_MISSING,
    IDEMPOTENCY_KEY_REUSED,
    OUTCOME_UNKNOWN,
    UNAVAILABLE,
    ProblemError,
)

_log = logging.getLogger(__name__)
_KEY = re.compile(rb'"([\x21\x23-\x5b\x5d-\x7e]{1,128})"|([\x21\x23-\x5b\x5d-\x7e]{1,128})')
_decode = msgspec.json.Decoder(Entry).decode
_encode = msgspec.json.Encoder().encode
_LATER = ((b"retry-after", b"1"),)


def read_key(header: bytes | None) -> str:
    """Return an Idempotency-Key: 1 to 128 visible characters, in double quotes or without.

    Raises
    ------
    ProblemError
        If there is none, or it is something else.
    """
    match = None if header is None else _KEY.fullmatch(header)
    if match is None:
        raise ProblemError(
            IDEMPOTENCY_KEY_MISSING,
            "Idempotency-Key must be 1 to 128 visible ASCII characters without quotes inside.",
        )
    return (match[1] or match[2]).decode()


class EntryFile:
    """Entries, one JSON line each; the last one of a key counts.

    Parameters
    ----------
    path : Path
        Made if need be.
    durable : bool
        Whether every line is forced to the disk.
    rewrite_after : int
        Lines after which the file is written anew.

    Raises
    ------
    InputError
        If a line before the last is damaged; the last may be torn by a crash.
    """

    def __init__(self, path: Path, *, durable: bool, rewrite_after: int = 100_000) -> None:
        self._path, self._durable, self._rewrite_after = path, durable, rewrite_after
        path.parent.mkdir(parents=True, exist_ok=True)
        self.found = _read(path)
        self._lines = 0
        self._torn: int | None = None  # where a line begins that the disk took in part

    def append(self, entry: Entry, *, all_entries: Callable[[], Iterable[Entry]]) -> None:
        """Write an entry, all of it or nothing; now and then all of them anew."""
        self._lines += 1
        if self._lines > self._rewrite_after:
            self.rewrite(all_entries())
            return
        self._mend()
        with open(self._path, "ab", buffering=0) as file:
            end = file.tell()
            try:
                _write_whole(file, _encode(entry) + b"\n")
                if self._durable:
                    os.fsync(file.fileno())
            except OSError:
                self._torn = end
                with suppress(OSError):
                    self._mend()
                raise

    def _mend(self) -> None:
        """Cut off what a full disk took of a line, so that the next one does not follow it."""
        if self._torn is not None:
            os.truncate(self._path, self._torn)
            self._torn = None

    def rewrite(self, entries: Iterable[Entry]) -> None:
        """Replace the file."""
        beside = self._path.with_suffix(".new")
        with open(beside, "wb") as file:
            file.writelines(_encode(entry) + b"\n" for entry in entries)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)
        self._lines, self._torn = 0, None


class Once:
    """Carries out requests by their key.

    Parameters
    ----------
    ledger : Ledger
        Empty; it is filled from the file.
    clock : Clock
        Wall clock: what is kept outlives a process.
    file : EntryFile, optional
        Without it nothing survives a restart.
    begins : bool
        Whether the beginning is written down too, so that a restart knows what broke off.
    """

    def __init__(
        self, ledger: Ledger, *, clock: Clock, file: EntryFile | None = None, begins: bool = True
    ) -> None:
        self._ledger, self._now, self._file, self._begins = ledger, clock.now, file, begins
        self._tasks: set[asyncio.Task[Answer]] = set()
        if file is not None:
            ledger.restore(file.found, now=self._now())
            file.rewrite(ledger.entries)

    async def run(
        self, key: str, fingerprint: str, work: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Return the answer of `work`, or of the time when it was done.

        A caller that goes away or runs out of time does not stop it: the answer is there when the
        same request comes again.

        Raises
        ------
        ProblemError
            If the key is in flight, of another request, or its outcome is not known.
        """
        decision, stored = self._ledger.begin(key, fingerprint, now=self._now())
        if decision is Decision.REPLAY and stored is not None:
            return _again(stored)
        if decision is not Decision.RUN:
            raise _refusal(decision)
        task = asyncio.get_running_loop().create_task(self._carry_out(key, work))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Wait for what is being carried out."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(self, key: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            if self._begins:
                self._write(self._ledger.entry(key))
        except OSError as error:
            self._ledger.abandon(key)
            raise ProblemError(UNAVAILABLE, "The disk does not take it.", headers=_LATER) from error
        try:
            answer = await work()
        except ProblemError:
            self._forget(key)
            raise
        except BaseException:
            self._ledger.lose(key)
            raise
        kept = StoredAnswer(answer.status, answer.body, _media_type(answer))
        self._write_if_possible(self._ledger.finish(key, kept))
        return answer

    def _forget(self, key: str) -> None:
        ended = msgspec.structs.replace(self._ledger.entry(key), expires=0)
        self._ledger.abandon(key)
        if self._begins:
            self._write_if_possible(ended)

    def _write(self, entry: Entry) -> None:
        # Not in another thread: lines stay in order, and only rare commands wait for the disk.
        if self._file is not None:
            self._file.append(entry, all_entries=lambda: self._ledger.entries)

    def _write_if_possible(self, entry: Entry) -> None:
        try:
            self._write(entry)
        except OSError as error:
            _log.error("an idempotency entry was not written: %s", error.strerror)

    def _done(self, task: asyncio.Task[Answer]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; without this one that left would be logged


def _refusal(decision: Decision) -> ProblemError:
    if decision is Decision.IN_FLIGHT:
        said = "The same request is being carried out; ask again for its answer."
        return ProblemError(IDEMPOTENCY_KEY_IN_FLIGHT, said, headers=_LATER)
    if decision is Decision.MISMATCH:
        said = "The key was used for a request with another body or path."
        return ProblemError(IDEMPOTENCY_KEY_REUSED, said)
    if decision is Decision.LOST:
        return ProblemError(OUTCOME_UNKNOWN, "The request broke off before its end was known.")
    return ProblemError(UNAVAILABLE, "Too many writes are being carried out.", headers=_LATER)


def _again(stored: StoredAnswer) -> Answer:
    return Answer(
        status=stored.status,
        body=stored.body,
        headers=(
            (b"content-type", stored.media_type.encode()),
            (b"idempotent-replayed", b"true"),
        ),
    )


def _media_type(answer: Answer) -> str:
    return dict(answer.headers).get(b"content-type", b"application/json").decode()


def _write_whole(file: io.FileIO, content: bytes) -> None:
    while content:
        content = content[file.write(content) or 0 :]


def _read(path: Path) -> list[Entry]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"idempotency keys must be readable, {path}: {error.strerror}") from error
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            entries.append(_decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if number == len(lines):  # no newline after it: torn by a crash
                break
            raise InputError(
                f"idempotency keys must be whole, {path} is damaged in line {number}: {error}; "
                "move it away if no command is repeated"
            ) from error
    return entries
