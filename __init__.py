"""foremargin: margin that is set before the market moves."""

from importlib import metadata

try:
    __version__ = metadata.version("foremargin")
except metadata.PackageNotFoundError:  # a bare checkout on the path, not installed
    __version__ = "0+unknown"
