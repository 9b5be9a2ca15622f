"""A look at an ONNX file before ONNX Runtime sees it: plain arithmetic, and nothing outside.

The format allows a file to name other files that hold its weights, operators that a library brings,
and graphs inside graphs. None of these is in what training writes, so that whatever has one was
made by somebody else. The bytes are read as the nested records that they are (Protocol Buffers wire
format); every field and operator that is not known is refused.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ..errors import InputError

OPERATORS = frozenset(
    [
        *("Abs", "Add", "Cast", "Clip", "Concat", "Div", "Exp", "Gather", "Identity", "Less"),
        *("Log", "MatMul", "Max", "Min", "Mul", "Neg", "ReduceMean", "Reshape", "Split", "Sub"),
        *("Squeeze", "Transpose", "Unsqueeze", "Where"),
    ]
)
"""What a network of this package is made of; none of them reads anything or runs a graph."""

LARGEST_MODEL = 64 * 2**20
"""Bytes of the largest graph that is loaded."""

_MOST_RECORDS = 1_000_000
_Fields = Mapping[int, str]

# Field numbers of onnx.proto by record, and what is in each: a record, or plain bytes or numbers.
_RECORDS: Mapping[str, _Fields] = MappingProxyType(
    {
        "model": {
            **dict.fromkeys((1, 2, 3, 4, 5, 6), ""),
            **{7: "graph", 8: "opset", 14: "text pair"},
        },
        "opset": {1: "standard domain", 2: ""},
        "graph": {
            **{1: "node", 2: "", 5: "tensor", 10: "", 11: "value", 12: "value", 13: "value"},
        },
        "node": {
            **dict.fromkeys((1, 2, 3, 6), ""),
            **{4: "operator", 5: "attribute", 7: "standard domain"},
        },
        "attribute": dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 20), "") | {5: "tensor"},
        "tensor": dict.fromkeys((1, 2, 4, 5, 7, 8, 9, 10, 11, 12), "") | {14: "zero"},
        "value": {1: "", 2: "type", 3: ""},
        "type": {1: "tensor type"},
        "tensor type": {1: "", 2: "shape"},
        "shape": {1: "dimension"},
        "dimension": {1: "", 2: "", 3: ""},
        "text pair": {1: "", 2: ""},
    }
)
_REFUSED = {
    ("tensor", 13): "weights in another file",
    ("tensor", 14): "weights in another file",
    ("model", 25): "functions of its own",
    ("model", 20): "training",
    ("attribute", 6): "a graph inside a graph",
    ("attribute", 11): "graphs inside a graph",
}


def check_onnx(model: bytes) -> None:
    """Refuse a file that is not a graph of known operators with all its weights in it.

    Parameters
    ----------
    model : bytes
        The file.

    Raises
    ------
    InputError
        If it is none; the message says what was found.
    """
    if len(model) > LARGEST_MODEL:
        raise InputError(f"a network must be at most {LARGEST_MODEL} bytes, was {len(model)}")
    left = _MOST_RECORDS
    records = [("model", memoryview(model))]
    has_graph = False
    while records:
        kind, content = records.pop()
        known = _RECORDS[kind]
        for number, value in _fields(content):
            left -= 1
            if left < 0:
                raise InputError(f"a network must be made of at most {_MOST_RECORDS} records")
            inside = known.get(number)
            if inside is None or (inside == "zero" and value != 0):
                found = _REFUSED.get((kind, number), f"field {number} of a {kind}")
                raise InputError(
                    f"a network must be a plain graph with its weights inside, found {found}; "
                    "training did not write this file, do not use it"
                )
            if inside in _RECORDS:
                if not isinstance(value, memoryview):
                    raise _damaged()
                records.append((inside, value))
                has_graph = has_graph or inside == "graph"
            elif inside in ("operator", "standard domain"):
                _check_name(inside, value)
    if not has_graph:
        raise _damaged()


def _check_name(inside: str, value: "memoryview | int") -> None:
    if not isinstance(value, memoryview) or len(value) > 200:
        raise _damaged()
    name = bytes(value).decode("ascii", errors="replace")
    if inside == "operator" and name not in OPERATORS:
        raise InputError(
            f"a network must be made of {sorted(OPERATORS)}, found {name[:60]!r}; training did not "
            "write this file, do not use it"
        )
    if inside == "standard domain" and name not in ("", "ai.onnx"):
        raise InputError(
            f"a network must be made of standard operators, found some of {name[:60]!r}; training "
            "did not write this file, do not use it"
        )


def _fields(content: memoryview) -> Iterator[tuple[int, "memoryview | int"]]:
    """Yield the fields of a record: their numbers, and bytes or a number."""
    at, end = 0, len(content)
    while at < end:
        key, at = _varint(content, at)
        number, form = key >> 3, key & 7
        if form == 0:
            value, at = _varint(content, at)
            yield number, value
            continue
        if form == 2:
            size, at = _varint(content, at)
        elif form in (1, 5):
            size = 8 if form == 1 else 4
        else:
            raise _damaged()
        if number == 0 or size > end - at:
            raise _damaged()
        yield number, content[at : at + size]
        at += size


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _damaged()


def _damaged() -> InputError:
    return InputError(
        "a network must be an ONNX graph, but the file is none or is damaged; copy the bundle anew "
        "or train it anew"
    )
