"""One history for many processes: written once to a file that each of them maps into memory.

The file is for the workers of one run on one machine, lives as long as the run, and is pickled;
nothing that outlives a run is.
"""

import mmap
import pickle
from functools import lru_cache
from pathlib import Path

from .history import History

_ALIGNMENT = 64  # bytes; the start of a cache line, where vector instructions read fastest


def write_history(history: History, path: Path) -> None:
    """Write a history to a file for :func:`read_history`."""
    buffers: list[pickle.PickleBuffer] = []
    # Protocol 5 leaves the arrays out of the pickle, so that they can be mapped where they lie.
    head = pickle.dumps(history, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    with path.open("wb") as file:
        pickle.dump((head, [array.nbytes for array in arrays]), file)
        for array in arrays:
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            file.write(array)


@lru_cache(maxsize=1)
def read_history(path: Path) -> History:
    """Map a history that :func:`write_history` wrote; its arrays are read-only and shared.

    A process keeps the last one, since it is asked for again with every fit.
    """
    with path.open("rb") as file:
        head, sizes = pickle.load(file)
        position = file.tell()
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    arrays = []
    for size in sizes:
        position += -position % _ALIGNMENT
        arrays.append(mapped[position : position + size])
        position += size
    history = pickle.loads(head, buffers=arrays)
    if not isinstance(history, History):
        raise TypeError(f"{path} must hold a History, found {type(history).__name__}")
    return history
