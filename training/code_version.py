"""What the numbers of a fit depend on beside its input: our code, and the libraries below it."""

import hashlib
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_PARTS = ("errors.py", "markets", "features", "models", "training")
_LIBRARIES = ("arch", "numba", "numpy", "pandas", "scikit-learn", "scipy", "torch")


@cache
def code_digest() -> str:
    """Return a SHA-256 of everything that can move a forecast but is no input of the run.

    The source of the floors that make forecasts, and the versions of the libraries that compute;
    a change of one character in any of them gives another digest.
    """
    digest = hashlib.sha256()
    for part in _PARTS:
        path = _ROOT / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(str(file.relative_to(_ROOT)).encode())
            digest.update(file.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library} {metadata.version(library)}".encode())
    digest.update(f"{platform.python_version()} {platform.machine()}".encode())
    return digest.hexdigest()
