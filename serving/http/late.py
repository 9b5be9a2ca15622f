"""An application that is made while others answer already."""

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from typing import Any

from ..security.limits import App, Receive, Send

_log = logging.getLogger(__name__)


class Late:
    """ASGI application that is made in a thread, when it is asked first or :meth:`begin` says so.

    Parameters
    ----------
    make : callable
        Returns it.
    """

    def __init__(self, make: Callable[[], App]) -> None:
        self._build = make
        self._app: App | None = None
        self._making: asyncio.Task[App] | None = None

    def begin(self) -> "asyncio.Task[App]":
        """Have it made; return what is done when it is."""
        if self._making is None or self._making.get_loop() is not asyncio.get_running_loop():
            self._making = asyncio.create_task(self._made())
        return self._making

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer, as soon as it is made."""
        app = self._app
        if app is None:
            app = await asyncio.shield(self.begin())
        await app(scope, receive, send)

    def make(self) -> App:
        """Make it now, unless it is made."""
        app = self._app
        if app is None:
            app = self._app = self._build()
        return app

    async def _made(self) -> App:
        try:
            return await asyncio.to_thread(self.make)
        except Exception:  # it may be long until somebody asks
            _log.exception("the application behind the hot routes could not be made")
            raise
