"""Models that can be asked, by name and version."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..onnx_model import OnnxModel, TensorInfo
from .messages import (
    LARGEST_TENSOR,
    InferRequest,
    InferResponse,
    ResponseTensor,
    encode,
    read_request,
    read_tensor,
)

Array = NDArray[np.float64]

_NULLABLE = frozenset({"features"})  # a feature may be unknown, and the network is told so
_TOLD = ("features", "horizons", "tail_probabilities", "window_channels")


MOST_ROWS = 64
"""Rows of one call of the graph: more share no more of its costs, and would make others wait."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """A request that fits its model.

    Attributes
    ----------
    feeds : dict of str to array
        Every input, `n_rows` long.
    outputs : list of str
        Those that are asked for.
    id : str or None
        Given back.
    n_rows : int
        Length of the batch, at least one.
    """

    feeds: dict[str, Array]
    outputs: list[str]
    id: str | None
    n_rows: int


@dataclass(frozen=True, kw_only=True, eq=False)
class InferenceModel:
    """One version of a model.

    Attributes
    ----------
    name, version : str
        As in the path of a request.
    graph : OnnxModel
        What it computes.
    """

    name: str
    version: str
    graph: OnnxModel

    def metadata(self, versions: list[str]) -> dict[str, Any]:
        """Return what V2 tells of a model, and what its axes mean under ``parameters``."""
        told = {
            key: json.loads(self.graph.metadata[key]) for key in _TOLD if key in self.graph.metadata
        }
        return {
            "name": self.name,
            "versions": versions,
            "platform": "onnx_onnxv1",
            "inputs": [_described(one) for one in self.graph.inputs],
            "outputs": [_described(one) for one in self.graph.outputs],
            "parameters": told,
        }

    def infer(self, body: bytes) -> bytes:
        """Answer a request by itself, in this thread.

        Parameters
        ----------
        body : bytes
            JSON.

        Returns
        -------
        bytes
            JSON.

        Raises
        ------
        InputError
            If the request does not fit the model.
        """
        return self.answer(self.read(body))

    def read(self, body: bytes) -> Question:
        """Read a request and check all of it, so that computing it harms nobody.

        Raises
        ------
        InputError
            If the request does not fit the model.
        """
        request = read_request(body)
        outputs = self._outputs(request)
        feeds = self._feeds(request)
        n_rows = min(len(array) for array in feeds.values())
        return Question(feeds=feeds, outputs=outputs, id=request.id, n_rows=n_rows)

    def answer(self, question: Question) -> bytes:
        """Return the answer to a question of any length, as JSON.

        Raises
        ------
        InputError
            If the graph cannot be computed for it.
        """
        if question.n_rows <= MOST_ROWS:
            return self.answer_all([question])[0]
        parts = [
            self.graph.run({k: v[at : at + MOST_ROWS] for k, v in question.feeds.items()})
            for at in range(0, question.n_rows, MOST_ROWS)
        ]
        found = {name: np.concatenate([part[name] for part in parts]) for name in question.outputs}
        return self._encoded(question, {k: (v.shape, v.ravel().tolist()) for k, v in found.items()})

    def answer_all(self, questions: Sequence[Question]) -> list[bytes]:
        """Return the answers to some questions by one call of the graph, each as JSON.

        Parameters
        ----------
        questions : sequence of Question
            At most :data:`MOST_ROWS` rows together.

        Raises
        ------
        InputError
            If the graph cannot be computed for one of them.
        """
        feeds = questions[0].feeds
        if len(questions) > 1:
            feeds = {k: np.concatenate([one.feeds[k] for one in questions]) for k in feeds}
        # All outputs: those that nobody asked for would be computed on the way to the others.
        found = self.graph.run(feeds)
        rows = {k: values.reshape(len(values), -1).tolist() for k, values in found.items()}
        answers, at = [], 0
        for one in questions:
            upto = at + one.n_rows
            mine = {
                name: ((one.n_rows, *found[name].shape[1:]), _joined(rows[name][at:upto]))
                for name in one.outputs
            }
            answers.append(self._encoded(one, mine))
            at = upto
        return answers

    def _encoded(
        self, question: Question, found: Mapping[str, tuple[tuple[int, ...], list[float]]]
    ) -> bytes:
        response = InferResponse(
            model_name=self.name,
            model_version=self.version,
            id=question.id,
            outputs=[
                ResponseTensor(name=name, shape=shape, datatype="FP64", data=data)
                for name, (shape, data) in found.items()
            ],
        )
        return encode(response)

    def _outputs(self, request: InferRequest) -> list[str]:
        names = [one.name for one in self.graph.outputs]
        if not request.outputs:
            return names
        asked = list(dict.fromkeys(one.name for one in request.outputs))
        unknown = sorted(set(asked) - set(names))
        if unknown:
            raise InputError(f"outputs must be among {names}, found {unknown[0][:60]!r}")
        if any(one.parameters.get("binary_data") for one in request.outputs):
            raise InputError("outputs are JSON here; leave the parameter binary_data out")
        return asked

    def _feeds(self, request: InferRequest) -> dict[str, Array]:
        wanted = {one.name: one for one in self.graph.inputs}
        given = [one.name for one in request.inputs]
        if sorted(given) != sorted(wanted):
            raise InputError(
                f"inputs must be {sorted(wanted)}, each once, found {[n[:60] for n in given]}"
            )
        feeds: dict[str, Array] = {}
        for tensor in request.inputs:
            array = read_tensor(tensor, nullable=tensor.name in _NULLABLE)
            if array.shape[1:] != wanted[tensor.name].shape[1:]:
                raise InputError(
                    f"input {tensor.name!r} must have the shape {list(wanted[tensor.name].shape)}, "
                    f"-1 for the batch, was {list(array.shape)}"
                )
            feeds[tensor.name] = array
        if len({len(array) for array in feeds.values()}) > 1:
            lengths = {name: len(array) for name, array in feeds.items()}
            raise InputError(f"all inputs must be of one batch, found {lengths}")
        if sum(array.size for array in feeds.values()) > LARGEST_TENSOR:
            raise InputError(f"inputs must be at most {LARGEST_TENSOR} elements together")
        return feeds


class InferenceModels:
    """The models that are served; changed by one assignment, so that a reader needs no lock."""

    def __init__(self) -> None:
        self._models: Mapping[str, tuple[InferenceModel, ...]] = MappingProxyType({})

    def replace(self, *models: InferenceModel) -> None:
        """Serve these and no others; of several versions the last is the one that answers."""
        made: dict[str, tuple[InferenceModel, ...]] = {}
        for model in models:
            made[model.name] = (*made.get(model.name, ()), model)
        self._models = MappingProxyType(made)

    def names(self) -> tuple[str, ...]:
        """Return the names."""
        return tuple(self._models)

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model; empty if there is none of that name."""
        return [model.version for model in self._models.get(name, ())]

    def get(self, name: str, version: str | None = None) -> InferenceModel | None:
        """Return a version, the one that answers where none is given; None if there is none."""
        found = [m for m in self._models.get(name, ()) if version in (None, m.version)]
        return found[-1] if found else None


def _described(tensor: TensorInfo) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": "FP64", "shape": list(tensor.shape)}


def _joined(rows: list[list[float]]) -> list[float]:
    return rows[0] if len(rows) == 1 else list(chain.from_iterable(rows))
