"""The Open Inference Protocol: whoever speaks V2 can ask the network "what if"."""

from .batches import Inference
from .model import InferenceModel, InferenceModels
from .router import make_inference_router

__all__ = ["Inference", "InferenceModel", "InferenceModels", "make_inference_router"]
