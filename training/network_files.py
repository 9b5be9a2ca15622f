"""The files of a bundle from which a service computes the network, without PyTorch."""

from ..errors import InputError
from ..features import History
from ..models import to_state, write_state
from ..models.network import OnlineNetwork, network_onnx, network_state
from .final import FinalForecaster


def network_files(
    final: FinalForecaster, history: History
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return ``model.onnx``, ``network.json`` and ``network.safetensors``, and what to note.

    The network is warmed up to just before the last row of the training data: that row is the
    first one that a forecaster fitted on everything speaks of, and a service closes it itself.

    Parameters
    ----------
    final : FinalForecaster
        What is deployed.
    history : History
        What it was fitted on.

    Returns
    -------
    files : dict of str to bytes
        Empty if there is no network in the champion, or it cannot be exported here.
    notes : tuple of str
        Why there are no files although there is a network.
    """
    found = network_state(final.fitted, features=final.features)
    if found is None:
        return {}, ()
    network, state = found
    try:
        model = network_onnx(network)
    except InputError as error:
        return {}, (f"a service cannot compute the network of this bundle: {error}",)
    last = history.panel.n_periods - 1
    online = OnlineNetwork.after(state, history.panel.upto(last), history.features.upto(last))
    document, arrays = write_state(to_state({"served": state, "memory": online.memory()}))
    return {"model.onnx": model, "network.json": document, "network.safetensors": arrays}, ()
