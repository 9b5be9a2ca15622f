"""Messages of the Open Inference Protocol (V2), JSON form.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from typing import Any

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray

from ...errors import InputError

Array = NDArray[np.float64]

LARGEST_BODY = 4 * 2**20
"""Bytes of the longest request that is read."""

LARGEST_TENSOR = 200_000
"""Most elements of all inputs of a request together."""

_MOST_TENSORS = 16
_DEEPEST = 4  # axes of a tensor


class RequestTensor(Struct, frozen=True, kw_only=True):
    """One input.

    Attributes
    ----------
    name : str
        Of the input.
    shape : list of int
        Its axes.
    datatype : str
        ``FP64`` or ``FP32``.
    data : JSON
        Numbers in row-major order, flat or nested like the shape; null is not known.
    parameters : dict
        Not looked at.
    """

    name: str
    shape: list[int]
    datatype: str
    data: Raw
    parameters: dict[str, Any] = {}


class RequestedOutput(Struct, frozen=True, kw_only=True):
    """One output that is asked for.

    Attributes
    ----------
    name : str
        Of the output.
    parameters : dict
        Not looked at, but that binary data are refused.
    """

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(Struct, frozen=True, kw_only=True):
    """A request.

    Attributes
    ----------
    inputs : list of RequestTensor
        Every input of the model once.
    id : str or None
        Given back.
    outputs : list of RequestedOutput or None
        All if None or empty.
    parameters : dict
        Not looked at.
    """

    inputs: list[RequestTensor]
    id: str | None = None
    outputs: list[RequestedOutput] | None = None
    parameters: dict[str, Any] = {}


class ResponseTensor(Struct, frozen=True, kw_only=True):
    """One output: `data` is flat, in row-major order; null is not known."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[float]


class InferResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A response; `id` is left out where the request had none."""

    model_name: str
    model_version: str
    outputs: list[ResponseTensor]
    id: str | None = None


_decode = msgspec.json.Decoder(InferRequest).decode
encode = msgspec.json.Encoder().encode
"""Return a message as JSON bytes; a number that is not finite becomes null."""


def _nested(depth: int) -> Any:
    kind: Any = float | None
    for _ in range(depth):
        kind = list[kind]
    return kind


_DATA = [msgspec.json.Decoder(_nested(depth)).decode for depth in range(1, _DEEPEST + 1)]


def read_request(body: bytes) -> InferRequest:
    """Read a request.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        request = _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"a request must be JSON as the V2 protocol has it: {error}") from error
    if len(request.inputs) > _MOST_TENSORS or len(request.outputs or ()) > _MOST_TENSORS:
        raise InputError(f"a request must name at most {_MOST_TENSORS} inputs and outputs")
    return request


def read_tensor(tensor: RequestTensor, *, nullable: bool) -> Array:
    """Return an input as an array of its shape.

    Parameters
    ----------
    tensor : RequestTensor
        The input.
    nullable : bool
        Whether null, which becomes NaN, is allowed in it.

    Raises
    ------
    InputError
        If data, shape and datatype do not go together.
    """
    if tensor.datatype not in ("FP64", "FP32"):
        raise InputError(
            f"input {tensor.name[:60]!r} must be FP64 or FP32, was {tensor.datatype[:20]!r}"
        )
    n_axes, n_elements = len(tensor.shape), 1
    if not 1 <= n_axes <= _DEEPEST or min(tensor.shape) < 1:
        raise _wrong_shape(tensor, "one to four axes, each of at least one")
    for size in tensor.shape:
        n_elements *= size
        if n_elements > LARGEST_TENSOR:
            raise _wrong_shape(tensor, f"at most {LARGEST_TENSOR} elements")
    array = np.array(_read_data(tensor), dtype=np.float64)
    if array.ndim == 1 and len(array) == n_elements:
        array = array.reshape(tensor.shape)
    if array.shape != tuple(tensor.shape):
        raise _wrong_shape(tensor, f"that of its data, which is {list(array.shape)}")
    if not nullable and not np.isfinite(array).all():
        raise InputError(f"input {tensor.name!r} must hold numbers only, found null")
    if tensor.datatype == "FP32":
        with np.errstate(over="raise"):
            try:
                return array.astype(np.float32).astype(np.float64)
            except FloatingPointError as error:
                raise InputError(f"input {tensor.name!r} must fit FP32; send FP64") from error
    return array


def _read_data(tensor: RequestTensor) -> list[Any]:
    """Decode flat data, or data nested like the shape."""
    try:
        return list(_DATA[0](tensor.data))
    except (msgspec.DecodeError, RecursionError) as flat:
        if len(tensor.shape) == 1:
            raise _no_numbers(tensor, flat) from flat
    try:
        read = _DATA[len(tensor.shape) - 1](tensor.data)
        np.shape(read)  # lists of different lengths have none
        return list(read)
    except (msgspec.DecodeError, RecursionError, ValueError) as nested:
        raise _no_numbers(tensor, nested) from nested


def _no_numbers(tensor: RequestTensor, error: BaseException) -> InputError:
    return InputError(
        f"the data of input {tensor.name[:60]!r} must be numbers, flat or nested like its shape: "
        f"{error}"
    )


def _wrong_shape(tensor: RequestTensor, wanted: str) -> InputError:
    return InputError(
        f"the shape of input {tensor.name[:60]!r} must be {wanted}, was {tensor.shape[:8]}"
    )
