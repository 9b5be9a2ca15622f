"""The Open Inference Protocol: what is asked right is answered, the rest gets a V2 error."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.models.network.graph import Graph
from foremargin.serving.inference import (
    Inference,
    InferenceModel,
    InferenceModels,
    make_inference_router,
)
from foremargin.serving.inference.messages import LARGEST_BODY, LARGEST_TENSOR
from foremargin.serving.onnx_model import OnnxModel

INFER = "/v2/models/small/infer"
X = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def _graph(factor: float) -> OnnxModel:
    onnx = pytest.importorskip("onnx")
    graph = Graph(onnx)
    graph.output("Mul", "features", graph.number(factor), name="log_variance")
    graph.output("Add", "features", "window", name="shift")
    shape = ("batch", 2)
    made = graph.model(
        inputs={"features": shape, "window": shape},
        outputs={"log_variance": shape, "shift": shape},
        metadata={"features": json.dumps(["a", "b"]), "horizons": "[1, 5]"},
    )
    return OnnxModel.load(made)


class Client:
    """Asks the routes without a network."""

    def __init__(self, models: InferenceModels) -> None:
        self._transport = httpx.ASGITransport(make_inference_router(Inference(models)))

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url="http://x", verify=False, trust_env=False
            ) as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def head(self, path: str) -> httpx.Response:
        return self.request("HEAD", path)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


@pytest.fixture(scope="module")
def models() -> InferenceModels:
    made = InferenceModels()
    made.replace(
        InferenceModel(name="small", version="2", graph=_graph(2.0)),
        InferenceModel(name="small", version="3", graph=_graph(3.0)),
    )
    return made


@pytest.fixture(scope="module")
def client(models: InferenceModels) -> Client:
    return Client(models)


def _tensor(name: str, data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": [3, 2], "datatype": "FP64", "data": data, **more}


def _body(features: Any = None, window: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "inputs": [
            _tensor("features", X) if features is None else features,
            _tensor("window", np.ravel(X).tolist()) if window is None else window,
        ],
        **more,
    }


def _outputs(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {one["name"]: one for one in response.json()["outputs"]}


def test_server_and_models_say_what_they_are(client: Client) -> None:
    assert client.get("/v2").json()["name"] == "foremargin"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    told = client.get("/v2/models/small").json()
    assert (told["name"], told["versions"], told["platform"]) == (
        "small",
        ["2", "3"],
        "onnx_onnxv1",
    )
    assert told["inputs"][0] == {"name": "features", "datatype": "FP64", "shape": [-1, 2]}
    assert told["parameters"] == {"features": ["a", "b"], "horizons": [1, 5]}
    assert client.get("/v2/models/small/versions/2").status_code == 200
    assert client.get("/v2/models/small/versions/2/ready").json() == {
        "name": "small",
        "ready": True,
    }
    assert client.head("/v2/health/ready").status_code == 200


def test_flat_and_nested_data_are_the_same(client: Client) -> None:
    out = _outputs(client.post(INFER, json=_body()))
    np.testing.assert_array_equal(out["log_variance"]["data"], 3.0 * np.ravel(X))
    np.testing.assert_array_equal(out["shift"]["data"], 2.0 * np.ravel(X))
    assert out["shift"]["shape"] == [3, 2]
    assert out["shift"]["datatype"] == "FP64"
    flat = _outputs(client.post(INFER, json=_body(_tensor("features", np.ravel(X).tolist()))))
    assert flat == out


def test_a_version_answers_for_itself(client: Client) -> None:
    response = client.post("/v2/models/small/versions/2/infer", json=_body(id="7"))
    assert _outputs(response)["log_variance"]["data"][0] == 2.0
    assert (response.json()["model_version"], response.json()["id"]) == ("2", "7")
    assert "id" not in client.post(INFER, json=_body()).json()


def test_only_the_outputs_that_are_asked_for_come(client: Client) -> None:
    response = client.post(INFER, json=_body(outputs=[{"name": "shift"}]))
    assert list(_outputs(response)) == ["shift"]
    assert len(_outputs(client.post(INFER, json=_body(outputs=[])))) == 2


def test_what_is_unknown_stays_unknown(client: Client) -> None:
    data = [1.0, None, 3.0, 4.0, 5.0, 6.0]
    out = _outputs(client.post(INFER, json=_body(_tensor("features", data))))
    assert out["log_variance"]["data"] == [3.0, None, 9.0, 12.0, 15.0, 18.0]
    refused = client.post(INFER, json=_body(window=_tensor("window", data)))
    assert refused.status_code == 400
    assert "must hold numbers only, found null" in refused.json()["error"]


def test_single_precision_is_rounded_as_it_says(client: Client) -> None:
    tenth = _tensor("features", [0.1] * 6, datatype="FP32")
    out = _outputs(client.post(INFER, json=_body(tenth)))
    assert out["log_variance"]["data"][0] == 3.0 * float(np.float32(0.1))
    huge = _tensor("features", [1e300] * 6, datatype="FP32")
    assert "must fit FP32" in client.post(INFER, json=_body(huge)).json()["error"]


WRONG: dict[str, tuple[Any, str]] = {
    "no json": (b"{", "must be JSON as the V2 protocol has it"),
    "too deep": (b'{"inputs":' + b"[" * 50_000, "must be JSON"),
    "no inputs": (b"{}", "missing required field `inputs`"),
    "NaN": (b'{"inputs":[{"name":"features","shape":[1],"datatype":"FP64","data":[NaN]}]}', "JSON"),
    "one input": ({"inputs": [_tensor("features", X)]}, "inputs must be"),
    "twice": ({"inputs": [_tensor("features", X)] * 2}, "each once"),
    "other name": (_body(_tensor("x", X)), "inputs must be"),
    "integers": (_body(_tensor("features", X, datatype="INT64")), "must be FP64 or FP32"),
    "strings": (_body(_tensor("features", ["1.0"] * 6)), "must be numbers"),
    "booleans": (_body(_tensor("features", [True] * 6)), "must be numbers"),
    "beyond numbers": (
        json.dumps(_body()).replace("1.0", "1e999", 1).encode(),
        "must be",
    ),
    "ragged": (_body(_tensor("features", [[1.0], [2.0, 3.0], [1.0]])), "must be numbers"),
    "too few": (_body(_tensor("features", [1.0])), "that of its data"),
    "other width": (
        _body(_tensor("features", [1.0] * 9, shape=[3, 3])),
        "must have the shape [-1, 2]",
    ),
    "no axis": (_body(_tensor("features", [], shape=[])), "one to four axes"),
    "an empty axis": (_body(_tensor("features", [], shape=[0, 2])), "one to four axes"),
    "five axes": (_body(_tensor("features", X, shape=[1, 1, 1, 3, 2])), "one to four axes"),
    "two batches": (_body(_tensor("features", [1.0] * 2, shape=[1, 2])), "of one batch"),
    "too large": (_body(_tensor("features", [1.0], shape=[2**40, 2**40])), f"{LARGEST_TENSOR}"),
    "unknown output": (_body(outputs=[{"name": "z"}]), "outputs must be among"),
    "binary output": (
        _body(outputs=[{"name": "shift", "parameters": {"binary_data": True}}]),
        "binary_data",
    ),
    "many inputs": ({"inputs": [_tensor("features", X)] * 17}, "at most 16"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_gets_an_error_of_the_protocol(case: str, client: Client) -> None:
    content, complaint = WRONG[case]
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    response = client.post(INFER, content=raw)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert complaint in response.json()["error"]


def test_paths_and_methods_that_are_none(client: Client) -> None:
    for method, path, status in (
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("POST", "/v2/models/small/versions/9/infer", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", INFER, 405),
        ("DELETE", "/v2", 405),
    ):
        response = client.request(method, path)
        assert response.status_code == status, path
        assert list(response.json()) == ["error"]
    assert client.get(INFER).headers["allow"] == "POST"
    assert "one of ['2', '3']" in client.get("/v2/models/small/versions/9").json()["error"]


def test_long_requests_are_refused_before_they_are_read(client: Client) -> None:
    assert client.post(INFER, content=b" " * (LARGEST_BODY + 1)).status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(LARGEST_BODY // 2**16 + 2):
            yield b" " * 2**16

    assert client.post(INFER, content=chunks()).status_code == 413
    binary = client.post(INFER, content=b"{}", headers={"Inference-Header-Content-Length": "2"})
    assert binary.status_code == 415


def test_a_long_batch_says_what_short_ones_say(client: Client) -> None:
    rows = np.random.default_rng(0).normal(size=(5_000, 2))
    tensors = [
        {"name": name, "shape": [5_000, 2], "datatype": "FP64", "data": rows.ravel().tolist()}
        for name in ("features", "window")
    ]
    out = _outputs(client.post(INFER, json={"inputs": tensors}))
    np.testing.assert_array_equal(out["log_variance"]["data"], 3.0 * rows.ravel())


def test_models_are_swapped_while_they_are_asked() -> None:
    models = InferenceModels()
    client = Client(models)
    assert client.get("/v2/health/ready").status_code == 503
    assert client.post(INFER, json=_body()).status_code == 404
    models.replace(InferenceModel(name="small", version="1", graph=_graph(1.0)))
    assert client.get("/v2/health/ready").status_code == 200
    assert _outputs(client.post(INFER, json=_body()))["log_variance"]["data"][0] == 1.0


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["inputs", "name", "shape", "datatype", "data", "id"]), inner, max_size=4
    ),
).map(lambda value: json.dumps(value, allow_nan=True).encode()))  # fmt: skip
def test_no_body_is_an_error_of_the_server(models: InferenceModels, body: bytes) -> None:
    assert Client(models).post(INFER, content=body).status_code == 400


def test_the_router_needs_neither_pandas_nor_onnx() -> None:
    code = (
        "import sys, foremargin.serving.inference;"
        "names = ('torch', 'mlflow', 'pandas', 'numba', 'onnx', 'scipy', 'fastapi');"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
