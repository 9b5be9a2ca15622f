"""A circuit breaker: after too many faults, good answers must come in a row before they count."""

from enum import StrEnum

from msgspec import Struct

from ...errors import InputError

_SECOND = 10**9


class BreakerState(StrEnum):
    """How far results are believed."""

    CLOSED = "closed"
    """They are."""
    OPEN = "open"
    """They are not."""
    HALF_OPEN = "half-open"
    """They are on trial."""


class BreakerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a breaker opens and closes.

    Attributes
    ----------
    faults, within_s : int, float
        It opens when so many faults came within so many seconds.
    open_s, longest_open_s : float
        Seconds until results are on trial; doubles with every trial that fails, up to the longest.
    trials : int
        Good results in a row that close it.
    """

    faults: int = 3
    within_s: float = 300.0
    open_s: float = 60.0
    longest_open_s: float = 3_600.0
    trials: int = 2

    def __post_init__(self) -> None:
        if self.faults < 1 or self.trials < 1:
            raise InputError(
                f"faults and trials must be at least 1, were {self.faults} and {self.trials}"
            )
        if not (0.0 < self.open_s <= self.longest_open_s < 1e9 and 0.0 < self.within_s < 1e9):
            raise InputError(
                "seconds must satisfy 0 < open_s <= longest_open_s < 1e9 and 0 < within_s < 1e9, "
                f"were {self.open_s}, {self.longest_open_s} and {self.within_s}"
            )


class Breaker:
    """One breaker; it has no clock, every call says the time in ns.

    A clock that went back cannot keep it open for longer than `longest_open_s`.
    """

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self.settings = BreakerSettings() if settings is None else settings
        self._faults: list[int] = []
        self._opened_at: int | None = None
        self._open_s = self.settings.open_s
        self._good = 0

    def state(self, now: int) -> BreakerState:
        """Return the state at a time."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        longest = int(self.settings.longest_open_s * _SECOND)
        self._opened_at = min(self._opened_at, now + longest - int(self._open_s * _SECOND))
        waited = now - self._opened_at
        return BreakerState.HALF_OPEN if waited >= self._open_s * _SECOND else BreakerState.OPEN

    def failed(self, now: int) -> BreakerState:
        """Count a fault."""
        state = self.state(now)
        if state is BreakerState.HALF_OPEN:
            self._open_s = min(2.0 * self._open_s, self.settings.longest_open_s)
            self._open(now)
        elif state is BreakerState.CLOSED:
            within = self.settings.within_s * _SECOND
            self._faults = [then for then in self._faults if now - then <= within] + [now]
            if len(self._faults) >= self.settings.faults:
                self._open_s = self.settings.open_s
                self._open(now)
        return self.state(now)

    def succeeded(self, now: int) -> BreakerState:
        """Count a good result; one that closes the breaker is believed itself."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self._good += 1
            if self._good >= self.settings.trials:
                self._opened_at, self._faults, self._good = None, [], 0
        return self.state(now)

    def _open(self, now: int) -> None:
        self._opened_at, self._faults, self._good = now, [], 0
