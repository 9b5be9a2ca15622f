"""Run an application until it is told to stop."""

import asyncio
import logging
import socket
from contextlib import suppress

import uvicorn
from structlog.typing import FilteringBoundLogger

from ..http.protocol import HotProtocol
from ..monitor import make_logger
from ..security import redact_secrets, uvicorn_arguments
from ..service import settle_memory
from .application import Application
from .settings import Settings


class _Structured(logging.Handler):
    """Writes what libraries and rooms log as JSON lines, without secrets."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            self._logger.log(
                record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info
            )
        except Exception:
            self.handleError(record)


class _Server(uvicorn.Server):
    """Ends what holds connections open before it waits for them."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin."""
        await super().startup(sockets)
        self._settling = asyncio.create_task(self._settle())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self._application.let_go()
        await super().shutdown(sockets)
        await asyncio.gather(self._settling, return_exceptions=True)

    async def _settle(self) -> None:
        """Have what is here to stay not walked again at every collection of garbage."""
        await self._application.app.complete()
        settle_memory()


def make_server(application: Application, settings: Settings) -> uvicorn.Server:
    """Return the server of an application.

    Raises
    ------
    InputError
        If the service must not listen where it is told to.
    """
    arguments = uvicorn_arguments(
        settings.host, settings.port, has_keys=bool(settings.keys_file), tls=settings.tls
    )
    arguments["http"] = HotProtocol
    return _Server(uvicorn.Config(application.app, log_config=None, **arguments), application)


def run(application: Application, settings: Settings) -> None:
    """Serve; returns after SIGTERM or Ctrl-C, when everything is on the disk.

    Raises
    ------
    InputError
        If the service must not listen where it is told to.
    """
    server = make_server(application, settings)
    logging.basicConfig(
        handlers=[_Structured(make_logger(redact_secrets))], level=logging.INFO, force=True
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with suppress(KeyboardInterrupt):  # how it is told to stop
        server.run()
