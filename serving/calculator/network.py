"""The best rung: the network of a bundle, one period at a time, without PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...features import Features
from ...markets import Panel
from ...models import Forecast, from_state, read_state, to_state, write_state
from ...models.network import NetworkState, OnlineNetwork
from ..onnx_model import OnnxModel

FILES = ("model.onnx", "network.json", "network.safetensors")
"""What of a bundle it is made of."""


@dataclass(kw_only=True, eq=False)
class NetworkRung:
    """The network, or a mixture with it, that goes on where training stopped.

    A bundle remembers everything up to just before the last row of the training data; that row is
    the first one to be given to :meth:`advance`.

    Attributes
    ----------
    graph : OnnxModel
        The ensemble.
    network : OnlineNetwork
        What feeds it, and what is made of what it says.
    last : Forecast or None
        Of the last moment: probabilities of regimes and stress, and costs, beside the variance.
    """

    graph: OnnxModel
    network: OnlineNetwork
    last: Forecast | None = None

    @classmethod
    def load(cls, contents: Mapping[str, bytes], like: Panel) -> Self:
        """Return the rung of a bundle.

        Parameters
        ----------
        contents : mapping of str to bytes
            The verified files of the bundle.
        like : Panel
            Any one row of its instruments, in its order; the numbers are not used.

        Raises
        ------
        InputError
            If there is no network in it, or it is of other instruments.
        """
        missing = [name for name in FILES if name not in contents]
        if missing:
            raise InputError(
                f"a bundle must hold {list(FILES)} to be served by its network, lacks {missing}; "
                "train a champion with the network where foremargin[export] is installed"
            )
        graph = OnnxModel.load(contents["model.onnx"])
        state, memory = _read(contents["network.json"], contents["network.safetensors"])
        n_features = len(state.features) + len(state.horizons)
        if ("features", (-1, n_features)) not in [(one.name, one.shape) for one in graph.inputs]:
            raise InputError(
                f"the network must take the {n_features} features that its state names, takes "
                f"{[(one.name, one.shape) for one in graph.inputs]}; train it anew"
            )
        return cls(graph=graph, network=OnlineNetwork.resume(state, like, memory))

    @property
    def features(self) -> tuple[str, ...]:
        """Features, and sets of them, that the stream must compute."""
        return self.network.features

    @property
    def horizons(self) -> tuple[int, ...]:
        """Numbers of own periods ahead."""
        return self.network.state.horizons

    def advance(self, rows: Panel, features: Features) -> NDArray[np.float64]:
        """Take one period that has closed and forecast from there.

        Parameters
        ----------
        rows : Panel
            One row.
        features : Features
            Of that row.

        Returns
        -------
        ndarray, shape (n_instruments, n_horizons)
            Variance of the log return over each horizon, decimal squared; NaN for an instrument
            without a price in the row, without a month of variances, or that the fit has not seen.

        Raises
        ------
        InputError
            If a feature is missing, or what comes out is no variance.
        """
        self.last = self.network.advance(rows, features, self.graph.run)
        return np.asarray(self.last.variance[0])

    def snapshot(self) -> tuple[bytes, bytes]:
        """Return all that the rung remembers, as the files of a bundle hold it."""
        memory = self.network.memory()
        return write_state(to_state({"served": self.network.state, "memory": memory}))

    def restore(self, document: bytes, arrays: bytes, like: Panel) -> None:
        """Remember what a snapshot says; the graph stays.

        Raises
        ------
        InputError
            If it is none, or does not fit; nothing is changed then.
        """
        state, memory = _read(document, arrays)
        if (state.model, state.features) != (self.network.state.model, self.network.state.features):
            raise InputError(
                f"a snapshot must be of the network that is served, {self.network.state.model}, "
                f"was of {state.model}; start from the bundle"
            )
        self.network = OnlineNetwork.resume(state, like, memory)
        self.last = None


def _read(document: bytes, arrays: bytes) -> tuple[NetworkState, Mapping[str, Any]]:
    read = from_state(read_state(document, arrays), loaded_only=True)
    if isinstance(read, dict) and set(read) == {"served", "memory"}:
        state, memory = read["served"], read["memory"]
        if isinstance(state, NetworkState) and isinstance(memory, dict):
            return state, memory
    raise InputError("the state of a network must hold what is served and what is remembered")
