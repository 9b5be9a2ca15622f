"""Errors of the journal."""

import errno
from typing import NoReturn

from ...errors import ForemarginError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalError(ForemarginError):
    """The disk did not take, or did not keep, what it was given.

    Attributes
    ----------
    full : bool
        Whether there was no room; the same call can succeed later.
    """

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class JournalDamagedError(JournalError):
    """What was acknowledged is on the disk no more; nothing was changed."""


def raise_from(error: OSError, what: str, *, do: str) -> NoReturn:
    """Raise a JournalError that says what could not be done and what to do."""
    full = error.errno in _FULL
    hint = "make room on the disk; the next call tries again" if full else do
    raise JournalError(f"{what}: {error.strerror or error}; {hint}", full=full) from error
