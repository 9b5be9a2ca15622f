"""When to send a webhook again: a state machine without I/O.

It takes messages, results and the time, and says what is to be sent now and when to ask again.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from random import Random

from msgspec import Struct

from ...errors import InputError


class RetryRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to try.

    Attributes
    ----------
    first_s, largest_s : float
        Wait after the first failure, and the longest; it doubles in between.
    deadline_s : float
        Age of a message from which it is given up.
    capacity : int
        Most messages that wait.
    """

    first_s: float = 5.0
    largest_s: float = 3600.0
    deadline_s: float = 86_400.0
    capacity: int = 10_000


class Attempt(Struct, frozen=True, kw_only=True):
    """Something to send now.

    Attributes
    ----------
    identifier : str
        Of the message; the same for every attempt.
    url : str
        Where to.
    body : bytes
        What.
    number : int
        From 1.
    """

    identifier: str
    url: str
    body: bytes
    number: int


class Delivery(StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    WAITS = "waits"
    """It failed, and is tried again."""
    GIVEN_UP = "given-up"
    """It failed, and its deadline comes before the next attempt."""
    REFUSED = "refused"
    """The receiver is gone (410), or the destination is not allowed: nothing goes there again."""


class _Waiting(Struct):
    url: str
    body: bytes
    since: int
    due: int
    tried: int = 0
    in_flight: bool = False


class WebhookPlan:
    """Messages on their way.

    Parameters
    ----------
    rule : RetryRule
        See there.
    rng : random.Random
        For the jitter.
    """

    def __init__(self, rule: RetryRule, *, rng: Random) -> None:
        self._rule, self._rng = rule, rng
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._gone: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def gone(self) -> frozenset[str]:
        """URLs that nothing is sent to any more."""
        return frozenset(self._gone)

    def add(self, identifier: str, body: bytes, *, urls: Sequence[str], now: int) -> int:
        """Take a message for some URLs; return for how many it now waits.

        A message that is known is not taken twice.

        Raises
        ------
        InputError
            If too many wait; nothing was taken.
        """
        new = [
            url for url in urls if url not in self._gone and (identifier, url) not in self._waiting
        ]
        if len(self._waiting) + len(new) > self._rule.capacity:
            raise InputError(f"at most {self._rule.capacity} webhooks may wait; receivers are down")
        for url in new:
            self._waiting[identifier, url] = _Waiting(url=url, body=body, since=now, due=now)
        return len(new)

    def due(self, *, now: int, limit: int = 100) -> list[Attempt]:
        """Return what is to be sent now, and count it as on its way."""
        ready = [
            (message.due, key)
            for key, message in self._waiting.items()
            if message.due <= now and not message.in_flight
        ]
        attempts = []
        for _, key in sorted(ready)[:limit]:
            message = self._waiting[key]
            message.in_flight = True
            message.tried += 1
            attempts.append(
                Attempt(identifier=key[0], url=message.url, body=message.body, number=message.tried)
            )
        return attempts

    def next_due(self) -> int | None:
        """Return when to ask again, ns UTC; None if nothing waits."""
        return min((m.due for m in self._waiting.values() if not m.in_flight), default=None)

    def failed(self, attempt: Attempt, *, now: int, retry_after_s: float | None = None) -> Delivery:
        """Take a failure: no answer, or one that is not 2xx; a redirect is a failure too.

        The wait is between half of the doubled time and all of it, and not shorter than what the
        receiver asked for.
        """
        message = self._waiting.get((attempt.identifier, attempt.url))
        if message is None or not message.in_flight:
            return Delivery.REFUSED
        doubled = self._rule.first_s * 2.0 ** min(message.tried - 1, 40)
        wait = min(doubled, self._rule.largest_s) * self._rng.uniform(0.5, 1.0)
        if retry_after_s is not None and math.isfinite(retry_after_s):
            wait = max(wait, retry_after_s)
        due = now + int(wait * 1e9)
        if due - message.since > self._rule.deadline_s * 1e9:
            del self._waiting[attempt.identifier, attempt.url]
            return Delivery.GIVEN_UP
        message.due, message.in_flight = due, False
        return Delivery.WAITS

    def delivered(self, attempt: Attempt) -> Delivery:
        """Take a success."""
        self._waiting.pop((attempt.identifier, attempt.url), None)
        return Delivery.DELIVERED

    def refused(self, attempt: Attempt) -> Delivery:
        """Take a refusal for good: everything for this URL is dropped."""
        self._gone.add(attempt.url)
        for key in [key for key in self._waiting if key[1] == attempt.url]:
            del self._waiting[key]
        return Delivery.REFUSED
