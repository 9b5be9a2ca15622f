"""Inference as a computation that goes around FastAPI."""

import asyncio
from collections.abc import Callable

from ..http import HotWork
from ..http.answers import Answer

Inferred = tuple[int, bytes]
Infer = Callable[[str, bytes], Inferred | asyncio.Future[Inferred]]
"""Answers a body of the Open Inference Protocol to the model of a name, with HTTP status and JSON,
now or later."""


def inference_work(infer: Infer) -> HotWork:
    """Return the hot route of an inference."""

    def answer(name: str, body: bytes) -> Answer | asyncio.Future[Answer]:
        found = infer(name, body)
        return _later(found) if isinstance(found, asyncio.Future) else _answer(found)

    return HotWork(template="/v2/models/{name}/infer", answer=answer, typed=True)


def _answer(found: Inferred) -> Answer:
    return Answer(status=found[0], body=found[1])


def _later(inner: asyncio.Future[Inferred]) -> asyncio.Future[Answer]:
    """Return the future of the answer; whoever gives it up gives up the inference."""
    outer: asyncio.Future[Answer] = inner.get_loop().create_future()

    def done(_: asyncio.Future[Inferred]) -> None:
        if outer.done():
            return
        if inner.cancelled():
            outer.cancel()
        elif (error := inner.exception()) is not None:
            outer.set_exception(error)
        else:
            outer.set_result(_answer(inner.result()))

    inner.add_done_callback(done)
    outer.add_done_callback(lambda _: inner.cancel() if outer.cancelled() else None)
    return outer
