"""Finished blocks on disk, so that a run that was killed does not fit again what it had fitted.

A block is one file, found by a digest of everything its numbers depend on: the history as models
see it, the specification, the rows, the random stream, our code and the libraries (and, after a
warm start, the block before it). Another value of any of them is another file. Nothing is pickled,
and a file appears whole or not at all.
"""

import dataclasses
import hashlib
import json
import logging
import os
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..features import History
from ..models import Block, BlockTask
from ..models.state import FORMAT, from_state, read_state, to_state, write_state
from .code_version import code_digest

_LOGGER = logging.getLogger(__name__)

KEPT_DAYS = 30
"""Days after which a block that no run has asked for is deleted."""

_SUFFIX = ".block"
_DOCUMENT, _ARRAYS = "state.json", "arrays.safetensors"


@dataclass(frozen=True, kw_only=True)
class BlockStore:
    """Finished blocks of runs on one history.

    Attributes
    ----------
    folder : Path
        Where they are.
    history : str
        Digest of the history.
    """

    folder: Path
    history: str

    @classmethod
    def open(cls, folder: Path, history: History) -> "BlockStore":
        """Return the store in a folder, made if it is not there; old blocks are deleted.

        Raises
        ------
        InputError
            If the folder cannot be written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _delete_unused(folder)
        except OSError as error:
            raise InputError(
                f"the folder of finished blocks must be one that can be written to, was {folder}: "
                f"{error.strerror}; choose another with --mlruns"
            ) from error
        return cls(folder=folder, history=digest_history(history))

    def key(self, task: BlockTask, *, after: str | None = None) -> str | None:
        """Return the name of a block; None for a forecaster whose code is not ours.

        Parameters
        ----------
        task : BlockTask
            What makes it.
        after : str, optional
            Name of the block whose fit a warm start begins at.
        """
        try:
            specification = write_state(to_state(task.forecaster))
        except InputError:
            # A forecaster from outside the package: nothing here knows whether it has changed.
            return None
        parts = {
            "form": FORMAT,
            "code": code_digest(),
            "history": self.history,
            "forecaster": [part.hex() for part in specification],
            "rows": [task.first_row, task.origins.start, task.origins.stop],
            "stream": str(task.rng.bit_generator.state),
            "keep_fitted": task.keep_fitted,
            "after": after,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def load(self, key: str) -> Block | None:
        """Return a block; None if it is not there, or its file is damaged."""
        path = self._path(key)
        try:
            with zipfile.ZipFile(path) as archive:
                read = read_state(archive.read(_DOCUMENT), archive.read(_ARRAYS))
            block = from_state(read)
            os.utime(path)  # that a run has asked for it keeps it
        except FileNotFoundError:
            return None
        except (OSError, KeyError, InputError, zipfile.BadZipFile) as error:
            _LOGGER.warning("the finished block %s is damaged and is made again: %s", path, error)
            return None
        return block if isinstance(block, Block) else None

    def save(self, key: str, block: Block) -> None:
        """Write a block; another process sees all of it or nothing."""
        path = self._path(key)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        document, arrays = write_state(to_state(block))
        with partial.open("wb") as file:
            with zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(_DOCUMENT, document)
                archive.writestr(_ARRAYS, arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"


def digest_history(history: History) -> str:
    """Return a SHA-256 of everything a model can see: equal exactly when all values are equal."""
    panel = history.panel
    digest = hashlib.sha256(panel.fingerprint().encode())
    # The fingerprint is of prices and measures; models also see what kind of instrument it is.
    digest.update(repr((panel.periods_per_year.tolist(), panel.listings)).encode())
    for table in (history.features, history.targets):
        for field in dataclasses.fields(table):
            value = getattr(table, field.name)
            digest.update(f"{field.name} ".encode())
            if isinstance(value, np.ndarray):
                digest.update(f"{value.dtype} {value.shape} ".encode())
                digest.update(np.ascontiguousarray(value).tobytes())
            else:
                digest.update(repr(value).encode())
    return digest.hexdigest()


def _delete_unused(folder: Path) -> None:
    oldest = time.time() - KEPT_DAYS * 86_400.0
    for path in folder.glob(f"*{_SUFFIX}*"):
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except FileNotFoundError:
            continue  # another run has deleted it
