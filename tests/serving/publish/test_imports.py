"""The room is light: what the front has loads in no time, and everything public is exported."""

import subprocess
import sys

from foremargin.serving import publish

HEAVY = ("numpy", "pandas", "numba", "scipy", "torch", "mlflow", "pydantic", "eth_account")


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = "import sys, foremargin.serving.publish; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "foremargin.serving.publish.publisher" in done.stdout.split()
    assert not set(HEAVY) & set(done.stdout.split())


def test_everything_public_is_there_and_sorted() -> None:
    assert all(hasattr(publish, name) for name in publish.__all__)
    constants, others = [n for n in publish.__all__ if n.isupper()], publish.__all__
    assert sorted(set(others)) == sorted(others)
    assert sorted(constants) == others[: len(constants)]
