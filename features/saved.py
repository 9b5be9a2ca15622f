"""What the moving parts of features remember, taken apart and put together again.

A part is made of arrays, numbers and other parts. What was saved is put into parts of the same
make: the types come from these, never from what was saved.
"""

import copy
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from ..errors import InputError


def saved(part: Any, *, where: str) -> Any:
    """Return a part as mappings, tuples, arrays, numbers, strings and None.

    Parameters
    ----------
    part : object
        A dataclass, or a list or tuple of some.
    where : str
        For messages.

    Raises
    ------
    InputError
        If there is anything else in it.
    """
    if isinstance(part, Enum):
        return part.value
    if part is None or isinstance(part, np.ndarray | np.generic | bool | int | float | str):
        return part
    if isinstance(part, list | tuple):
        return tuple(saved(item, where=f"{where}.{i}") for i, item in enumerate(part))
    if is_dataclass(part) and not isinstance(part, type):
        return {
            f.name: saved(getattr(part, f.name), where=f"{where}.{f.name}") for f in fields(part)
        }
    raise InputError(
        f"what a feature remembers must be arrays and numbers to be saved, found "
        f"{type(part).__name__} at {where}; serve a model without this feature"
    )


def restored(like: Any, node: Any, *, where: str) -> Any:
    """Return a part of the make of `like` that remembers what was saved.

    Raises
    ------
    InputError
        If it does not fit.
    """
    if isinstance(like, list | tuple):
        if isinstance(node, tuple) and len(node) == len(like):
            pairs = enumerate(zip(like, node, strict=True))
            return type(like)(restored(a, b, where=f"{where}.{i}") for i, (a, b) in pairs)
    elif is_dataclass(like) and not isinstance(like, type):
        if isinstance(node, Mapping) and set(node) == {f.name for f in fields(like)}:
            part = copy.copy(like)
            for name, value in node.items():
                inside = restored(getattr(like, name), value, where=f"{where}.{name}")
                object.__setattr__(part, name, inside)  # parts are frozen, their arrays are not
            return part
    elif isinstance(like, np.ndarray):
        if isinstance(node, np.ndarray) and (node.dtype, node.ndim) == (like.dtype, like.ndim):
            return np.array(node, order="C")
    elif isinstance(like, Enum):
        return type(like)(node)
    elif type(node) is type(like):
        return node
    raise InputError(
        f"what a feature remembered must fit it, found {type(node).__name__} instead of "
        f"{type(like).__name__} at {where}; it was saved by another version, or is damaged"
    )
