"""The regime forecaster: one PyTorch network for all instruments and horizons.

What needs PyTorch is imported when it is asked for: who serves the network has no use for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .online import OnlineNetwork
from .plan import TrainingPlan
from .served import NetworkState, ServedMixture, served_features

if TYPE_CHECKING:
    from .attribution import explain, permutation_importance
    from .export import network_onnx, network_state
    from .forecaster import FittedRegimeNetwork, RegimeNetwork

_WITH_TORCH = {
    "FittedRegimeNetwork": ".forecaster",
    "RegimeNetwork": ".forecaster",
    "explain": ".attribution",
    "network_onnx": ".export",
    "network_state": ".export",
    "permutation_importance": ".attribution",
}

__all__ = [
    "FittedRegimeNetwork",
    "NetworkState",
    "OnlineNetwork",
    "RegimeNetwork",
    "ServedMixture",
    "TrainingPlan",
    "explain",
    "network_onnx",
    "network_state",
    "permutation_importance",
    "served_features",
]


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WITH_TORCH[name], __name__), name)
