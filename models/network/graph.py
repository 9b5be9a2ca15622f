"""A graph of ONNX in double precision, written operation by operation.

ONNX Runtime has no double kernels for the error function, softplus and convolutions. The first two
are put together from what it has, to the last digits; the third is a matrix product here anyway.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Values = NDArray[np.float64]

OPSET = 18
IR_VERSION = 9
"""Versions that go with each other and that every ONNX Runtime since 1.15 reads."""

_EDGE = 8.5  # the normal distribution function is 1e-17 from zero or one beyond
_PER_UNIT = 2_048  # pieces; half of one to the third power over 6 times 0.4 is 1e-12


class Graph:
    """Operations in the order in which they were added; every value has a name.

    Parameters
    ----------
    onnx : module
        The package, which only who exports needs.
    """

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._table = ""

    def constant(self, array: NDArray[Any]) -> str:
        """Keep an array in the graph."""
        name = f"c{len(self._constants)}"
        self._constants.append(
            self._onnx.numpy_helper.from_array(np.asarray(array, order="C"), name)
        )
        return name

    def add(self, operation: str, *inputs: str, n_outputs: int = 1, **attributes: Any) -> Any:
        """Add an operation; returns the name of its output, or the names of several."""
        outputs = [f"v{len(self._nodes)}_{k}" for k in range(n_outputs)]
        made = self._onnx.helper.make_node(operation, list(inputs), outputs, **attributes)
        self._nodes.append(made)
        return outputs[0] if n_outputs == 1 else outputs

    def output(self, operation: str, *inputs: str, name: str, **attributes: Any) -> None:
        """Add an operation whose output is one of the graph."""
        made = self._onnx.helper.make_node(operation, list(inputs), [name], **attributes)
        self._nodes.append(made)

    def number(self, value: float) -> str:
        """Keep one number."""
        return self.constant(np.array(value, dtype=np.float64))

    def split(self, value: str, sizes: list[int]) -> list[str]:
        """Cut the last axis into parts."""
        lengths = self.constant(np.array(sizes, dtype=np.int64))
        return list(self.add("Split", value, lengths, axis=-1, n_outputs=len(sizes)))

    def reshape(self, value: str, *shape: int) -> str:
        """Change the shape; -1 is the batch."""
        return str(self.add("Reshape", value, self.constant(np.array(shape, dtype=np.int64))))

    def affine(self, value: str, weight: Values, bias: Values) -> str:
        """Multiply by a matrix and add."""
        product = self.add("MatMul", value, self.constant(weight))
        return str(self.add("Add", product, self.constant(bias)))

    def cut(self, value: str, low: float, high: float) -> str:
        """Cut at both ends."""
        return str(self.add("Clip", value, self.number(low), self.number(high)))

    def softplus(self, value: str) -> str:
        """Return ``log(1 + exp(value))``, without overflow."""
        decayed = self.add("Exp", self.add("Neg", self.add("Abs", value)))
        rest = self.add("Log", self.add("Add", decayed, self.number(1.0)))
        return str(self.add("Add", self.add("Max", value, self.number(0.0)), rest))

    def gelu(self, value: str) -> str:
        """Return the value times the normal distribution function of it.

        The latter by a Taylor polynomial of degree two around the middle of the piece in which
        the value lies: fewer operations than any formula, and each costs a microsecond.
        """
        if not self._table:
            self._table = self.constant(_taylor_rows())
        scaled = self.add("Mul", value, self.number(float(_PER_UNIT)))
        moved = self.add("Add", scaled, self.number(_EDGE * _PER_UNIT))
        place = self.cut(moved, 0.0, 2.0 * _EDGE * _PER_UNIT)
        to_integer, to_double = self._onnx.TensorProto.INT64, self._onnx.TensorProto.DOUBLE
        piece = self.add("Cast", place, to=to_integer)  # towards zero: the floor
        inside = self.add("Sub", place, self.add("Cast", piece, to=to_double))
        last = self.constant(np.array([-1], dtype=np.int64))
        inside = self.add("Unsqueeze", inside, last)
        *lower, total = self.split(self.add("Gather", self._table, piece, axis=0), [1] * 3)
        for coefficient in reversed(lower):
            total = self.add("Add", self.add("Mul", total, inside), coefficient)
        return str(self.add("Mul", value, self.add("Squeeze", total, last)))

    def model(
        self,
        *,
        inputs: dict[str, tuple[Any, ...]],
        outputs: dict[str, tuple[Any, ...]],
        metadata: dict[str, str],
    ) -> bytes:
        """Return the finished graph as bytes; equal graphs give equal bytes.

        Parameters
        ----------
        inputs, outputs : dict of str to tuple
            Shapes by name; a name in a shape is an axis of any length.
        metadata : dict of str to str
            What a reader should know.
        """
        helper, double = self._onnx.helper, self._onnx.TensorProto.DOUBLE

        def described(values: dict[str, tuple[Any, ...]]) -> list[Any]:
            return [helper.make_tensor_value_info(k, double, list(v)) for k, v in values.items()]

        graph = helper.make_graph(
            self._nodes, "network", described(inputs), described(outputs), self._constants
        )
        model = helper.make_model(
            graph,
            producer_name="foremargin",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, metadata)
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def _taylor_rows() -> Values:
    """Coefficients of the normal distribution function in powers of the place inside a piece.

    Shape (n_pieces, 3); the place is 0 to 1.
    """
    n_pieces = int(2 * _EDGE * _PER_UNIT) + 1  # one more: the upper edge itself
    x = -_EDGE + (np.arange(n_pieces) + 0.5) / _PER_UNIT
    density = np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)
    slope, bend = density / _PER_UNIT, -0.5 * x * density / _PER_UNIT**2
    # Around the middle, whose place is one half; then multiplied out.
    return np.stack([ndtr(x) - 0.5 * slope + 0.25 * bend, slope - bend, bend], axis=-1)
