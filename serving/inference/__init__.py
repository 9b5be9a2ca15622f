"""The Open Inference Protocol: whoever speaks V2 can ask the network "what if"."""

from .model import InferenceModel, InferenceModels
from .router import make_inference_router

__all__ = ["InferenceModel", "InferenceModels", "make_inference_router"]
