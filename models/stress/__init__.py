"""Probabilities of stress, from the density of what is forecast."""

from .pooled_stress import PooledStress

__all__ = ["PooledStress"]
