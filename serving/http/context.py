"""What the routes are made of."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from msgspec import Struct
from starlette.routing import BaseRoute

from ..ports import Clock, ServicePort
from .answers import Answer
from .hot import HotWork, Observer
from .once import Once
from .reads import Reads
from .settings import HttpSettings
from .updates import UpdatesPort


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
    works : sequence of HotWork
        Computations on the body of a POST that go around FastAPI; their routes are among `routes`
        as well.
    routes : sequence of routes
        Streams, inference and the page; they come last, behind the same door.
    lifespan : callable or None
        Asynchronous context manager of the application, around everything that it answers.
    """

    updates: UpdatesPort | None = None
    metrics: Callable[[], tuple[bytes, str]] | None = None
    observer: Observer | None = None
    works: Sequence[HotWork] = ()
    routes: Sequence[BaseRoute] = ()
    lifespan: Callable[[], AbstractAsyncContextManager[None]] | None = None


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
