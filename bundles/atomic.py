"""Files that are replaced whole: a reader sees the old one or the new one, even after a crash."""

import os
from pathlib import Path

from ..errors import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by another, on the disk when this returns.

    Parameters
    ----------
    path : Path
        The file; its folder is made if it is not there.
    content : bytes
        What it holds from then on.

    Raises
    ------
    InputError
        If it cannot be written; the old file is untouched then.
    """
    partial = path.parent / f".{path.name}.{os.getpid()}.partial"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path} must be a file that can be written: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    """Make the new name last too, which is kept in the folder and not in the file."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
