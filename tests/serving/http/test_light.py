"""The front stays light: what importing it brings along."""

import subprocess
import sys

import pytest

HEAVY = ("pandas", "numba", "torch", "mlflow", "scipy", "onnxruntime", "sklearn", "matplotlib")


def loaded(module: str, names: tuple[str, ...]) -> set[str]:
    code = f"import sys, {module}; print(*(n for n in {names!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_neither_the_api_nor_its_security_brings_numpy_along():
    for module in ("foremargin.serving.http", "foremargin.serving.security"):
        assert loaded(module, ("numpy", *HEAVY)) == set()


def test_security_needs_neither_fastapi_nor_httpx():
    assert loaded("foremargin.serving.security", ("fastapi", "starlette", "httpx")) == set()


@pytest.mark.parametrize("module", ["whatif", "scenarios"])
def test_what_if_brings_numpy_and_nothing_heavier(module):
    assert loaded(f"foremargin.serving.http.{module}", ("numpy", *HEAVY)) == {"numpy"}
