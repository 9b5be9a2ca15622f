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
_PER_UNIT = 32  # pieces; half of one to the sixth power over 720 is 2e-14


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
        self._tables: tuple[str, ...] = ()

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

    def name(self, value: str, output: str) -> None:
        """Give a value the name of an output."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [output]))

    def number(self, value: float) -> str:
        """Keep one number."""
        return self.constant(np.array(value, dtype=np.float64))

    def take(self, value: str, index: NDArray[np.intp] | int, axis: int) -> str:
        """Pick entries of an axis; one alone loses the axis."""
        return str(
            self.add("Gather", value, self.constant(np.array(index, dtype=np.int64)), axis=axis)
        )

    def reshape(self, value: str, *shape: int) -> str:
        """Change the shape; -1 is the batch."""
        return str(self.add("Reshape", value, self.constant(np.array(shape, dtype=np.int64))))

    def affine(self, value: str, weight: Values, bias: Values) -> str:
        """Multiply by a matrix and add."""
        product = self.add("MatMul", value, self.constant(weight))
        return str(self.add("Add", product, self.constant(bias)))

    def between(self, value: str, low: Values | float, high: Values | float) -> str:
        """Cut at both ends; NaN stays NaN."""
        raised = self.add("Max", value, self.constant(np.asarray(low, dtype=np.float64)))
        return str(self.add("Min", raised, self.constant(np.asarray(high, dtype=np.float64))))

    def finite(self, value: str) -> str:
        """Tell where a value is a number and not infinite."""
        return str(self.add("Less", self.add("Abs", value), self.number(np.inf)))

    def softplus(self, value: str) -> str:
        """Return ``log(1 + exp(value))``, without overflow."""
        decayed = self.add("Exp", self.add("Neg", self.add("Abs", value)))
        rest = self.add("Log", self.add("Add", decayed, self.number(1.0)))
        return str(self.add("Add", self.add("Max", value, self.number(0.0)), rest))

    def gelu(self, value: str) -> str:
        """Return the value times the normal distribution function of it.

        The latter by a Taylor polynomial of degree five around the middle of the piece in which
        the value lies.
        """
        if not self._tables:
            self._tables = tuple(self.constant(column) for column in _taylor_columns().T)
        moved = self.add("Add", self.between(value, -_EDGE, _EDGE), self.number(_EDGE))
        scaled = self.add("Mul", moved, self.number(float(_PER_UNIT)))
        to_integer, to_double = self._onnx.TensorProto.INT64, self._onnx.TensorProto.DOUBLE
        piece = self.add("Cast", scaled, to=to_integer)  # towards zero: the floor
        middle = self.add("Add", self.add("Cast", piece, to=to_double), self.number(0.5))
        offset = self.add("Sub", scaled, middle)
        total = self.add("Gather", self._tables[-1], piece, axis=0)
        for table in self._tables[-2::-1]:
            coefficient = self.add("Gather", table, piece, axis=0)
            total = self.add("Add", self.add("Mul", total, offset), coefficient)
        return str(self.add("Mul", value, total))

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


def _taylor_columns() -> Values:
    """Coefficients of the normal distribution function in units of a piece, shape (n, 6)."""
    n_pieces = int(2 * _EDGE * _PER_UNIT) + 1  # one more: the upper edge itself
    x = -_EDGE + (np.arange(n_pieces) + 0.5) / _PER_UNIT
    density = np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)
    # Derivatives of the density: Hermite polynomials with alternating signs.
    slopes = (1.0, -x, x**2 - 1.0, -(x**3) + 3.0 * x, x**4 - 6.0 * x**2 + 3.0)
    factorials = (1.0, 2.0, 6.0, 24.0, 120.0)
    columns = [ndtr(x)]
    for k, (slope, factorial) in enumerate(zip(slopes, factorials, strict=True), start=1):
        columns.append(slope * density / factorial / float(_PER_UNIT) ** k)
    return np.stack(columns, axis=-1)
