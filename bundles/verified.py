"""Reading a bundle: every file once, and nothing of it is parsed before it is known to be right.

The order is what makes it safe. The folder is opened once and its files are reached through it, so
that nothing can be put in their place meanwhile; links and whatever is no plain file are refused;
the signature of the manifest is checked before the manifest is read as JSON; sizes are compared
before a file is read, digests before it is handed on.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ..errors import InputError
from .manifest import (
    MANIFEST,
    OPTIONAL_FILES,
    REQUIRED_FILES,
    SIGNATURE,
    FileRecord,
    Manifest,
    parse_manifest,
)
from .signing import TRUSTED_VARIABLE, is_signed_by

LARGEST_MANIFEST = 4 * 2**20
"""Bytes of the longest manifest that is read: some ten thousand instruments with their notes."""

LARGEST_SIGNATURE = 4 * 2**10
"""Bytes of the longest signature that is read."""

LARGEST_BUNDLE = 2 * 2**30
"""Bytes of all files together that are read at most."""

_KNOWN = {*REQUIRED_FILES, *OPTIONAL_FILES, MANIFEST, SIGNATURE}
# O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
_HOW = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Trust(StrEnum):
    """What is known about who made a bundle."""

    VERIFIED = "verified"
    """It is signed by the trusted key."""
    NOT_VERIFIED = "not-verified"
    """It is signed, but no trusted key was given to check it with."""
    UNSIGNED = "unsigned"
    """It has no signature, and no trusted key was given that would ask for one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VerifiedFiles:
    """The files of a bundle, each of which is what the manifest says.

    Attributes
    ----------
    folder : Path
        Where they were read.
    manifest : Manifest
        What the bundle is.
    contents : mapping of str to bytes
        The files as they were when their digests were taken; manifest and signature left out.
    digest : str
        SHA-256 of the manifest (hexadecimal), and through it of every file.
    trust : Trust
        What is known about who made it.
    """

    folder: Path
    manifest: Manifest
    contents: Mapping[str, bytes]
    digest: str
    trust: Trust


def read_verified(
    folder: Path | str, *, trusted: Ed25519PublicKey | None, require_signature: bool = False
) -> VerifiedFiles:
    """Read a bundle, or refuse it; nothing in it is executed or parsed but its manifest.

    Parameters
    ----------
    folder : Path or str
        The bundle. It may itself be reached through a link; nothing inside it may be one.
    trusted : Ed25519PublicKey or None
        The key that must have signed the manifest; None accepts any.
    require_signature : bool
        Whether to refuse to read without a trusted key.

    Raises
    ------
    InputError
        If the signature is missing or another's, or a file was changed, is missing, too much, a
        link, or larger than is read.
    """
    folder = Path(folder)
    if require_signature and trusted is None:
        raise InputError(
            f"bundles must be checked with a trusted key, but none was given for {folder}; name "
            f"its file in {TRUSTED_VARIABLE}"
        )
    with _opened(folder) as handle:
        names = set(os.listdir(handle))
        raw = _read(folder, handle, MANIFEST, limit=LARGEST_MANIFEST)
        signature = None
        if SIGNATURE in names:
            signature = _read(folder, handle, SIGNATURE, limit=LARGEST_SIGNATURE)
        trust = _trust(folder, raw, signature, trusted)
        manifest = parse_manifest(folder, raw)
        _check_names(folder, names, manifest)
        contents = {
            name: _checked(folder, handle, name, record) for name, record in manifest.files.items()
        }
    return VerifiedFiles(
        folder=folder,
        manifest=manifest,
        contents=contents,
        digest=hashlib.sha256(raw).hexdigest(),
        trust=trust,
    )


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InputError(
            f"a bundle must be a folder that can be read, but {folder} cannot: {error}"
        ) from error
    try:
        yield handle
    finally:
        os.close(handle)


def _trust(
    folder: Path, manifest: bytes, signature: bytes | None, trusted: Ed25519PublicKey | None
) -> Trust:
    if trusted is None:
        return Trust.UNSIGNED if signature is None else Trust.NOT_VERIFIED
    if signature is None:
        raise InputError(
            f"a bundle must be signed by the trusted key, but {folder} has no signature; train it "
            f"where the signing key is, or unset {TRUSTED_VARIABLE} to accept unsigned bundles"
        )
    if not is_signed_by(manifest, signature, trusted):
        raise InputError(
            f"a bundle must be signed by the trusted key, but the signature of {folder} is not: "
            "another key made it, or the manifest was changed afterwards; do not use it"
        )
    return Trust.VERIFIED


def _check_names(folder: Path, names: set[str], manifest: Manifest) -> None:
    surplus = sorted(names - set(manifest.files) - {MANIFEST, SIGNATURE})
    if surplus:
        raise InputError(f"{folder} must hold the files of a bundle only, found {surplus[:5]}")
    total = sum(record.size_bytes for record in manifest.files.values())
    if total > LARGEST_BUNDLE:
        raise InputError(
            f"a bundle must be at most {LARGEST_BUNDLE} bytes, but the manifest of {folder} names "
            f"{total}; it is damaged, or none"
        )


def _checked(folder: Path, handle: int, name: str, record: FileRecord) -> bytes:
    content = _read(folder, handle, name, limit=record.size_bytes)
    if len(content) != record.size_bytes or hashlib.sha256(content).hexdigest() != record.sha256:
        raise InputError(
            f"{folder / name} must have the SHA-256 and the size that the manifest names, but has "
            "others: it was changed or damaged; do not use it, copy the bundle anew or train it "
            "anew"
        )
    return content


def _read(folder: Path, handle: int, name: str, *, limit: int) -> bytes:
    """Read a plain file once, and no more of it than one byte above the limit."""
    if name not in _KNOWN:  # the manifest was checked for this; a path must never come here
        raise InputError(f"a bundle must hold known files only, was asked for {name[:60]!r}")
    try:
        file = os.open(name, _HOW, dir_fd=handle)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _no_plain_file(folder, name) from error
        raise InputError(
            f"a bundle must hold {name}, but {folder / name} cannot be read: {error.strerror}"
        ) from error
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            raise _no_plain_file(folder, name)
        if name in (MANIFEST, SIGNATURE) and about.st_size > limit:
            raise InputError(
                f"{folder / name} must be at most {limit} bytes, was {about.st_size}; it is none"
            )
        with os.fdopen(file, "rb", closefd=False) as opened:
            return opened.read(limit + 1)
    except OSError as error:
        raise InputError(f"{folder / name} cannot be read: {error.strerror}") from error
    finally:
        os.close(file)


def _no_plain_file(folder: Path, name: str) -> InputError:
    return InputError(
        f"a bundle must hold plain files, but {folder / name} is a link or something else; copy "
        "what it points to, if you know who made it"
    )
