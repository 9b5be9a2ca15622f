"""Updates as columns: the encoding of the contract ABI, thousands at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .update import UPDATE_FIELDS, MarginUpdate

Rows: TypeAlias = NDArray[np.void]
"""Updates by field, shape (n,): halves of 128 bit have shape (n, 2), hashes (n, 32)."""

_WORD = 32


def _layout() -> "np.dtype[np.void]":
    """Return the layout of :meth:`.MarginUpdate.abi`: every field at the end of its word."""
    forms: dict[str, tuple[Any, int]] = {
        "bytes32": (("u1", (_WORD,)), 32),
        "uint128": ((">u8", (2,)), 16),
        "uint64": (">u8", 8),
        "uint32": (">u4", 4),
        "uint8": ("u1", 1),
    }
    fields = [forms[field.partition(" ")[0]] for field in UPDATE_FIELDS]
    return np.dtype(
        {
            "names": list(MarginUpdate.__struct_fields__),
            "formats": [form for form, _ in fields],
            "offsets": [_WORD * (k + 1) - size for k, (_, size) in enumerate(fields)],
            "itemsize": _WORD * len(fields),
        }
    )


_ABI = _layout()


def write_updates(fields: Mapping[str, Any], n: int) -> list[bytes]:
    """Return n updates, each as :meth:`.MarginUpdate.abi` writes it.

    Parameters
    ----------
    fields : mapping of str to ndarray or list of bytes
        Every field: numbers that fit it, of 128 bit as (high, low) of shape (n, 2), and hashes.
    n : int
        How many.
    """
    rows = np.zeros(n, _ABI)
    for name in MarginUpdate.__struct_fields__:
        column = fields[name]
        if isinstance(column, list):
            column = np.frombuffer(b"".join(column), np.uint8).reshape(n, _WORD)
        rows[name] = column
    content, size = rows.tobytes(), _ABI.itemsize
    return [content[k : k + size] for k in range(0, n * size, size)]


def read_updates(encoded: Sequence[bytes]) -> Rows:
    """Return updates, each as :meth:`.MarginUpdate.abi` wrote it; what is in between is not read.

    An encoding of zeros alone is one of zeros.
    """
    return np.frombuffer(b"".join(encoded), _ABI)


def plain_columns(rows: Rows) -> list[list[Any]]:
    """Return every field as Python has it, by place: numbers, and hashes as hexadecimal text."""
    columns: list[list[Any]] = []
    for name in MarginUpdate.__struct_fields__:
        column = rows[name]
        if column.ndim == 1:
            columns.append(column.tolist())
        elif column.shape[1] == _WORD:
            text = column.tobytes().hex()
            columns.append([text[k : k + 2 * _WORD] for k in range(0, len(text), 2 * _WORD)])
        else:
            columns.append([high << 64 | low for high, low in column.tolist()])
    return columns
