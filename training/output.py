"""An output folder that is either complete or as it was."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError


@contextmanager
def complete_or_nothing(folder: Path) -> Iterator[Path]:
    """Yield a folder to write into; its files replace those of `folder` only if all goes well.

    Other files of `folder` are left alone.

    Raises
    ------
    InputError
        If `folder` cannot be written to.
    """
    partial = folder.parent / f".{folder.name}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # What a killed run has left is of no use to anybody.
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
    except OSError as error:
        raise InputError(
            f"the output folder must be a folder that can be written to, was {folder}: "
            f"{error.strerror}; choose another with --out"
        ) from error
    try:
        yield partial
        for path in sorted(partial.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
