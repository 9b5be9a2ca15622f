"""A clock that tests turn."""

import pytest

START = 1_700_000_000_000_000_000


class Clock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> int:
        return self.time

    def step(self, seconds: float) -> None:
        self.time += int(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()
