"""The ``foremargin`` command: one verb, one module."""

from .root import app, main

__all__ = ["app", "main"]
