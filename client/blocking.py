"""The client that blocks."""

import random
import ssl
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import httpx
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

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


class Client:
    """A service, from a program that waits for its answers. Threads may share one.

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
    transport : httpx.BaseTransport, optional
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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._tls = tls
        self._ask = opened(address, credentials=credentials, retry=retry, rng=rng)
        self._http = httpx.Client(
            transport=transport, follow_redirects=False, verify=trust(self._ask, tls)
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give connections back."""
        self._http.close()

    # ------------------------------------------------------------ margins

    def margin(
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
        return self._run(self._ask.margin(instrument, Freshness(max_age_s=max_age_s, allow=allow)))

    def margins(
        self,
        instruments: Collection[str] | None = None,
        *,
        max_age_s: float | None = None,
        allow: Collection[str] = TRUSTED,
        page: int = 500,
    ) -> Iterator[Quote]:
        """Yield the margins of some instruments or of all, page by page, checked as above."""
        freshness = Freshness(max_age_s=max_age_s, allow=allow)
        pager = QuotePager(self._ask, instruments, freshness, page=page)
        while (plan := pager.plan()) is not None:
            yield from self._run(plan)

    def instruments(self) -> list[str]:
        """Return the names of all instruments."""
        return self._run(self._ask.instruments())

    def history(self, instrument: str, *, limit: int = 500) -> list[Quote]:
        """Return the last quotes of an instrument, oldest first."""
        return self._run(self._ask.history(instrument, limit=limit))

    def forecast(self, instrument: str) -> Forecast:
        """Return what was forecast of an instrument."""
        return self._run(self._ask.forecast(instrument))

    def schedule(self, instrument: str) -> Schedule:
        """Return the margins of an instrument with the time in which they hold."""
        return self._run(self._ask.schedule(instrument))

    def simulate(self, positions: Mapping[str, float]) -> Simulation:
        """Return the margin of signed notional amounts by instrument."""
        return self._run(self._ask.simulate(positions))

    # ------------------------------------------------------------ what changes something

    def observations(
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
        return self._run(plan)

    def command(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Tell the service to activate, roll back, shadow, pause or resume."""
        return self._run(self._ask.command(name, arguments or {}, idempotency_key=idempotency_key))

    # ------------------------------------------------------------ updates, audit, health

    def update(self, instrument: str, *, wait_s: float = 0.0) -> SignedUpdate:
        """Return the last signed update of an instrument; see :func:`.verified_message`.

        With `wait_s`, up to so many seconds pass until there is one that this client has not
        returned yet; the service may answer earlier, with the same again.
        """
        return self._run(self._ask.update(instrument, wait_s=wait_s))

    def update_batch(self) -> dict[str, Any]:
        """Return the last Merkle batch with its proofs, as plain JSON."""
        return self._run(self._ask.update_batch())

    def audit(self, *, after: int = 0, page: int = 500) -> Iterator[AuditEntry]:
        """Yield audit entries above a sequence, oldest first, up to the newest."""
        pager = AuditPager(self._ask, after=after, page=page)
        while (plan := pager.plan()) is not None:
            yield from self._run(plan)

    def health(self) -> Health:
        """Return whether the service is ready, and why not."""
        return self._run(self._ask.health())

    # ------------------------------------------------------------ streams

    def stream(
        self,
        instruments: Collection[str] | None = None,
        *,
        transport: Transport = Transport.SSE,
        settings: StreamSettings | None = None,
    ) -> "Stream":
        """Return a stream of some instruments or of all; iterate over it inside ``with``."""
        core = StreamCore(self._ask.exchange, instruments, settings=settings or StreamSettings())
        return Stream(core, self._http, Transport(transport), self._tls)

    def _run(self, plan: Plan[T]) -> T:
        reply: Reply = None
        try:
            while True:
                effect = plan.send(reply)
                if isinstance(effect, Wait):
                    time.sleep(effect.seconds)
                    reply = None
                else:
                    reply = self._attempt(effect)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _attempt(self, attempt: Attempt) -> Answer | httpx.RequestError:
        start = time.monotonic()
        request = attempt.request
        request.extensions["timeout"] = httpx.Timeout(attempt.timeout_s).as_dict()
        try:
            response = self._http.send(request, stream=True)
            try:
                chunks = []
                for chunk in response.iter_bytes():
                    chunks.append(chunk)
                    # The time limit of httpx is one for each read, not for all.
                    if time.monotonic() - start > attempt.timeout_s:
                        return httpx.ReadTimeout("the answer took too long", request=request)
            finally:
                response.close()
        except httpx.RequestError as error:
            return error
        elapsed_s = time.monotonic() - start
        return Answer(response.status_code, response.headers, b"".join(chunks), elapsed_s)


class Stream:
    """Events of a subscription, over as many connections as it takes; made by the client."""

    def __init__(
        self,
        core: StreamCore,
        http: httpx.Client,
        transport: Transport,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._core = core
        self._http = http
        self._transport = transport
        self._tls = tls
        self._events: Generator[StreamEvent] | None = None
        self._closed = False

    @property
    def quotes(self) -> Mapping[str, Quote]:
        """Newest quotes by instrument; what they were when the connection was lost, if it is."""
        return self._core.quotes

    @property
    def connected(self) -> bool:
        """Whether events come."""
        return self._core.connected

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        if self._events is not None:
            self._events.close()

    def __iter__(self) -> Iterator[StreamEvent]:
        """Yield events until the stream is left; a second loop goes on where the first ended."""
        if self._events is None:
            self._events = self._run()
        return self._events

    def _run(self) -> Generator[StreamEvent]:
        while not self._closed:
            try:
                with self._open() as frames:
                    for frame in frames:
                        yield from self._core.receive(frame)
            except Lost as error:
                told = self._core.lost(error)
                yield told
                time.sleep(told.wait_s)

    @contextmanager
    def _open(self) -> Iterator[Iterator[bytes | str | None]]:
        if self._transport is Transport.WEBSOCKET:
            address, headers = self._core.websocket_target()
            options = websocket_options(self._core.settings)
            try:
                socket = connect(address, ssl=self._tls, additional_headers=headers, **options)
            except (OSError, WebSocketException) as error:
                raise not_opened(error) from error
            with socket:
                yield self._socket_frames(socket)
            return
        try:
            response = self._http.send(self._core.events_request(), stream=True)
        except httpx.RequestError as error:
            raise Lost(f"could not connect: {type(error).__name__} {error}".rstrip()) from error
        try:
            if response.status_code != 200:
                raise refused(response.status_code, response.headers, response.read())
            must_be_stream(response.headers)
            yield self._sent_frames(response)
        finally:
            response.close()

    def _sent_frames(self, response: httpx.Response) -> Iterator[bytes | None]:
        reader = EventReader()
        try:
            for chunk in response.iter_bytes():
                for event in reader.feed(chunk):
                    yield event.data or None
        except httpx.RequestError as error:
            raise Lost(f"connection lost: {type(error).__name__} {error}".rstrip()) from error
        raise Lost("the service ended the stream", wait_s=(reader.retry_ms or 0) / 1e3)

    def _socket_frames(self, socket: ClientConnection) -> Iterator[bytes | str]:
        silence_s = self._core.settings.silence_s
        try:
            socket.send(self._core.subscribe_message())
            while True:
                yield socket.recv(timeout=silence_s)
        except TimeoutError:
            raise Lost(f"nothing came for {silence_s:g} s") from None
        except ConnectionClosed as error:
            raise cut(error) from error
