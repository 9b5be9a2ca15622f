"""The files of a bundle from which a service computes the network, without PyTorch."""

from ..errors import InputError
from ..models import FittedForecaster, to_state, write_state
from ..models.network import network_onnx, network_state


def network_files(champion: FittedForecaster) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return ``model.onnx``, ``network.json`` and ``network.safetensors``, and what to note.

    Parameters
    ----------
    champion : FittedForecaster
        What is deployed.

    Returns
    -------
    files : dict of str to bytes
        Empty if there is no network in the champion, or it cannot be exported here.
    notes : tuple of str
        Why there are no files although there is a network.
    """
    found = network_state(champion)
    if found is None:
        return {}, ()
    network, state = found
    try:
        model = network_onnx(network)
    except InputError as error:
        return {}, (f"a service cannot compute the network of this bundle: {error}",)
    document, arrays = write_state(to_state(state))
    return {"model.onnx": model, "network.json": document, "network.safetensors": arrays}, ()
