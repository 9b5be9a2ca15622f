"""What is replayed, and the clock that it is replayed by; the front imports nothing heavier."""

import time
from datetime import UTC, datetime

INSTRUMENTS = ("NASDAQ", "SP500", "WTI")
"""Data sets inside arch."""

HISTORY_FROM, FIRST_ORIGIN = "2001-01-01", "2003-01-01"
"""From when on data are looked at, and from when on there are past scores."""

RECORDED_FROM, STARTS = "2007-05-15", "2008-08-15"
"""First day that is sent, and from when on at the chosen speed: the autumn of 2008 is ahead."""

HORIZON = 1
"""Margin period of risk, trading days."""

TAIL_PROBABILITY = 0.01
"""Breach rate that margins aim at."""

DAY_S = 86_400.0


CATCH_UP_S = 12.0
"""Seconds of now in which the days before the replay pass."""


class ReplayClock:
    """Time of a replay, whatever the time really is.

    The days from :data:`RECORDED_FROM` to :data:`STARTS` pass in the first twelve seconds, while
    the calculator starts; then the replay goes on at its speed.

    Parameters
    ----------
    speed : float
        Seconds of the past in a second of now.
    began : float
        When the replay began, seconds since 1970-01-01T00:00Z.
    """

    def __init__(self, speed: float, *, began: float) -> None:
        self._speed, self._began = speed, began
        self._from_s, self._start_s = _seconds(RECORDED_FROM), _seconds(STARTS)
        self._fast = (self._start_s - self._from_s) / CATCH_UP_S

    def now(self) -> int:
        """Return ns since 1970-01-01T00:00Z in the replayed time."""
        passed = time.time() - self._began
        fast, slow = min(passed, CATCH_UP_S), max(passed - CATCH_UP_S, 0.0)
        return int((self._from_s + fast * self._fast + slow * self._speed) * 1e9)

    def wait_s(self, moment: int) -> float:
        """Return how many seconds of now there are until a moment of the past."""
        ahead = moment / 1e9 - self.now() / 1e9
        left = self._start_s - self.now() / 1e9
        if ahead <= left:
            return ahead / self._fast
        return max(left, 0.0) / self._fast + (ahead - max(left, 0.0)) / self._speed


def _seconds(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
