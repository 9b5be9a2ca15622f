"""Requests that arrive together: one call of the graph, and everybody gets their own answer."""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foremargin.errors import InputError
from foremargin.models.network.graph import Graph
from foremargin.serving.assembly.inferring import inference_work
from foremargin.serving.http.door import Door
from foremargin.serving.http.gate import Gate
from foremargin.serving.http.hot import HotTable
from foremargin.serving.http.late import Late
from foremargin.serving.http.settings import HttpSettings
from foremargin.serving.inference import (
    Inference,
    InferenceModel,
    InferenceModels,
    make_inference_router,
)
from foremargin.serving.inference import batches as module
from foremargin.serving.inference.model import MOST_ROWS
from foremargin.serving.onnx_model import OnnxModel
from foremargin.serving.security import Authenticator, BodyLimits, Rate, RateLimiter, RateLimits

Array = NDArray[np.float64]
WIDTH, HIDDEN = 24, 40


class Counted:
    """A graph that remembers how many rows each call had, and may break."""

    def __init__(self, graph: OnnxModel) -> None:
        self._graph = graph
        self.inputs, self.outputs, self.metadata = graph.inputs, graph.outputs, graph.metadata
        self.calls: list[int] = []
        self.threads: set[int] = set()
        self.poison: float | None = None
        self.bug = False

    def run(
        self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        self.calls.append(len(feeds["features"]))
        self.threads.add(threading.get_ident())
        if self.poison is not None and (feeds["features"] == self.poison).any():
            if self.bug:
                raise ZeroDivisionError
            raise InputError("the network cannot be computed for these inputs: poison")
        return self._graph.run(feeds, outputs)


@pytest.fixture(scope="module")
def loaded() -> OnnxModel:
    """A layer of gelu and one behind it: products whose sums a library may order as it likes."""
    graph = Graph(pytest.importorskip("onnx"))
    rng = np.random.default_rng(1)
    hidden = graph.gelu(
        graph.affine("features", rng.normal(size=(WIDTH, HIDDEN)), rng.normal(size=HIDDEN))
    )
    last = graph.affine(hidden, rng.normal(size=(HIDDEN, 6)), rng.normal(size=6))
    graph.output("Identity", last, name="log_variance")
    shape = graph.constant(np.array([-1, 2, 3], dtype=np.int64))
    graph.output("Reshape", last, shape, name="shift")
    made = graph.model(
        inputs={"features": ("batch", WIDTH)},
        outputs={"log_variance": ("batch", 6), "shift": ("batch", 2, 3)},
        metadata={},
    )
    return OnnxModel.load(made)


@pytest.fixture
def graph(loaded: OnnxModel) -> Counted:
    return Counted(loaded)


@pytest.fixture
def models(graph: Counted) -> InferenceModels:
    made = InferenceModels()
    made.replace(InferenceModel(name="small", version="1", graph=graph))  # type: ignore[arg-type]
    return made


def _rows(n: int, *, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, WIDTH))


def _body(rows: Array, **more: Any) -> bytes:
    tensor = {
        "name": "features",
        "shape": list(rows.shape),
        "datatype": "FP64",
        "data": rows.ravel().tolist(),
    }
    return json.dumps({"inputs": [tensor], **more}).encode()


def _together(
    models: InferenceModels, bodies: Sequence[bytes], *, name: str = "small"
) -> list[tuple[int, Any]]:
    async def ask() -> list[tuple[int, Any]]:
        inference = Inference(models)
        found = [inference.infer(name, body) for body in bodies]
        answers = [one if isinstance(one, tuple) else await one for one in found]
        return [(status, json.loads(content)) for status, content in answers]

    return asyncio.run(ask())


def _data(answer: tuple[int, Any], output: int = 0) -> Array:
    status, content = answer
    assert status == 200, content
    return np.array(content["outputs"][output]["data"])


def test_what_arrives_together_is_one_call_and_everybody_gets_their_own(
    models: InferenceModels, graph: Counted
) -> None:
    sizes = [1, 3, 1, 7, 2]
    asked = [_rows(n, seed=k) for k, n in enumerate(sizes)]
    answers = _together(models, [_body(rows, id=str(k)) for k, rows in enumerate(asked)])
    assert graph.calls == [sum(sizes)]
    for k, (rows, answer) in enumerate(zip(asked, answers, strict=True)):
        [alone] = _together(models, [_body(rows)])
        assert answer[1]["id"] == str(k)
        for output, shape in ((0, [len(rows), 6]), (1, [len(rows), 2, 3])):
            assert answer[1]["outputs"][output]["shape"] == shape
            np.testing.assert_allclose(
                _data(answer, output), _data(alone, output), rtol=1e-12, atol=1e-12
            )


def test_one_request_waits_for_nobody(models: InferenceModels, graph: Counted) -> None:
    async def turns() -> int:
        future = Inference(models).infer("small", _body(_rows(1)))
        assert isinstance(future, asyncio.Future)
        await asyncio.sleep(0)
        assert future.done()
        return graph.calls[0]

    assert asyncio.run(turns()) == 1


def test_a_batch_is_bounded_and_the_loop_has_its_turn_between(
    models: InferenceModels, graph: Counted
) -> None:
    async def ask() -> list[int]:
        inference = Inference(models)
        found = [inference.infer("small", _body(_rows(30, seed=k))) for k in range(5)]
        done: list[int] = []
        while len(done) < 4 or done[-1] < 5:
            await asyncio.sleep(0)
            done.append(sum(not isinstance(one, tuple) and one.done() for one in found))
            assert len(done) < 20
        return done

    assert asyncio.run(ask())[:3] == [2, 4, 5]
    assert graph.calls == [60, 60, 30]
    assert max(graph.calls) <= MOST_ROWS


def test_a_refused_request_harms_no_other(models: InferenceModels, graph: Counted) -> None:
    good = _body(_rows(1))
    answers = _together(models, [good, b"{", _body(_rows(1)[:, :3]), good])
    assert [status for status, _ in answers] == [200, 400, 400, 200]
    assert graph.calls == [2]


@pytest.mark.parametrize("bug", [False, True], ids=["refused", "broken"])
def test_a_request_that_the_graph_cannot_compute_harms_no_other(
    bug: bool, models: InferenceModels, graph: Counted
) -> None:
    graph.poison, graph.bug = 666.0, bug
    bad = _rows(2)
    bad[1, 0] = 666.0

    async def ask() -> list[Any]:
        inference = Inference(models)
        found = [inference.infer("small", _body(rows)) for rows in (_rows(1), bad, _rows(3))]
        assert not any(isinstance(one, tuple) for one in found)
        return await asyncio.gather(*found, return_exceptions=True)  # type: ignore[arg-type]

    first, second, third = asyncio.run(ask())
    assert (first[0], third[0]) == (200, 200)
    assert graph.calls == [6, 1, 2, 3]
    if bug:
        assert isinstance(second, ZeroDivisionError)
    else:
        assert second[0] == 400
        assert b"poison" in second[1]


def test_nothing_is_computed_for_who_has_gone(models: InferenceModels, graph: Counted) -> None:
    async def ask() -> None:
        inference = Inference(models)
        stays, goes = (inference.infer("small", _body(_rows(n))) for n in (1, 2))
        assert isinstance(goes, asyncio.Future)
        goes.cancel()
        assert not isinstance(stays, tuple)
        assert (await stays)[0] == 200

    asyncio.run(ask())
    assert graph.calls == [1]


def test_a_swap_of_models_does_not_touch_who_has_asked(
    models: InferenceModels, graph: Counted
) -> None:
    async def ask() -> tuple[int, bytes]:
        future = Inference(models).infer("small", _body(_rows(1)))
        models.replace()
        assert not isinstance(future, tuple)
        return await future

    assert asyncio.run(ask())[0] == 200


def test_models_take_turns(loaded: OnnxModel) -> None:
    one, two = Counted(loaded), Counted(loaded)
    models = InferenceModels()
    models.replace(
        InferenceModel(name="one", version="1", graph=one),  # type: ignore[arg-type]
        InferenceModel(name="two", version="1", graph=two),  # type: ignore[arg-type]
    )

    async def ask() -> None:
        inference = Inference(models)
        names = ("one", "one", "two")
        found = [inference.infer(name, _body(_rows(40))) for name in names]
        for _ in range(2):
            await asyncio.sleep(0)
        assert (one.calls, two.calls) == ([40], [40])
        await asyncio.gather(*(future for future in found if not isinstance(future, tuple)))

    asyncio.run(ask())
    assert one.calls == [40, 40]


def test_a_long_request_is_computed_beside_the_loop_in_parts(
    models: InferenceModels, graph: Counted
) -> None:
    rows = _rows(150)
    answers = _together(models, [_body(rows), _body(rows[:70])])
    assert threading.get_ident() not in graph.threads
    assert sorted(graph.calls) == [6, 22, 64, 64, 64]
    expected = graph.run({"features": rows})["shift"]
    assert answers[0][1]["outputs"][1]["shape"] == [150, 2, 3]
    for answer, n in zip(answers, (150, 70), strict=True):
        np.testing.assert_allclose(_data(answer, 1), expected[:n].ravel(), rtol=1e-12, atol=1e-12)


def test_a_long_body_of_few_rows_is_read_beside_the_loop(
    models: InferenceModels, graph: Counted
) -> None:
    body = _body(_rows(1))
    [answer] = _together(models, [body + b" " * (module.SMALL_BODY + 1 - len(body))])
    assert answer[0] == 200
    assert graph.calls == [1]
    assert threading.get_ident() not in graph.threads
    graph.threads.clear()
    _together(models, [body + b" " * (module.SMALL_BODY - len(body))])
    assert graph.threads == {threading.get_ident()}


def test_long_requests_do_not_pile_up(
    models: InferenceModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_LONG", 2)
    body = _body(_rows(MOST_ROWS + 1))

    async def ask() -> list[int]:
        inference = Inference(models)
        found = [inference.infer("small", body) for _ in range(3)]
        found = [one if isinstance(one, tuple) else await one for one in found]
        await asyncio.sleep(0)
        last = inference.infer("small", body)
        assert not isinstance(last, tuple)
        return [*(one[0] for one in found), (await last)[0]]  # type: ignore[index]

    assert asyncio.run(ask()) == [200, 200, 503, 200]


# The same requests by the gate's short way and by the documented route.

HEADERS = {"host": "127.0.0.1", "content-type": "application/json"}


def _gate(models: InferenceModels, *, fast: bool) -> Gate:
    inference, clock = Inference(models), _Clock()
    usual, body = Rate(1.0, 1_000_000), BodyLimits(size=50_000)
    door = Door(
        Authenticator(None, clock=clock),
        limiter=RateLimiter(now=clock.now),
        limits=RateLimits(address=usual, stranger=usual),
    )
    return Gate(
        Late(lambda: make_inference_router(inference)),
        lifespan=nullcontext,
        door=door,
        hot=HotTable(
            [],
            [inference_work(inference.infer)],
            door=door,
            clock=clock,
            limits=body,
            timeout_s=10.0,
        ),
        settings=HttpSettings(fast_path=fast, body=body),
    )


class _Clock:
    def now(self) -> int:
        return 1_700_000_000_000_000_000


def _both(models: InferenceModels, path: str, body: bytes, **headers: str) -> httpx.Response:
    async def ask(fast: bool) -> httpx.Response:
        transport = httpx.ASGITransport(_gate(models, fast=fast), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post(path, content=body, headers={**HEADERS, **headers})

    short, route = asyncio.run(ask(True)), asyncio.run(ask(False))
    assert (short.status_code, short.content) == (route.status_code, route.content)
    assert sorted(short.headers.multi_items()) == sorted(route.headers.multi_items())
    return short


_NUMBERS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
_ANY = st.recursive(_NUMBERS, lambda inner: st.lists(inner, max_size=3), max_leaves=8)
_TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["features", "window", "\ud800"]) | st.text(max_size=3),
        "shape": st.sampled_from([[1, WIDTH], [2, WIDTH], [WIDTH], [10**30, 1]])
        | st.lists(st.integers(-(2**70), 2**70), max_size=6),
        "datatype": st.sampled_from(["FP64", "FP32", "INT64", "BYTES"]),
        "data": st.lists(st.floats(-1e3, 1e3) | st.none(), min_size=WIDTH, max_size=WIDTH) | _ANY,
    },
    optional={"parameters": st.dictionaries(st.text(max_size=3), _ANY, max_size=2) | _ANY},
)
_REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(_TENSORS, max_size=2)},
    optional={
        "id": st.text(max_size=3) | st.just("\ud800") | _ANY,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["shift", "x"])}))
        | _ANY,
    },
)


@settings(max_examples=150, deadline=None)
@given(_REQUESTS.map(lambda one: json.dumps(one).encode()) | st.binary(max_size=40))
def test_the_short_way_answers_as_the_route_and_never_with_an_error_of_the_server(
    loaded: OnnxModel, body: bytes
) -> None:
    models = InferenceModels()
    models.replace(InferenceModel(name="small", version="1", graph=loaded))
    assert _both(models, "/v2/models/small/infer", body).status_code in (200, 400)


def test_the_short_way_is_taken_and_stands_behind_the_door(
    models: InferenceModels, graph: Counted
) -> None:
    path, body = "/v2/models/small/infer", _body(_rows(1))
    good = _both(models, path, body)
    assert good.status_code == 200
    assert good.headers["content-type"] == "application/json"
    assert "ratelimit-remaining" in good.headers
    for status, where, content, headers in (
        (404, "/v2/models/other/infer", body, {}),
        (405, "/v2/models/infer", body, {}),
        (200, "/v2/models/small/versions/1/infer", body, {}),
        (404, "/v2/models/small/versions/2/infer", body, {}),
        (415, path, body, {"inference-header-content-length": "9"}),
        (415, path, body, {"content-type": "application/octet-stream"}),
        (413, path, b" " * 60_000, {}),
        (400, path, b'{"inputs":[],"x":' + b"[" * 40_000, {}),
        (421, path, body, {"host": "elsewhere"}),
        (403, path, body, {"origin": "https://elsewhere"}),
        (401, path, body, {"x-forwarded-for": "10.0.0.1"}),
        (400, path, b"", {}),
    ):
        assert _both(models, where, content, **headers).status_code == status, where

    async def ask(request: int) -> int:
        gate = _gate(models, fast=True)
        gate._app = None  # type: ignore[assignment]  # the route cannot be asked
        transport = httpx.ASGITransport(gate, client=("127.0.0.1", request))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answers = [client.post(path, content=body, headers=HEADERS) for _ in range(8)]
            return sum(one.status_code == 200 for one in await asyncio.gather(*answers))

    graph.calls.clear()
    assert asyncio.run(ask(1)) == 8
    assert graph.calls == [8]
