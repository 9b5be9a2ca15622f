"""Requests that arrive together are computed together, by one call of the graph.

Nothing waits for company: what was read in one turn of the event loop is computed in the next, and
with one connection that is one request. What is long goes beside the loop.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from ...errors import InputError
from .messages import encode
from .model import MOST_ROWS, InferenceModel, InferenceModels, Question

_log = logging.getLogger(__name__)

Answer: TypeAlias = tuple[int, bytes]
"""HTTP status, and JSON."""

SMALL_BODY = 64 * 2**10
"""Bytes of the longest request that is read on the loop, so that others need not wait."""

_THREADS = 2
_MOST_LONG = 32
_Asked: TypeAlias = tuple[Question, "asyncio.Future[Answer]"]


class Inference:
    """Answers requests of the Open Inference Protocol, from the event loop on which it is called.

    Parameters
    ----------
    models : InferenceModels
        What can be asked; it may change while requests are on their way.
    """

    def __init__(self, models: InferenceModels) -> None:
        self.models = models
        self._asked: dict[InferenceModel, list[_Asked]] = {}
        self._beside = ThreadPoolExecutor(_THREADS, thread_name_prefix="inference")
        self._n_long = 0

    def infer(
        self, name: str, body: bytes, *, version: str | None = None
    ) -> Answer | asyncio.Future[Answer]:
        """Answer a request; a refusal is there at once.

        Parameters
        ----------
        name : str
            Of the model.
        body : bytes
            JSON of the protocol, of at most :data:`.messages.LARGEST_BODY` bytes.
        version : str, optional
            The one that answers for the name if not given.

        Returns
        -------
        Answer, or future of it
            Status and JSON: 200, 400 for what does not fit, 404 where there is no such model, and
            503 where too many long requests are waiting. A future never fails with an InputError.
        """
        model = self.models.get(name, version)
        if model is None:
            return self.unknown(name)
        if len(body) > SMALL_BODY:
            return self._long(lambda: model.infer(body))
        try:
            question = model.read(body)
        except InputError as error:
            return refusal(400, str(error))
        if question.n_rows > MOST_ROWS:
            return self._long(lambda: model.answer(question))
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not self._asked:
            future.get_loop().call_soon(self._compute)
        self._asked.setdefault(model, []).append((question, future))
        return future

    def _compute(self) -> None:
        """Compute one batch; the loop has its turn before the next."""
        model = next(iter(self._asked))
        asked = self._asked.pop(model)
        batch, n_rows = 0, 0
        while batch < len(asked) and n_rows + asked[batch][0].n_rows <= MOST_ROWS:
            n_rows += asked[batch][0].n_rows
            batch += 1
        now, later = asked[:batch], asked[batch:]
        if later:
            self._asked[model] = later  # behind the other models
        if self._asked:
            asyncio.get_running_loop().call_soon(self._compute)
        # Whoever has gone away meanwhile is not computed for.
        _settle(model, [one for one in now if not one[1].done()])

    def _long(self, answer: Callable[[], bytes]) -> Answer | asyncio.Future[Answer]:
        if self._n_long >= _MOST_LONG:
            return refusal(503, "too many long requests are waiting; send it again, or fewer rows")
        self._n_long += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._beside, _answered, answer)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object) -> None:
        self._n_long -= 1

    def unknown(self, name: str) -> Answer:
        """Return what there is instead of a model, or of a version of it, that there is not."""
        versions = self.models.versions(name)
        if versions:
            return refusal(404, f"the version of {name} must be one of {versions}")
        return refusal(404, f"the model must be one of {list(self.models.names())}")


def refusal(status: int, message: str) -> Answer:
    """Return an error of the protocol."""
    return status, encode({"error": message})


def _settle(model: InferenceModel, asked: list[_Asked]) -> None:
    """Give every one its answer; where the graph fails for all, everybody is computed alone."""
    try:
        answers = model.answer_all([question for question, _ in asked]) if asked else []
    except Exception as error:
        if len(asked) > 1:
            for one in asked:
                _settle(model, [one])
        elif isinstance(error, InputError):
            asked[0][1].set_result(refusal(400, str(error)))
        else:
            _log.exception("a request to the model %s could not be answered", model.name)
            asked[0][1].set_exception(error)
        return
    for (_, future), answer in zip(asked, answers, strict=True):
        future.set_result((200, answer))


def _answered(answer: Callable[[], bytes]) -> Answer:
    try:
        return 200, answer()
    except InputError as error:
        return refusal(400, str(error))
