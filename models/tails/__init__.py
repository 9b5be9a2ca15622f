"""Tails learnt directly, or from a variance that was chosen for them."""

from .forecaster import FittedTailRecursion, TailLaw, TailRecursion
from .tail_har import FittedTailHar, TailHar

__all__ = ["FittedTailHar", "FittedTailRecursion", "TailHar", "TailLaw", "TailRecursion"]
