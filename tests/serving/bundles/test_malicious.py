"""Bundles made to do harm, each signed by the trusted key: refused, and nothing was run."""

import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.serving.bundles import BundleStore
from foremargin.serving.onnx_check import check_onnx
from foremargin.serving.onnx_model import OnnxModel

Write = Callable[..., Path]
OpenStore = Callable[[], BundleStore]

onnx: Any = pytest.importorskip("onnx")
helper = onnx.helper
DOUBLE = onnx.TensorProto.DOUBLE


def _model(nodes: list[Any], *, tensors: Any = (), **more: Any) -> Any:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", DOUBLE, ["batch", 2])],
        [helper.make_tensor_value_info("y", DOUBLE, ["batch", 2])],
        list(tensors),
    )
    opsets = more.pop("opsets", [helper.make_opsetid("", 18)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, **more)


def _plain() -> Any:
    weight = onnx.numpy_helper.from_array(np.ones((2, 2)), "w")
    return _model([helper.make_node("MatMul", ["x", "w"], ["y"])], tensors=[weight])


def _external(path: str) -> bytes:
    model = _plain()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", path
    return bytes(model.SerializeToString())


def _hidden_constant() -> bytes:
    """Weights in another file, inside an attribute of an allowed operator."""
    model = _plain()
    tensor = onnx.TensorProto(name="t", data_type=DOUBLE, dims=[1], data_location=1)
    model.graph.node[0].attribute.append(helper.make_attribute("value", tensor))
    return bytes(model.SerializeToString())


def _with_function() -> bytes:
    model = _plain()
    model.functions.append(
        helper.make_function(
            "own", "F", ["a"], ["b"], [helper.make_node("Abs", ["a"], ["b"])],
            [helper.make_opsetid("", 18)],
        )
    )  # fmt: skip
    return bytes(model.SerializeToString())


def _with_subgraph() -> bytes:
    body = helper.make_graph([], "body", [], [])
    node = helper.make_node("Abs", ["x"], ["y"], then_branch=body)
    return bytes(_model([node]).SerializeToString())


def _with_domain(domain: str) -> bytes:
    node = helper.make_node("Gemm" if not domain else "Abs", ["x"], ["y"], domain=domain)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    return bytes(_model([node], opsets=opsets).SerializeToString())


GRAPHS: dict[str, tuple[Callable[[], bytes], str]] = {
    "weights elsewhere": (lambda: _external("../../outside"), "weights in another file"),
    "weights anywhere": (lambda: _external("/etc/passwd"), "weights in another file"),
    "weights elsewhere, hidden": (_hidden_constant, "weights in another file"),
    "custom operators": (lambda: _with_domain("ai.evil"), "found some of 'ai.evil'"),
    "library operators": (lambda: _with_domain("com.microsoft"), "some of 'com.microsoft'"),
    "control flow": (
        lambda: bytes(_model([helper.make_node("Loop", ["x"], ["y"])]).SerializeToString()),
        "found 'Loop'",
    ),
    "a bomb": (
        lambda: bytes(_model([helper.make_node("Tile", ["x"], ["y"])]).SerializeToString()),
        "found 'Tile'",
    ),
    "a graph inside": (_with_subgraph, "a graph inside a graph"),
    "functions": (_with_function, "functions of its own"),
    "no graph": (lambda: b"", "file is none or is damaged"),
    "a pickle": (lambda: pickle.dumps({"a": 1}), r"field \d+ of a model|none or is damaged"),
    "a length beyond the end": (lambda: b"\x3a\xff\xff\xff\xff\x0f", "none or is damaged"),
    "an endless number": (lambda: b"\xff" * 20, "none or is damaged"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_is_more_than_arithmetic_is_refused(
    name: str, write: Write, open_store: OpenStore, tmp_path: Path
) -> None:
    make, complaint = GRAPHS[name]
    (tmp_path / "outside").write_bytes(np.ones(4).tobytes())
    store = open_store()
    with pytest.raises(InputError, match=complaint):
        store.activate(write(more={"model.onnx": make()}))
    assert store.active() is None
    assert store.history() == ()


def test_a_plain_graph_is_none_of_these() -> None:
    model = bytes(_plain().SerializeToString())
    found = OnnxModel.load(model).run({"x": np.array([[1.0, 2.0]])})
    np.testing.assert_array_equal(found["y"], [[3.0, 3.0]])


def test_any_spoiled_byte_is_refused_or_harmless() -> None:
    model = bytes(_plain().SerializeToString())
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        spoiled = bytearray(model)
        for at in rng.integers(len(model), size=rng.integers(1, 4)):
            spoiled[at] = rng.integers(256)
        try:
            check_onnx(bytes(spoiled))
        except InputError:
            continue
        assert not any(t.external_data for t in _parsed(bytes(spoiled)))


def _parsed(model: bytes) -> Any:
    try:
        return onnx.load_from_string(model).graph.initializer
    except Exception:  # what protobuf does not read, ONNX Runtime does not read either
        return ()


def test_a_graph_in_single_precision_or_of_fixed_length_is_refused() -> None:
    single = _plain()
    for value in (*single.graph.input, *single.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    weight = onnx.numpy_helper.from_array(np.ones((2, 2), dtype=np.float32), "w")
    single.graph.initializer[0].CopyFrom(weight)
    with pytest.raises(InputError, match="must be in double precision"):
        OnnxModel.load(single.SerializeToString())
    fixed = _plain()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    with pytest.raises(InputError, match="must take a batch of any length"):
        OnnxModel.load(fixed.SerializeToString())
    broken = _plain()
    broken.graph.node[0].input[1] = "nowhere"
    with pytest.raises(InputError, match="ONNX Runtime knows, but it says"):
        OnnxModel.load(broken.SerializeToString())


class _Payload:
    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.sentinel),)


@pytest.mark.parametrize(
    "name",
    ["model.onnx", "network.json", "network.safetensors", "serving.json", "serving.safetensors"],
)
def test_a_pickle_is_refused_under_every_name(
    name: str, write: Write, open_store: OpenStore, tmp_path: Path
) -> None:
    sentinel = tmp_path / "executed"
    evil = pickle.dumps(_Payload(sentinel))
    with pytest.raises(InputError, match=r"must be|found"):
        open_store().activate(write(more={name: evil}))
    assert not sentinel.exists()
    pickle.loads(evil)
    assert sentinel.exists(), "the payload would have worked"


@pytest.mark.parametrize("name", ["gates.json", "network.json", "serving.json"])
@pytest.mark.parametrize("raw", [b"[" * 200_000, b'{"a":' * 200_000, b"\xff\xfe", b"NaN"])
def test_json_that_is_none_or_too_deep_is_refused(
    name: str, raw: bytes, write: Write, open_store: OpenStore
) -> None:
    with pytest.raises(InputError, match=f"{name} of a bundle must be JSON"):
        open_store().activate(write(more={name: raw}))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 60)
        + b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,99999999]}}'[:60],
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
)
def test_arrays_that_are_none_or_lie_about_their_size_are_refused(
    raw: bytes, write: Write, open_store: OpenStore
) -> None:
    with pytest.raises(InputError, match=r"network\.safetensors of a bundle must be safetensors"):
        open_store().activate(write(more={"network.safetensors": raw}))


def test_the_store_imports_nothing_that_unpickles() -> None:
    code = (
        "import sys, foremargin.serving.bundles;"
        "names = ('torch', 'mlflow', 'joblib', 'pandas', 'numba', 'onnx', 'cloudpickle');"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
