import subprocess
import sys

import pytest

HEAVY = ("numpy", "pandas", "numba", "torch", "mlflow", "scipy", "onnxruntime")


@pytest.mark.parametrize("room", ["journal", "ladder", "service"])
def test_the_room_imports_nothing_heavy(room):
    code = (
        f"import sys, foremargin.serving.{room}; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
