"""How many requests a key or an address may send: token buckets, one integer each.

The generic cell rate algorithm (ITU-T I.371) is a token bucket written as the moment from which the
bucket is full again: no refill, no background work, exact in integers.
"""

from collections.abc import Callable
from time import monotonic_ns

from msgspec import Struct

from .principals import Principal, Rate


class Allowance(Struct, frozen=True):
    """What a bucket says to one request.

    Attributes
    ----------
    allowed : bool
        Whether it may go on.
    limit, remaining : int
        Size of the bucket, and requests left in it.
    wait_s : float
        Seconds until the bucket is full if allowed, until the next request is if not.
    """

    allowed: bool
    limit: int
    remaining: int
    wait_s: float


class RateLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits beside those of the keys.

    Attributes
    ----------
    stranger : Rate
        Of an address whose requests have no valid key: public pages, health, and failures.
    loopback : Rate
        Of this machine where no keys are configured.
    address : Rate
        Of an address over all its keys.
    """

    stranger: Rate = Rate(50.0, 100)
    loopback: Rate = Rate(100_000.0, 100_000)
    address: Rate = Rate(100_000.0, 100_000)


class RateLimiter:
    """Buckets by name; memory is bounded.

    Parameters
    ----------
    now : callable
        Monotonic ns: a wall clock that is set back would close every bucket.
    capacity : int
        Most buckets. When there are more, those that are full are dropped, and then the oldest.
    """

    def __init__(self, *, now: Callable[[], int] = monotonic_ns, capacity: int = 20_000) -> None:
        self._now = now
        self._capacity = capacity
        self._full_at: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, name: str, rate: Rate) -> Allowance:
        """Take one request out of a bucket, if there is one."""
        now = self._now()
        interval = int(1e9 / rate.per_s) or 1
        full_at = self._full_at.get(name, 0)
        known = full_at > 0
        if full_at < now:
            full_at = now
        room = rate.burst * interval - (full_at - now)
        if room < interval:
            return Allowance(False, rate.burst, 0, (interval - room) / 1e9)
        if not known and len(self._full_at) >= self._capacity:
            self._make_room(now)
        self._full_at[name] = full_at + interval
        return Allowance(
            True, rate.burst, (room - interval) // interval, (full_at + interval - now) / 1e9
        )

    def _make_room(self, now: int) -> None:
        self._full_at = {name: at for name, at in self._full_at.items() if at > now}
        for name in list(self._full_at)[: max(0, len(self._full_at) - self._capacity // 2)]:
            del self._full_at[name]


def limit_of(principal: Principal, *, address: str, limits: RateLimits) -> tuple[str, Rate]:
    """Return name and rate of the bucket that a request is taken from first."""
    if principal.rate is not None:
        return f"key {principal.id}", principal.rate
    if principal.scopes:
        return f"loopback {address}", limits.loopback
    return f"stranger {address}", limits.stranger
