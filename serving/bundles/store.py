"""The bundle that is served, and the one that runs beside it."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ...bundles import VerifiedFiles, read_promotion, read_verified
from ...errors import InputError
from .loading import LoadedBundle, load
from .record import Action, Event, Placed, Record, read_record, write_record


class BundleStore:
    """Activate, roll back and shadow; every change is on the disk before it takes effect.

    A bundle is verified and loaded whole before anything changes, and the swap is one assignment:
    whoever asks for the active bundle gets the old one or the new one.

    Parameters
    ----------
    folder : Path
        Where the record is kept.
    trusted : Ed25519PublicKey or None
        Key that must have signed every bundle.
    accept_unsigned : bool
        Whether bundles are served without a key to check them with; for trying only.
    check : callable, optional
        Raises InputError for a bundle that must not be served although it is whole.
    now : callable
        The clock, ns since 1970-01-01T00:00Z.
    """

    def __init__(
        self,
        folder: Path,
        trusted: Ed25519PublicKey | None,
        *,
        accept_unsigned: bool = False,
        check: Callable[[VerifiedFiles], None] | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._folder = Path(folder)
        self._trusted, self._must_be_signed = trusted, not accept_unsigned
        self._check, self._now = check, now
        self._active: LoadedBundle | None = None
        self._shadow: LoadedBundle | None = None

    def active(self) -> LoadedBundle | None:
        """Return the bundle that is served; None if none ever was.

        After a restart it is read again and must be the very one that was activated.

        Raises
        ------
        InputError
            If it is no longer.
        """
        if self._active is None and (line := self._record().line):
            self._active = self._again(line[-1])
        return self._active

    def shadowed(self) -> LoadedBundle | None:
        """Return the bundle that runs beside, without effect; None if none does.

        Raises
        ------
        InputError
            If it is no longer the very one.
        """
        if self._shadow is None and (placed := self._record().shadow):
            self._shadow = self._again(placed)
        return self._shadow

    def history(self) -> tuple[Event, ...]:
        """Return every change, the oldest first."""
        return self._record().events

    def activate(self, folder: Path | str, *, by: str = "") -> LoadedBundle:
        """Serve a bundle from now on.

        Parameters
        ----------
        folder : Path or str
            The bundle.
        by : str
            Who asked for it.

        Raises
        ------
        InputError
            If it is not whole, signed and loadable, or is older than the one of its name that was
            served last; nothing changed then.
        """
        return self._serve(*self._read(folder), by=by)

    def rollback(self, *, by: str = "") -> LoadedBundle:
        """Serve the bundle again that was served before the present one.

        Raises
        ------
        InputError
            If there is none, or it is no longer what it was; nothing changed then.
        """
        with self._locked() as record:
            if len(record.line) < 2:
                raise InputError(
                    "a bundle must have been served before the present one, but there is none; "
                    "activate another one"
                )
            placed = record.line[-2]
            bundle = self._again(placed)
            self._write(record, Action.ROLLED_BACK, placed, by)
            self._active = bundle
        return bundle

    def shadow(self, folder: Path | str | None, *, by: str = "") -> LoadedBundle | None:
        """Run a bundle beside the one that is served, or none.

        Parameters
        ----------
        folder : Path, str or None
            The bundle; None ends it.
        by : str
            Who asked for it.

        Raises
        ------
        InputError
            If it is not whole, signed and loadable; nothing changed then.
        """
        if folder is None:
            with self._locked() as record:
                if record.shadow is not None:
                    self._write(record, Action.UNSHADOWED, record.shadow, by)
                self._shadow = None
            return None
        bundle, placed = self._read(folder)
        with self._locked() as record:
            if record.shadow != placed:
                self._write(record, Action.SHADOWED, placed, by)
            self._shadow = bundle
        return bundle

    def follow(self, bundles: Path, name: str) -> LoadedBundle | None:
        """Serve the champion of a registered model if it is another than the one that is served.

        Cheap where nothing changed: one small file is read. A champion that was rolled back from
        here is not followed again; activate it to serve it nevertheless.

        Parameters
        ----------
        bundles : Path
            Folder of the bundles of the tracking store, such as ``mlruns/bundles``.
        name : str
            Registered model.

        Returns
        -------
        LoadedBundle or None
            The new one; None if nothing changed.

        Raises
        ------
        InputError
            As :meth:`activate`, or if the bundle is not the one that was promoted.
        """
        promotion = read_promotion(bundles, name)
        record = self._record()
        served = record.line[-1].digest if record.line else None
        if promotion is None or promotion.digest == served or record.dropped(promotion.digest):
            return None
        bundle, placed = self._read(bundles / promotion.folder)
        if placed.digest != promotion.digest:
            raise InputError(
                f"{placed.folder} must be the bundle that was promoted, with the digest "
                f"{promotion.digest[:12]}, but has {placed.digest[:12]}; do not use it, promote it "
                "anew"
            )
        return self._serve(bundle, placed, by=f"promoted by {promotion.by}")

    def _serve(self, bundle: LoadedBundle, placed: Placed, *, by: str) -> LoadedBundle:
        with self._locked() as record:
            if not record.line or record.line[-1] != placed:
                _check_not_older(record, placed)
                self._write(record, Action.ACTIVATED, placed, by)
            self._active = bundle
        return bundle

    def _read(self, folder: Path | str) -> tuple[LoadedBundle, Placed]:
        files = read_verified(folder, trusted=self._trusted, require_signature=self._must_be_signed)
        if self._check is not None:
            self._check(files)
        manifest = files.manifest
        placed = Placed(
            name=manifest.name,
            version=manifest.version,
            digest=files.digest,
            folder=str(Path(folder).resolve()),
        )
        return load(files), placed

    def _again(self, placed: Placed) -> LoadedBundle:
        """Read a bundle that was read before."""
        bundle, found = self._read(placed.folder)
        if found.digest != placed.digest:
            raise InputError(
                f"{placed.folder} must be the bundle that was served, with the digest "
                f"{placed.digest[:12]}, but has {found.digest[:12]}; put it back, or activate "
                "another one"
            )
        return bundle

    def _record(self) -> Record:
        return read_record(self._folder)

    def _write(self, record: Record, action: Action, placed: Placed, by: str) -> None:
        event = Event(action=action, bundle=placed, at=self._now(), by=by)
        write_record(self._folder, Record(events=(*record.events, event)))

    @contextmanager
    def _locked(self) -> Iterator[Record]:
        """Keep other processes from changing the record; one that dies lets go."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InputError(
                f"{self._folder} must be a folder that can be written: {error.strerror}"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield self._record()
        finally:
            os.close(handle)


def _check_not_older(record: Record, placed: Placed) -> None:
    """Refuse to go back by accident, or because somebody offers an old bundle that is signed."""
    for known in reversed(record.line):
        if known.name != placed.name:
            continue
        if placed.version < known.version:
            raise InputError(
                f"version {placed.version} of {placed.name} must not be older than version "
                f"{known.version}, which is served; roll back to one that was served before"
            )
        if placed.version == known.version and placed.digest != known.digest:
            raise InputError(
                f"version {placed.version} of {placed.name} was served with the digest "
                f"{known.digest[:12]}, but {placed.folder} has {placed.digest[:12]}: another "
                "bundle with the same number; train it anew"
            )
        return
