"""Fitted forecasters as JSON and arrays: everything that a pickle keeps, and no code.

Values become a document of plain JSON, in which every array is named by its dotted path, and the
arrays themselves, which safetensors stores. Reading makes objects of the types of this package
only: a type is looked up in a closed list and never imported by a name that stands in a file.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ..errors import InputError

FORMAT = 1
"""Version of the document; a reader refuses any other."""

Node: TypeAlias = "bool | int | float | str | list[Node] | dict[str, Node] | None"
Array: TypeAlias = NDArray[Any]

_ROOT = __package__.rsplit(".", 1)[0]
_NOT_FINITE = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}
_STORED_KINDS = "biuf"  # safetensors holds booleans, integers and floats
_FORMS = ("plain", "turned", "scalar")
_TIME_KINDS = "mM"  # times are stored as the integers they are


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """A value taken apart.

    Attributes
    ----------
    document : mapping
        JSON: ``format`` and ``value``.
    arrays : mapping of str to ndarray
        By the path at which the document names them; booleans, integers and floats.
    """

    document: Mapping[str, Node]
    arrays: Mapping[str, Array]


def to_state(value: object, *, also: Iterable[type] = ()) -> State:
    """Take a value apart.

    Parameters
    ----------
    value : object
        Numbers, strings, None, enumerations, arrays of numbers or times, tuples, mappings, and
        frozen dataclasses of this package that are made of these.
    also : iterable of type
        Further frozen dataclasses and enumerations that it may hold; none has the name of another.

    Raises
    ------
    InputError
        If anything else is in it; the message says where.

    Examples
    --------
    >>> to_state((1, 2.5)).document["value"]
    {'tuple': [1, 2.5]}
    """
    packer = _Packer(arrays={}, known=known_types() | _by_name(also))
    node = packer.node(value, "")
    return State(document={"format": FORMAT, "value": node}, arrays=packer.arrays)


def from_state(state: State, *, loaded_only: bool = False, also: Iterable[type] = ()) -> object:
    """Put a value together again; arrays, numbers and types are exactly what they were.

    Parameters
    ----------
    state : State
        From :func:`to_state` or :func:`read_state`.
    loaded_only : bool
        Whether to know the types of forecasters that are imported already, and to import no other.
    also : iterable of type
        As for :func:`to_state`.

    Raises
    ------
    InputError
        If the document is of another format, names a type or an array that does not exist, or
        an array is there that it does not name.
    """
    found = state.document.get("format")
    if found != FORMAT or "value" not in state.document:
        raise InputError(
            f"a state must have format {FORMAT} and a value, found format {found!r}; it was "
            "written by another version of foremargin, or is damaged"
        )
    if not loaded_only:
        import_module(".registry", __package__)
    unpacker = _Unpacker(arrays=state.arrays, used=set(), known=known_types() | _by_name(also))
    try:
        value = unpacker.value(state.document["value"], "")
    except RecursionError as error:
        raise InputError("a state must not be nested without end; it is damaged") from error
    left = sorted(set(state.arrays) - unpacker.used)
    if left:
        raise InputError(f"every array of a state must be named in it, found others: {left[:5]}")
    return value


def write_state(state: State) -> tuple[bytes, bytes]:
    """Return the document as JSON and the arrays as safetensors; equal states give equal bytes."""
    text = json.dumps(state.document, indent=1, allow_nan=False)
    return text.encode(), save_arrays({name: _native(a) for name, a in state.arrays.items()})


def read_state(document: bytes, arrays: bytes) -> State:
    """Read what :func:`write_state` wrote.

    Raises
    ------
    InputError
        If either is not in its form.
    """
    try:
        read = json.loads(document, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"a state must be JSON, but could not be read: {error}") from error
    if not isinstance(read, dict):
        raise InputError(f"a state must be a JSON object, found {type(read).__name__}")
    try:
        return State(document=read, arrays=load_arrays(arrays))
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"the arrays of a state must be safetensors, but could not be read: {error}"
        ) from error


def known_types() -> dict[str, type | None]:
    """Return the types that a state may hold by name; None where two have the same name.

    They are the frozen dataclasses and the enumerations of this package that the modules of
    forecasters define or use.
    """
    found: dict[str, type | None] = {}
    for kind in _types_in_use():
        found[kind.__name__] = kind if found.get(kind.__name__, kind) is kind else None
    return found


def _by_name(kinds: Iterable[type]) -> dict[str, type | None]:
    return {kind.__name__: kind for kind in kinds}


def _types_in_use() -> Iterator[type]:
    modules = [m for name, m in sys.modules.items() if f"{name}.".startswith(f"{__package__}.")]
    for module in modules:
        for kind in list(vars(module).values()):
            ours = isinstance(kind, type) and f"{kind.__module__}.".startswith(f"{_ROOT}.")
            if ours and (issubclass(kind, Enum) or _is_frozen(kind)):
                yield kind


def _is_frozen(kind: type) -> bool:
    return is_dataclass(kind) and bool(vars(kind)["__dataclass_params__"].frozen)


@dataclass(frozen=True, kw_only=True)
class _Packer:
    arrays: dict[str, Array]
    known: Mapping[str, type | None]

    def node(self, value: object, path: str) -> Node:
        """Turn a value into JSON; arrays are put aside."""
        match value:
            case Enum():
                return {"enum": self._name_of(type(value), path), "value": value.value}
            case np.ndarray() | np.generic():
                return self._array(value, path)
            case None | bool() | int() | str():
                return value
            case float():
                return value if np.isfinite(value) else {"float": str(value)}
            case Mapping():
                return {"mapping": [self._item(k, v, path) for k, v in value.items()]}
            case tuple() if type(value) is tuple:
                nodes = [self.node(v, _join(path, str(i))) for i, v in enumerate(value)]
                return {"tuple": nodes}
            case _:
                return self._dataclass(value, path)

    def _item(self, key: object, value: object, path: str) -> Node:
        inside = _join(path, _key_text(key))
        return [self.node(key, f"{inside}.key"), self.node(value, inside)]

    def _array(self, value: Array | np.generic, path: str) -> Node:
        array = np.asarray(value)
        if array.dtype.kind not in _STORED_KINDS + _TIME_KINDS or array.dtype.itemsize > 8:
            raise InputError(
                f"an array of a fitted forecaster must hold numbers or times, found dtype "
                f"{array.dtype} at {path or 'its root'}; keep names in a tuple"
            )
        # The order in memory decides the order in which a matrix product sums.
        turned = bool(array.flags.f_contiguous and not array.flags.c_contiguous)
        plain = array.view(np.int64) if array.dtype.kind in _TIME_KINDS else array
        name = path or "value"
        while name in self.arrays:  # a key may look like a path
            name += "'"
        self.arrays[name] = np.ascontiguousarray(plain.T if turned else plain)
        if array.ndim == 0:  # made one-dimensional by the line above
            self.arrays[name] = self.arrays[name].reshape(())
        form = "scalar" if isinstance(value, np.generic) else "turned" if turned else "plain"
        return {"array": name, "dtype": array.dtype.newbyteorder("=").str, "form": form}

    def _dataclass(self, value: object, path: str) -> Node:
        kind = type(value)
        if not _is_frozen(kind) or not is_dataclass(value):
            raise InputError(
                f"a fitted forecaster must be made of numbers, strings, enumerations, arrays, "
                f"tuples, mappings and frozen dataclasses, found {kind.__name__} at "
                f"{path or 'its root'}"
            )
        name = self._name_of(kind, path)
        content = {
            f.name: self.node(getattr(value, f.name), _join(path, f.name)) for f in fields(value)
        }
        return {"type": name, "fields": content}

    def _name_of(self, kind: type, path: str) -> str:
        if self.known.get(kind.__name__) is not kind:
            raise InputError(
                f"a type in a fitted forecaster must belong to {__package__} and have a name of "
                f"its own, found {kind.__module__}.{kind.__name__} at {path or 'its root'}"
            )
        return kind.__name__


@dataclass(frozen=True, kw_only=True)
class _Unpacker:
    arrays: Mapping[str, Array]
    used: set[str]
    known: Mapping[str, type | None]

    def value(self, node: Node, path: str) -> object:
        """Turn JSON into the value that it was."""
        match node:
            case None | bool() | int() | float() | str():
                return node
            case {"float": str(text)} if text in _NOT_FINITE and len(node) == 1:
                return float(_NOT_FINITE[text])
            case {"tuple": list(items)} if len(node) == 1:
                return tuple(self.value(v, _join(path, str(i))) for i, v in enumerate(items))
            case {"mapping": list(items)} if len(node) == 1:
                return dict(self._item(item, path) for item in items)
            case {"array": str(name), "dtype": str(dtype), "form": str(form)} if len(node) == 3:
                return self._array(name, dtype, form, path)
            case {"enum": str(name), "value": raw} if len(node) == 2:
                return self._made(name, Enum, path, (raw,), {})
            case {"type": str(name), "fields": dict(content)} if len(node) == 2:
                made = {k: self.value(v, _join(path, k)) for k, v in content.items()}
                return self._made(name, object, path, (), made)
        raise InputError(f"a state must be made of known parts, found another at {path or 'root'}")

    def _item(self, item: Node, path: str) -> tuple[object, object]:
        if not isinstance(item, list) or len(item) != 2:
            raise InputError(f"a mapping must hold pairs, found something else at {path or 'root'}")
        key = self.value(item[0], f"{path}.key")
        try:
            hash(key)
        except TypeError as error:
            raise InputError(f"a key must be hashable, found another at {path}") from error
        return key, self.value(item[1], _join(path, _key_text(key)))

    def _array(self, name: str, dtype: str, form: str, path: str) -> object:
        if name not in self.arrays or name in self.used:
            raise InputError(
                f"a state must hold each array that it names once, found {name!r} at {path}"
            )
        self.used.add(name)
        # A copy of its own, aligned and free to be written to, as unpickling would give.
        array = np.array(self.arrays[name])
        wanted = _dtype(dtype, path)
        if wanted.kind in _TIME_KINDS and array.dtype == np.int64:
            array = array.view(wanted)
        if array.dtype != wanted or form not in _FORMS or (form == "scalar" and array.ndim):
            raise InputError(
                f"the array at {path} must be a {dtype} in one of the forms {_FORMS}, was "
                f"{array.dtype} of shape {array.shape} as {form!r}"
            )
        if form == "scalar":
            return array[()]
        return array.T if form == "turned" else array

    def _made(
        self, name: str, base: type, path: str, given: tuple[object, ...], by_name: dict[str, Any]
    ) -> object:
        kind = self.known.get(name)
        if kind is None or issubclass(kind, Enum) != (base is Enum):
            raise InputError(
                f"a state must hold types of {__package__} only, found {name!r} at "
                f"{path or 'root'}; it was written by another version of foremargin, or is damaged"
            )
        try:
            return kind(*given, **by_name)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{name} at {path or 'root'} cannot be made: {error}") from error


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _key_text(key: object) -> str:
    return ",".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _dtype(text: str, path: str) -> np.dtype[Any]:
    try:
        return np.dtype(text)
    except (TypeError, ValueError, SyntaxError) as error:
        raise InputError(f"an array must have a dtype, found {text!r} at {path}") from error


def _native(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
