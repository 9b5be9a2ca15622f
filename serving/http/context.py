"""What the routes are made of."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fastapi import FastAPI
from msgspec import Struct
from starlette.routing import BaseRoute

from ..ports import Clock, ServicePort
from .answers import Answer
from .gate import Infer, Observer
from .once import Once
from .reads import Reads
from .settings import HttpSettings


class UpdatesPort(Protocol):
    """What the publisher signed last."""

    def latest(self, instrument: str) -> bytes | None:
        """Return the last signed update of an instrument as JSON; None if there is none."""
        ...

    def batch(self) -> bytes | None:
        """Return the last Merkle batch with its proofs as JSON; None if there is none."""
        ...


class Additions(Struct, frozen=True, kw_only=True):
    """What other rooms add to the API.

    Attributes
    ----------
    updates : UpdatesPort or None
        Signed updates.
    metrics : callable or None
        Exposition text of the metrics, and its media type.
    observer : callable or None
        Told path template, HTTP status and seconds of every answer.
    routes : sequence of routes
        Streams, inference and the page; they come last, behind the same door.
    infer : callable or None
        Answers a body of the Open Inference Protocol to the model of a name, with HTTP status and
        JSON; the routes have it too.
    lifespan : callable or None
        Asynchronous context manager of the application, around everything that it answers.
    """

    updates: UpdatesPort | None = None
    metrics: Callable[[], tuple[bytes, str]] | None = None
    observer: Observer | None = None
    routes: Sequence[BaseRoute] = ()
    infer: Infer | None = None
    lifespan: Callable[[FastAPI], Any] | None = None


class Context(Struct, frozen=True, kw_only=True):
    """What the routes are made of.

    Attributes
    ----------
    service : ServicePort
        See there.
    clock : Clock
        Wall clock.
    settings : HttpSettings
        Limits.
    additions : Additions
        Of other rooms.
    reads : Reads
        Of one instrument.
    simulate : callable
        Answer to the body of a what-if.
    observations, commands : Once
        Writes that are done once.
    """

    service: ServicePort
    clock: Clock
    settings: HttpSettings
    additions: Additions
    reads: Reads
    simulate: Callable[[bytes], Answer]
    observations: Once
    commands: Once
