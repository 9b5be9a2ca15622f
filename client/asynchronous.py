"""The client for asyncio; the same questions, run in an event loop."""

import asyncio
import random
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from .exchange import Answer, Attempt, Plan, Reply, RetryPolicy, Wait
from .follow import StreamEvent
from .freshness import TRUSTED, Freshness
from .opening import opened, trust
from .paging import AuditPager, QuotePager
from .server_sent import EventReader
from .signing import Credentials
from .streaming import (
    Lost,
    StreamCore,
    StreamSettings,
    Transport,
    cut,
    must_be_stream,
    not_opened,
    refused,
    websocket_options,
)
from .types import (
    AuditEntry,
    Forecast,
    Health,
    Observation,
    Quote,
    Receipt,
    Schedule,
    SignedUpdate,
    Simulation,
)

T = TypeVar("T")


class AsyncClient:
    """A service, from a program with an event loop; made and used in one loop.

    Parameters
    ----------
    address : str
        Such as ``https://margins.example`` or ``http://127.0.0.1:8750``.
    credentials : Credentials, optional
        Who asks; without, only what is open to everyone is answered.
    retry : RetryPolicy, optional
        Attempts and times.
    rng : random.Random, optional
        Spreads the waits of many clients.
    tls : ssl.SSLContext, optional
        Whom to trust instead of the usual authorities, and the certificate to show to a service
        that asks for one; of streams too.
    transport : httpx.AsyncBaseTransport, optional
        Another way to the service.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: Credentials | None = None,
        retry: RetryPolicy | None = None,
        rng: random.Random | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._tls = tls
        self._ask = opened(address, credentials=credentials, retry=retry, rng=rng)
        self._http = httpx.AsyncClient(
            transport=transport, follow_redirects=False, verify=trust(self._ask, tls)
        )

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give connections back."""
        await self._http.aclose()

    # ------------------------------------------------------------ margins

    async def margin(
        self,
        instrument: str,
        *,
        max_age_s: float | None = None,
        allow: Collection[str] = TRUSTED,
    ) -> Quote:
        """Return the margin of an instrument.

        Parameters
        ----------
        max_age_s : float, optional
            Largest age of the market data that it rests on, seconds.
        allow : collection of str
            Statuses that will do.

        Raises
        ------
        NotFreshError
            If it is older, lower on the ladder, or not valid any more; it carries the answer.
        """
        return await self._run(
            self._ask.margin(instrument, Freshness(max_age_s=max_age_s, allow=allow))
        )

    async def margins(
        self,
        instruments: Collection[str] | None = None,
        *,
        max_age_s: float | None = None,
        allow: Collection[str] = TRUSTED,
        page: int = 500,
    ) -> AsyncIterator[Quote]:
        """Yield the margins of some instruments or of all, page by page, checked as above."""
        freshness = Freshness(max_age_s=max_age_s, allow=allow)
        pager = QuotePager(self._ask, instruments, freshness, page=page)
        while (plan := pager.plan()) is not None:
            for found in await self._run(plan):
                yield found

    async def instruments(self) -> list[str]:
        """Return the names of all instruments."""
        return await self._run(self._ask.instruments())

    async def history(self, instrument: str, *, limit: int = 500) -> list[Quote]:
        """Return the last quotes of an instrument, oldest first."""
        return await self._run(self._ask.history(instrument, limit=limit))

    async def forecast(self, instrument: str) -> Forecast:
        """Return what was forecast of an instrument."""
        return await self._run(self._ask.forecast(instrument))

    async def schedule(self, instrument: str) -> Schedule:
        """Return the margins of an instrument with the time in which they hold."""
        return await self._run(self._ask.schedule(instrument))

    async def simulate(self, positions: Mapping[str, float]) -> Simulation:
        """Return the margin of signed notional amounts by instrument."""
        return await self._run(self._ask.simulate(positions))

    # ------------------------------------------------------------ what changes something

    async def observations(
        self, observations: Sequence[Observation], *, idempotency_key: str | None = None
    ) -> list[Receipt]:
        """Hand in observations; returns when those accepted are on the service's disk.

        Parameters
        ----------
        idempotency_key : str, optional
            Made here if not given. After :class:`.UnreachableError`, which carries it, give it
            again with the same observations: they are taken once.
        """
        plan = self._ask.observations(observations, idempotency_key=idempotency_key)
        return await self._run(plan)

    async def command(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Tell the service to activate, roll back, shadow, pause or resume."""
        return await self._run(
            self._ask.command(name, arguments or {}, idempotency_key=idempotency_key)
        )

    # ------------------------------------------------------------ updates, audit, health

    async def update(self, instrument: str, *, wait_s: float = 0.0) -> SignedUpdate:
        """Return the last signed update of an instrument; see :func:`.verified_message`.

        With `wait_s`, up to so many seconds pass until there is one that this client has not
        returned yet; the service may answer earlier, with the same again.
        """
        return await self._run(self._ask.update(instrument, wait_s=wait_s))

    async def update_batch(self) -> dict[str, Any]:
        """Return the last Merkle batch with its proofs, as plain JSON."""
        return await self._run(self._ask.update_batch())

    async def audit(self, *, after: int = 0, page: int = 500) -> AsyncIterator[AuditEntry]:
        """Yield audit entries above a sequence, oldest first, up to the newest."""
        pager = AuditPager(self._ask, after=after, page=page)
        while (plan := pager.plan()) is not None:
            for found in await self._run(plan):
                yield found

    async def health(self) -> Health:
        """Return whether the service is ready, and why not."""
        return await self._run(self._ask.health())

    # ------------------------------------------------------------ streams

    def stream(
        self,
        instruments: Collection[str] | None = None,
        *,
        transport: Transport = Transport.SSE,
        settings: StreamSettings | None = None,
    ) -> "AsyncStream":
        """Return a stream of some instruments or of all; iterate over it inside ``with``."""
        core = StreamCore(self._ask.exchange, instruments, settings=settings or StreamSettings())
        return AsyncStream(core, self._http, Transport(transport), self._tls)

    async def _run(self, plan: Plan[T]) -> T:
        reply: Reply = None
        try:
            while True:
                effect = plan.send(reply)
                if isinstance(effect, Wait):
                    await asyncio.sleep(effect.seconds)
                    reply = None
                else:
                    reply = await self._attempt(effect)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _attempt(self, attempt: Attempt) -> Answer | httpx.RequestError:
        start = time.monotonic()
        request = attempt.request
        request.extensions["timeout"] = httpx.Timeout(attempt.timeout_s).as_dict()
        try:
            async with asyncio.timeout(attempt.timeout_s):
                response = await self._http.send(request)
        except TimeoutError:
            return httpx.ReadTimeout("the answer took too long", request=request)
        except httpx.RequestError as error:
            return error
        elapsed_s = time.monotonic() - start
        return Answer(response.status_code, response.headers, response.content, elapsed_s)


class AsyncStream:
    """Events of a subscription, over as many connections as it takes; made by the client."""

    def __init__(
        self,
        core: StreamCore,
        http: httpx.AsyncClient,
        transport: Transport,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._core = core
        self._http = http
        self._transport = transport
        self._tls = tls
        self._events: AsyncGenerator[StreamEvent] | None = None
        self._closed = False

    @property
    def quotes(self) -> Mapping[str, Quote]:
        """Newest quotes by instrument; what they were when the connection was lost, if it is."""
        return self._core.quotes

    @property
    def connected(self) -> bool:
        """Whether events come."""
        return self._core.connected

    async def __aenter__(self) -> "AsyncStream":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        if self._events is not None:
            await self._events.aclose()

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        """Yield events until the stream is left; a second loop goes on where the first ended."""
        if self._events is None:
            self._events = self._run()
        return self._events

    async def _run(self) -> AsyncGenerator[StreamEvent]:
        while not self._closed:
            try:
                async with self._open() as frames:
                    async for frame in frames:
                        for event in self._core.receive(frame):
                            yield event
            except Lost as error:
                told = self._core.lost(error)
                yield told
                await asyncio.sleep(told.wait_s)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AsyncIterator[bytes | str | None]]:
        if self._transport is Transport.WEBSOCKET:
            address, headers = self._core.websocket_target()
            options = websocket_options(self._core.settings)
            try:
                socket = await connect(
                    address, ssl=self._tls, additional_headers=headers, **options
                )
            except (OSError, WebSocketException) as error:
                raise not_opened(error) from error
            async with socket:
                yield self._socket_frames(socket)
            return
        try:
            response = await self._http.send(self._core.events_request(), stream=True)
        except httpx.RequestError as error:
            raise Lost(f"could not connect: {type(error).__name__} {error}".rstrip()) from error
        try:
            if response.status_code != 200:
                raise refused(response.status_code, response.headers, await response.aread())
            must_be_stream(response.headers)
            yield self._sent_frames(response)
        finally:
            await response.aclose()

    async def _sent_frames(self, response: httpx.Response) -> AsyncIterator[bytes | None]:
        reader = EventReader()
        try:
            async for chunk in response.aiter_bytes():
                for event in reader.feed(chunk):
                    yield event.data or None
        except httpx.RequestError as error:
            raise Lost(f"connection lost: {type(error).__name__} {error}".rstrip()) from error
        raise Lost("the service ended the stream", wait_s=(reader.retry_ms or 0) / 1e3)

    async def _socket_frames(self, socket: ClientConnection) -> AsyncIterator[bytes | str]:
        silence_s = self._core.settings.silence_s
        try:
            await socket.send(self._core.subscribe_message())
            while True:
                async with asyncio.timeout(silence_s):
                    frame = await socket.recv()
                yield frame
        except TimeoutError:
            raise Lost(f"nothing came for {silence_s:g} s") from None
        except ConnectionClosed as error:
            raise cut(error) from error
