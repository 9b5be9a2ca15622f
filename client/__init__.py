"""A typed client of the service; the server is not needed to install it.

``Client`` waits for its answers and ``AsyncClient`` awaits them; both run the same plans.
"""

from .asynchronous import AsyncClient, AsyncStream
from .blocking import Client, Stream
from .errors import (
    AnswerError,
    ClientError,
    NotFreshError,
    ProblemError,
    SignatureError,
    UnreachableError,
)
from .exchange import RetryPolicy
from .follow import Alive, Changed, Disconnected, Follower, GapError, Snapshot, StreamEvent
from .freshness import TRUSTED, Freshness
from .signing import BearerToken, Credentials, TokenSigner
from .streaming import StreamSettings, Transport
from .types import (
    ANY_STATUS,
    AuditEntry,
    Bar,
    Forecast,
    Health,
    Observation,
    OraclePrice,
    Quote,
    Receipt,
    Schedule,
    SideMargin,
    SignedUpdate,
    Simulation,
    Tick,
)
from .updates import verified_message

__all__ = [
    "ANY_STATUS",
    "TRUSTED",
    "Alive",
    "AnswerError",
    "AsyncClient",
    "AsyncStream",
    "AuditEntry",
    "Bar",
    "BearerToken",
    "Changed",
    "Client",
    "ClientError",
    "Credentials",
    "Disconnected",
    "Follower",
    "Forecast",
    "Freshness",
    "GapError",
    "Health",
    "NotFreshError",
    "Observation",
    "OraclePrice",
    "ProblemError",
    "Quote",
    "Receipt",
    "RetryPolicy",
    "Schedule",
    "SideMargin",
    "SignatureError",
    "SignedUpdate",
    "Simulation",
    "Snapshot",
    "Stream",
    "StreamEvent",
    "StreamSettings",
    "Tick",
    "TokenSigner",
    "Transport",
    "UnreachableError",
    "verified_message",
]
