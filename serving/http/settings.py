"""Limits and times of the API."""

from msgspec import Struct

from ..security import BodyLimits, RateLimits


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the API allows.

    Attributes
    ----------
    body : BodyLimits
        Of every request.
    rates : RateLimits
        Beside those of the keys.
    instruments : int
        Most names in one batch read.
    observations : int
        Most in one request.
    positions : int
        Most in one what-if.
    page : int
        Most items on one page of a list.
    timeout_s : float
        Until the answer begins; streams then go on.
    longest_wait_s : float
        That a read of a signed update waits for the next one, if asked to; at most four fifths of
        `timeout_s`.
    waiting : int
        Most requests that wait so at once; others are answered at once.
    body_timeout_s : float
        Until a body has come.
    idempotency_s : float
        For how long an Idempotency-Key is remembered.
    fast_path : bool
        Whether hot routes go around FastAPI, and under :class:`.protocol.HotProtocol` around ASGI;
        the answers are the same.
    """

    body: BodyLimits = BodyLimits()
    rates: RateLimits = RateLimits()
    instruments: int = 500
    observations: int = 5_000
    positions: int = 1_000
    page: int = 1_000
    timeout_s: float = 10.0
    longest_wait_s: float = 8.0
    waiting: int = 1_000
    body_timeout_s: float = 10.0
    idempotency_s: float = 86_400.0
    fast_path: bool = True
