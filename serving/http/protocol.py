"""The protocol of a connection: hot routes are answered here, everything else by uvicorn.

A packet that is one or several plain requests is answered with one write, without a task, a scope
or a message. The moment that anything else comes, it is handed to uvicorn's protocol, which has
then seen nothing that it would have to remember, and this one keeps quiet until a message has
ended and its answer has been sent.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from .answers import Answer
from .gate import Gate
from .hot import Plain
from .visits import Pending, Visitor

_MOST_AT_ONCE = 16  # requests of one packet: one connection must not hold up the others


class HotProtocol(HttpToolsProtocol):
    """For ``uvicorn.Config(make_app(...), http=HotProtocol)``.

    It answers only where the application is a :class:`.gate.Gate` with a hot table; what wraps a
    gate in further middleware, writes an access log or mounts it below a path gets every request.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        app = config.loaded_app
        direct = isinstance(app, Gate) and not self.root_path and not self.access_log
        self._hot = app.hot if direct else None
        self._visitor = Visitor("", "http")
        self._between = True  # no message was begun that has not ended
        self._answered_at = 0.0
        self._pending: Pending | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._held = b""
        self._leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self._visitor = Visitor(self.client[0] if self.client else "", self.scheme or "http")

    def data_received(self, data: bytes) -> None:
        """Answer, or hand on."""
        if self._pending is not None:
            self._held += data
            return
        cycle = self.cycle
        if (
            self._hot is None
            or not self._between
            or (cycle is not None and not cycle.response_complete)
            or self.flow.write_paused
            or self._is_crowded()
            or self.transport.is_closing()
        ):
            super().data_received(data)
            return
        done = self._answer(data)
        if done < len(data):
            super().data_received(data[done:] if done else data)

    def on_message_begin(self) -> None:
        """Note that httptools has begun a message."""
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that it has ended."""
        super().on_message_complete()
        self._between = not self.parser.should_upgrade()

    def shutdown(self) -> None:
        """End, after the answer that is waited for."""
        if self._pending is None:
            super().shutdown()
        else:
            self._leaving = True

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for too long."""
        # The timer is not set anew with every answer, so it may be due too early.
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0.0:
            self.timeout_keep_alive_task = self.loop.call_later(
                left, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def _answer(self, data: bytes) -> int:
        """Answer plain requests; return how many bytes need not be handed on."""
        hot, visitor, default = self._hot, self._visitor, self.server_state.default_headers
        assert hot is not None
        requests: list[Plain] = []
        end = 0
        while end < len(data):
            plain = hot.frame(data, end, visitor)
            if plain is None or len(requests) == _MOST_AT_ONCE:
                return 0
            requests.append(plain)
            end = plain.end
        parts: list[bytes] = []
        done = 0
        for plain in requests:
            said = hot.answer(plain, visitor, default)
            if said is None:
                break
            done = plain.end
            if isinstance(said, Pending):
                self._wait(said, data[done:])
                done = end
                break
            parts.append(said)
        if parts:
            self._write(parts[0] if len(parts) == 1 else b"".join(parts), len(parts))
        return done

    def _write(self, said: bytes, answers: int) -> None:
        self.transport.write(said)
        self.server_state.total_requests += answers
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None and self._pending is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _wait(self, pending: Pending, rest: bytes) -> None:
        """Let the answer come; what the client sends meanwhile is kept, and soon not read."""
        assert self._hot is not None
        self._pending, self._held = pending, rest
        self._unset_keepalive_if_required()
        self.flow.pause_reading()
        # As uvicorn's own tasks: they count, and end with its patience when it stops.
        tasks: set[Any] = self.tasks
        tasks.add(pending.future)
        pending.future.add_done_callback(tasks.discard)
        pending.future.add_done_callback(self._come)
        self._limit = self.loop.call_later(self._hot.timeout_s, pending.give_up)

    def _come(self, future: asyncio.Future[Answer]) -> None:
        """Send the answer that was waited for, and go on."""
        del future
        pending, self._pending = self._pending, None
        assert pending is not None
        assert self._hot is not None
        if self._limit is not None:
            self._limit.cancel()
        leaving, held, self._held = self._leaving, self._held, b""
        said = self._hot.finish(pending, self.server_state.default_headers, closes=leaving)
        if self.transport.is_closing():
            return
        self._write(said, 1)
        if leaving:
            self.transport.close()
            return
        self.flow.resume_reading()
        if held:
            self.data_received(held)

    def _is_crowded(self) -> bool:
        limit = self.limit_concurrency
        if limit is None:
            return False
        return len(self.connections) >= limit or len(self.tasks) >= limit
