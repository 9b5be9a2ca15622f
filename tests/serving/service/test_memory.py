"""Garbage is collected, but not because of what a row leaves behind."""

import subprocess
import sys

import pytest

PROGRAM = """
import gc
from foremargin.serving.service import settle_memory

settle_memory()
seen = []
gc.callbacks.append(lambda phase, info: phase == "stop" and seen.append(info["collected"]))
{body}
print(len(seen), sum(seen))
"""
ROWS = """
row = {}
for _ in range(10):
    row = {name: [name, [name], [name]] for name in range(5_000)}
"""
CYCLES = """
for _ in range(60_000):
    one = []
    one.append(one)
"""


@pytest.mark.parametrize(
    ("body", "collections", "collected"),
    [(ROWS, range(1), range(1)), (CYCLES, range(1, 3), range(40_000, 60_001))],
    ids=["rows that replace each other", "cycles"],
)
def test_collections_are_rare_and_take_what_is_garbage(body, collections, collected) -> None:
    # Its settings are those of a whole process.
    code = PROGRAM.replace("{body}", body)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    times, found = map(int, done.stdout.split())
    assert times in collections
    assert found in collected
