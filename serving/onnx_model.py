"""A network that answers: ONNX Runtime on one thread, behind a check of what it is given."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import InputError
from .onnx_check import check_onnx

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """One input or output.

    Attributes
    ----------
    name : str
        Name.
    shape : tuple of int
        -1 for the axis of the batch, which is the first.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxModel:
    """A checked graph, ready to be computed.

    Attributes
    ----------
    inputs, outputs : tuple of TensorInfo
        All are double precision.
    metadata : mapping of str to str
        What training wrote into the graph.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: Mapping[str, str]
    _session: Any

    @classmethod
    def load(cls, model: bytes) -> Self:
        """Check a file and make it ready; nothing but its bytes is read.

        Parameters
        ----------
        model : bytes
            An ONNX graph as :func:`foremargin.models.network.network_onnx` writes it.

        Raises
        ------
        InputError
            If it is none.
        """
        check_onnx(model)
        options = onnxruntime.SessionOptions()
        # One origin is microseconds of work: a second thread would only wait.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common base below Exception
            raise InputError(
                f"a network must be a graph that ONNX Runtime knows, but it says: {error}"
            ) from error
        return cls(
            inputs=tuple(_info(one) for one in session.get_inputs()),
            outputs=tuple(_info(one) for one in session.get_outputs()),
            metadata=dict(session.get_modelmeta().custom_metadata_map),
            _session=session,
        )

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of names from the metadata; empty if there is none."""
        try:
            read = json.loads(self.metadata.get(key, "[]"))
        except (ValueError, RecursionError):
            return ()
        return tuple(map(str, read)) if isinstance(read, list) else ()

    def run(
        self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Compute outputs, all of them by default, for inputs of the right shapes.

        Raises
        ------
        InputError
            If ONNX Runtime cannot compute it.
        """
        names = [one.name for one in self.outputs] if outputs is None else list(outputs)
        try:
            found = self._session.run(names, dict(feeds))
        except Exception as error:  # see above
            raise InputError(f"the network cannot be computed for these inputs: {error}") from error
        return dict(zip(names, found, strict=True))


def _info(described: Any) -> TensorInfo:
    if described.type != "tensor(double)":
        raise InputError(
            f"a network must be in double precision, but {described.name!r} is {described.type}"
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in described.shape)
    if not shape or shape[0] != -1 or min(shape[1:], default=1) < 1:
        raise InputError(
            f"a network must take a batch of any length, but {described.name!r} has the shape "
            f"{described.shape}"
        )
    return TensorInfo(name=described.name, shape=shape)
