"""What inference answers, now or later, is what the hot route answers."""

import asyncio
from typing import Any

import pytest

from foremargin.serving.assembly.inferring import inference_work


def later(change):
    """Return the hot answer of an inference that comes later, after a change of its future."""

    async def scenario():
        inner = asyncio.get_running_loop().create_future()
        work = inference_work(lambda name, body: inner)
        outer: Any = work.answer("m", b"{}")
        change(inner, outer)
        for _ in range(3):
            await asyncio.sleep(0)
        assert outer.done()
        return inner, outer

    return asyncio.run(scenario())


def test_what_is_there_at_once_keeps_its_status_and_names_are_handed_on():
    asked = []

    def infer(name, body):
        asked.append((name, body))
        return 404, b'{"error":"no"}'

    work = inference_work(infer)
    answer: Any = work.answer("m", b"{}")
    assert (answer.status, answer.body, asked) == (404, b'{"error":"no"}', [("m", b"{}")])
    assert (work.template, work.typed) == ("/v2/models/{name}/infer", True)


def test_what_comes_later_keeps_its_status():
    _, outer = later(lambda inner, outer: inner.set_result((503, b"busy")))
    assert (outer.result().status, outer.result().body) == (503, b"busy")


def test_an_error_comes_through():
    _, outer = later(lambda inner, outer: inner.set_exception(ValueError("the graph")))
    with pytest.raises(ValueError, match="the graph"):
        outer.result()


def test_giving_up_goes_both_ways():
    inner, _ = later(lambda inner, outer: outer.cancel())
    assert inner.cancelled()
    _, outer = later(lambda inner, outer: inner.cancel())
    assert outer.cancelled()
