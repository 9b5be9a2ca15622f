"""The file of API keys: read with care, written atomically."""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec import Struct

from ...errors import InputError
from .keys import DEFAULT_RATE, KeyRecord, new_key
from .principals import Rate, Scope

_MOST_LINKS = 40  # as Linux
_LARGEST_FILE = 16 * 2**20  # bytes; 30,000 keys


class _KeyFile(Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[KeyRecord]
    version: int = 1


_decode = msgspec.json.Decoder(_KeyFile).decode


class KeyStore:
    """The keys of one file, read again when the file changes.

    Parameters
    ----------
    path : Path
        A regular file of this user that nobody else may read or write, or a link to one, such as a
        mounted secret. Of a link no folder on the way may be one that others can write to.

    Raises
    ------
    InputError
        If the file cannot be read, others may read it or put another one there, or it does not
        hold keys.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp, self._keys = _read(path)

    @property
    def keys(self) -> Mapping[str, KeyRecord]:
        """By identifier, at one moment; it will not change."""
        return self._keys

    def reload(self) -> bool:
        """Read the file again if it changed; return whether it did.

        Raises
        ------
        InputError
            If it changed and cannot be used; the keys stay what they were.
        """
        if _stamp_of(self.path) == self._stamp:
            return False
        self._stamp, self._keys = _read(self.path)
        return True


def create_key(
    path: Path,
    scopes: Iterable[Scope],
    *,
    now: int,
    label: str = "",
    expires: int = 0,
    rate: Rate = DEFAULT_RATE,
    signs: bool = False,
) -> tuple[KeyRecord, str]:
    """Add a key to a file, made if need be; return its record and its token, this once.

    Raises
    ------
    InputError
        As :func:`new_key`, and if the file cannot be used.
    """
    record, token = new_key(scopes, now=now, label=label, expires=expires, rate=rate, signs=signs)
    with _Locked(path):
        known = _read(path)[1] if path.exists() else {}
        _write(path, [*known.values(), record])
    return record, token


def revoke_key(path: Path, identifier: str, *, now: int) -> KeyRecord:
    """Mark a key as revoked from `now` (ns UTC) on; a second time changes nothing.

    Raises
    ------
    InputError
        If there is no such key or the file cannot be used.
    """
    with _Locked(path):
        known = dict(_read(path)[1])
        if identifier not in known:
            raise InputError(f"a key to revoke must be in {path}, found no {identifier!r} there")
        if not known[identifier].revoked:
            known[identifier] = msgspec.structs.replace(known[identifier], revoked=now)
            _write(path, list(known.values()))
    return known[identifier]


class _Locked:
    """Holds a lock beside the file, so that two writers do not lose a key."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = path.with_name(f".{path.name}.lock")

    def __enter__(self) -> None:
        self._descriptor = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _stamp_of(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"the keys file must be there, {path}: {error.strerror}") from error
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode, status.st_uid


def _read(path: Path) -> tuple[tuple[int, ...], Mapping[str, KeyRecord]]:
    stamp = _stamp_of(path)
    content = _content(path)
    try:
        found = _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the keys file must hold keys, {path}: {error}") from error
    if found.version != 1:
        raise InputError(f"the keys file must have version 1, {path} has {found.version}")
    keys = {record.id: record for record in found.keys}
    if len(keys) != len(found.keys):
        raise InputError(f"every key must be in the file once, {path} has an identifier twice")
    return stamp, MappingProxyType(keys)


def _content(path: Path) -> bytes:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(_resolved(path), flags)
    except OSError as error:
        raise InputError(f"the keys file must be readable, {path}: {error.strerror}") from error
    try:
        _check(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_LARGEST_FILE)
    finally:
        os.close(descriptor)


def _resolved(path: Path) -> Path:
    """Return where the path leads, every link followed and every folder on the way checked.

    Whoever may write to a folder on the way of a link can turn it elsewhere; of a plain path that
    would be refused by its owner and mode.
    """
    parts = list(reversed(Path(os.path.abspath(path)).parts))
    at, folders, links = Path(parts.pop()), list[Path](), 0
    while parts:
        part = parts.pop()
        if part == "..":
            at = at.parent
            continue
        folders.append(at)
        step = at / part
        if not step.is_symlink():
            at = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise InputError(f"the keys file must be at the end of its links, {path} goes round")
        target = step.readlink()
        if target.is_absolute():
            at = Path(target.anchor)
        parts += reversed(target.parts[target.is_absolute() :])
    if links:
        for folder in folders:
            _check_folder(path, folder)
    return at


def _check_folder(path: Path, folder: Path) -> None:
    status = folder.stat()
    # In a folder with the sticky bit, as /tmp is, nobody renames what is another's.
    others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
    if status.st_uid not in (0, os.geteuid()) or others:
        mode = stat.S_IMODE(status.st_mode)
        raise InputError(
            f"nobody else may turn the link {path} elsewhere, its folder {folder} is of "
            f"{status.st_uid} and has {mode:o}; chmod go-w it, or name the file itself"
        )


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_size >= _LARGEST_FILE:
        raise InputError(f"the keys file must be a regular file below 16 MiB, {path} is not")
    if status.st_uid != os.geteuid():
        raise InputError(f"the keys file must belong to this user, {path} is of {status.st_uid}")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise InputError(f"nobody else may open the keys file, {path} has {mode:o}; chmod 600 it")


def _write(path: Path, records: list[KeyRecord]) -> None:
    content = msgspec.json.format(msgspec.json.encode(_KeyFile(records)))
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
