"""Who asks, and what they may do."""

from enum import StrEnum

from msgspec import Struct


class Scope(StrEnum):
    """What a key may do; none includes another."""

    READ = "read"
    """Margins, forecasts, streams, updates, the audit trail, metrics."""
    SIMULATE = "simulate"
    """Portfolio what-if and inference on request."""
    PUBLISH = "publish"
    """Send observations."""
    ADMIN = "admin"
    """Commands: activate, rollback, shadow, pause, resume."""


class Rate(Struct, frozen=True, forbid_unknown_fields=True):
    """Requests allowed.

    Attributes
    ----------
    per_s : float
        Long-run requests a second, positive.
    burst : int
        Requests that may come at once, at least 1.
    """

    per_s: float
    burst: int


class Principal(Struct, frozen=True, kw_only=True):
    """Who asks.

    Attributes
    ----------
    id : str
        Identifier of the key; ``loopback`` or ``anonymous`` where there is none.
    scopes : frozenset of Scope
        What they may do.
    rate : Rate or None
        Limit of the key; None leaves it to the limit of the address.
    """

    id: str
    scopes: frozenset[Scope]
    rate: Rate | None = None


ANONYMOUS = Principal(id="anonymous", scopes=frozenset())
"""Nobody known: public pages and health only."""

LOOPBACK = Principal(id="loopback", scopes=frozenset({Scope.READ, Scope.SIMULATE}))
"""This machine, where no keys are configured."""


class Refusal(StrEnum):
    """Why a caller was not believed."""

    MISSING = "missing"
    """No key was presented where one is needed."""
    MALFORMED = "malformed"
    """The Authorization header has neither known form."""
    UNKNOWN = "unknown"
    """No such key, or not its secret."""
    REVOKED = "revoked"
    """The secret is right, and the key was revoked."""
    EXPIRED = "expired"
    """The secret is right, and the key has expired."""
    MUST_SIGN = "must-sign"
    """The key signs its requests and never sends its secret."""
    SIGNATURE = "signature"
    """The signature is not that of this request."""
    SKEW = "skew"
    """The timestamp is too far from the clock of the service."""
    REPLAY = "replay"
    """The nonce was used before."""
    BUSY = "busy"
    """More signed requests within the tolerance than nonces can be remembered."""


EXPLANATIONS: dict[Refusal, str] = {
    Refusal.MISSING: "This needs a key; send 'Authorization: Bearer fm_<id>_<secret>'.",
    Refusal.MALFORMED: "The Authorization header must be 'Bearer fm_<id>_<secret>' or a signature.",
    Refusal.UNKNOWN: "The key is not known.",
    Refusal.REVOKED: "The key was revoked; ask for a new one.",
    Refusal.EXPIRED: "The key has expired; ask for a new one.",
    Refusal.MUST_SIGN: "This key must sign its requests; do not send its secret.",
    Refusal.SIGNATURE: "The signature does not match method, target, time, nonce and body.",
    Refusal.SKEW: "The time of the signature is more than 30 s from the clock of the service.",
    Refusal.REPLAY: "The nonce was used before; use a new one for every request.",
    Refusal.BUSY: "Too many signed requests within 30 s; try again later.",
}
"""What a caller is told."""
