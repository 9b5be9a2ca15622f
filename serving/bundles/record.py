"""What is written down of the bundles that were served: which, since when, and by whom."""

from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

from ...bundles import write_atomically
from ...errors import InputError

STATE = "active.json"
"""File with the record."""

_LARGEST = 16 * 2**20


class Action(StrEnum):
    """What was done."""

    ACTIVATED = "activated"
    """It is served from then on."""
    ROLLED_BACK = "rolled-back"
    """It is served again, in place of one that came after it."""
    SHADOWED = "shadowed"
    """It runs beside the one that is served, without effect."""
    UNSHADOWED = "unshadowed"
    """It does no more."""


class Placed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle at its place.

    Attributes
    ----------
    name, version : str, int
        Registered model.
    digest : str
        SHA-256 of its manifest, hexadecimal.
    folder : str
        Absolute path.
    """

    name: str
    version: int
    digest: str
    folder: str


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change.

    Attributes
    ----------
    action : Action
        What was done.
    bundle : Placed
        To which bundle.
    at : int
        When, ns since 1970-01-01T00:00Z.
    by : str
        By whom.
    """

    action: Action
    bundle: Placed
    at: int
    by: str


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a store remembers.

    Attributes
    ----------
    format : int
        Version of the file.
    events : tuple of Event
        Every change, the oldest first.
    """

    format: int = 1
    events: tuple[Event, ...] = ()

    @property
    def line(self) -> tuple[Placed, ...]:
        """Bundles that led to the one that is served, which is the last; a rollback drops one."""
        line: list[Placed] = []
        for event in self.events:
            if event.action is Action.ACTIVATED:
                line.append(event.bundle)
            elif event.action is Action.ROLLED_BACK:
                line.pop()
        return tuple(line)

    @property
    def shadow(self) -> Placed | None:
        """The bundle that runs beside; None if none does."""
        for event in reversed(self.events):
            if event.action is Action.SHADOWED:
                return event.bundle
            if event.action is Action.UNSHADOWED:
                return None
        return None

    def dropped(self, digest: str) -> bool:
        """Tell whether a bundle was served last until somebody rolled back from it."""
        line: list[Placed] = []
        last = False
        for event in self.events:
            if event.action is Action.ACTIVATED:
                line.append(event.bundle)
                last = last and event.bundle.digest != digest
            elif event.action is Action.ROLLED_BACK and line.pop().digest == digest:
                last = True
        return last


def read_record(folder: Path) -> Record:
    """Return the record of a store; empty if there is none yet.

    Raises
    ------
    InputError
        If there is a file that is no record.
    """
    path = folder / STATE
    try:
        with open(path, "rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return Record()
    except OSError as error:
        raise InputError(f"{path} must be a file that can be read: {error.strerror}") from error
    try:
        record = msgspec.json.decode(raw, type=Record)
        record.line  # noqa: B018  # a rollback from nothing is no record either
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, IndexError) as error:
        raise InputError(
            f"{path} must be the record of the bundles that were served, but cannot be read: "
            f"{error}; move it away to begin a new one"
        ) from error
    if record.format != 1:
        raise InputError(
            f"{path} must have format 1, has {record.format}; another version wrote it"
        )
    return record


def write_record(folder: Path, record: Record) -> None:
    """Write the record; on the disk when this returns."""
    write_atomically(folder / STATE, msgspec.json.format(msgspec.json.encode(record), indent=1))
