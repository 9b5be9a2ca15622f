"""The rooms put together: one service, and everything that asks it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from starlette.routing import BaseRoute

from ... import __version__
from ...errors import ForemarginError, InputError
from ..http import Additions, Gate, make_app
from ..journal import Snapshot, Snapshots
from ..monitor import (
    CONTENT_TYPE,
    Metrics,
    Monitor,
    Notification,
    Sink,
    Step,
    Tracer,
    make_tracer,
    watch,
)
from ..observations import Observation
from ..page import page_routes
from ..ports import AuditEntry, Clock, Outcome, Receipt
from ..publish import Domain, Ledger, LocalSigner, Market, SignedBatch
from ..quote import Quote
from ..security import Authenticator, KeyStore
from ..service import CalculatorHost, Service, SystemClock
from ..stream import Hub, make_stream_routes
from ..table import QuoteTable
from .backlog import Backlog
from .correlations import Array, LiveScenarios
from .feeds import Feed
from .inferring import Infer, inference_work
from .publishing import PUBLISHED, Publishing
from .remembering import Remembering
from .settings import PublishSettings, Settings
from .tracing import Trail, make_core, make_publisher

_logger = logging.getLogger(__name__)
_FOLLOW_S = 5.0
_KEEP_S = 300
_USEFUL = (Outcome.ACCEPTED, Outcome.OUTLIER)


@dataclass(frozen=True, kw_only=True, eq=False)
class Deployment:
    """What is served.

    Attributes
    ----------
    instruments : tuple of str
        Names.
    calculator : CalculatorHost
        Started and stopped with the service.
    bundles : store of bundles, or None
        What ``activate``, ``rollback`` and ``shadow`` ask.
    routes : tuple of routes
        The Open Inference Protocol of the bundle's network.
    infer : callable or None
        What those routes answer with, for the API to ask without them.
    correlation : array, shape (m, m), or None
        Of the first instruments, for what-if; None begins with 0.5 for every pair.
    follow : callable or None
        Looks for a new champion, serves it, and returns whether there was one; may read files.
    """

    instruments: tuple[str, ...]
    calculator: CalculatorHost
    bundles: Any = None
    routes: tuple[BaseRoute, ...] = ()
    infer: Infer | None = None
    correlation: Array | None = None
    follow: Callable[[], bool] | None = None


class Application:
    """A service with its API, streams, page, signatures and monitoring.

    Parameters
    ----------
    settings : Settings
        Of all rooms.
    deployment : Deployment
        What is served.
    clock : Clock, optional
        The machine's, unless data of another time are replayed.

    Attributes
    ----------
    service : Service
        The service itself.
    app : Gate
        ASGI application; its lifespan starts and stops everything.

    Raises
    ------
    InputError
        If a file that the settings name cannot be used.
    """

    def __init__(
        self, settings: Settings, deployment: Deployment, *, clock: Clock | None = None
    ) -> None:
        self._settings, self._clock = settings, clock or SystemClock()
        self._folder = Path(settings.state_dir)
        self.tracer = _tracer(settings)
        # Without a tracer nothing is watched: what is not traced costs nothing.
        self._trail = (
            Trail(self.tracer, worked=lambda: deployment.calculator.worked)
            if settings.trace_file
            else None
        )
        self.service = Service(
            self._folder,
            deployment.instruments,
            calculator=deployment.calculator,
            settings=settings,
            core=make_core(deployment.instruments, self._trail, fallback=settings.fallback),
            bundles=deployment.bundles,
            clock=self._clock,
        )
        table = self.service.table
        self.metrics = Metrics(self._clock, version=__version__)
        self.monitor = Monitor(self.metrics, clock=self._clock, settings=settings.monitor)
        self.hub = Hub(self._clock)
        self.scenarios = LiveScenarios(
            deployment.instruments, table, correlation=deployment.correlation
        )
        # Read at once: a key that cannot be used must be said before anything starts.
        publish = settings.publish
        self._signer = None if publish is None else LocalSigner.from_file(Path(publish.key_file))
        self.publishing: Publishing | None = None
        self._ledgers = Snapshots(self._folder / "ledger")
        self._deployment = deployment
        self._watched = Watched(self)
        self.backlog = Backlog(self._signing)
        self._listen()
        self._remembering = Remembering(
            self.monitor,
            service=self.service,
            backlog=self.backlog,
            folder=self._folder / "monitor",
        )
        self.app = self._make_app()

    def _listen(self) -> None:
        for listener in (self.hub.publish, self.scenarios.quoted):
            self.service.subscribe(listener)
        self.service.follow(lambda taken: self.backlog.put(self.monitor.observed, taken))
        self.service.subscribe(lambda quotes: self.backlog.put(self.monitor.quoted, quotes))

    def let_go(self) -> None:
        """End what holds connections open: streams, and those who wait for updates."""
        self.hub.close()
        if self.publishing is not None:
            self.publishing.close()

    def _make_app(self) -> Gate:
        settings = self._settings
        keys = KeyStore(Path(settings.keys_file)) if settings.keys_file else None
        return make_app(
            self._watched,
            clock=self._clock,
            scenarios=self.scenarios,
            authenticator=Authenticator(keys, clock=self._clock),
            settings=settings.http,
            state_dir=self._folder / "idempotency",
            additions=self._additions(),
        )

    def _additions(self) -> Additions:
        infer = self._deployment.infer
        return Additions(
            updates=_Updates(self),
            metrics=lambda: (self.metrics.render(), CONTENT_TYPE),
            observer=self.metrics.request,
            routes=self._routes(self._deployment.routes),
            works=() if infer is None else (inference_work(infer),),
            lifespan=self._lifespan,
        )

    def _routes(self, inference: Sequence[BaseRoute]) -> list[BaseRoute]:
        # Who may read was asked at the gate, which is in front of these routes as well.
        return [
            *make_stream_routes(self.hub, authorise=lambda connection: None),
            *page_routes(self.monitor, clock=self._clock),
            *inference,
        ]

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        await self.service.start()
        self.hub.publish(row.quote for row in self.service.table.rows.values())
        publish, signer = self._settings.publish, self._signer
        if publish is not None and signer is not None:
            self.publishing = await asyncio.to_thread(self._publishing, publish, signer)
            self.service.subscribe(self.publishing.quoted)
            self.service.accompany(self.publishing)
        sink, sender = self._sink()
        work: list[Coroutine[Any, Any, None]] = [
            watch(self.monitor, sink, failed=_could_not_watch),
            self._look(),
            self._remember(),
        ]
        if sender is not None:
            work.append(sender)
        if self.publishing is not None:
            work.append(self.publishing.run())
        if self._deployment.follow is not None:
            work.append(self._follow(self._deployment.follow))
        work += [Feed(one, accept=self._from_feed).run() for one in self._settings.feeds]
        tasks = [asyncio.create_task(part) for part in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._keep_ledger()
            await self._remembering.close()
            self.let_go()
            await self.service.stop()
            await asyncio.to_thread(self.tracer.close)

    def _publishing(self, settings: PublishSettings, signer: LocalSigner) -> Publishing:
        """Take up the ledger where the journal left it."""
        domain = Domain(
            name=settings.name,
            version=settings.version,
            chain_id=settings.chain_id,
            contract=settings.contract,
        )
        kept, after = self._ledgers.latest(), 0
        ledger = Ledger(domain, epoch=settings.epoch)
        if kept is not None:
            ledger, after = Ledger.restored(domain, kept.content), kept.sequence
        for record in self.service.payloads(PUBLISHED, after=after):
            ledger.replay(record)
        markets = [
            Market(instrument=name, limits=settings.limits, rule=settings.rule)
            for name in self._deployment.instruments
        ]
        return Publishing(
            make_publisher(ledger, markets, signer, trail=self._trail),
            table=self.service.table,
            write=self._record,
            clock=self._clock,
            signed=self._measure,
            look_s=settings.look_s,
        )

    def _signing(self) -> bool:
        return self.publishing is not None and self.publishing.busy

    async def _from_feed(self, observations: Sequence[Observation]) -> list[Receipt]:
        return await self._watched.accept(observations, by="feed")

    async def _record(self, record: bytes) -> int:
        return await self.service.note(PUBLISHED, msgspec.Raw(record))

    def _measure(self, batch: SignedBatch) -> None:
        rows, now = self.service.table.rows, self._clock.now()
        for name in batch.updates:
            self.metrics.published((now - rows[name].quote.quoted_at) / 1e9)

    def _keep_ledger(self) -> None:
        """Spare the next start the records up to now."""
        if self.publishing is None:
            return
        try:
            content = self.publishing.snapshot()
        except InputError:  # a plan is open: its record is in the journal, or will be asked again
            return
        last = self.service.core.last
        digest = self.service.digest_at(last)
        self._ledgers.save(Snapshot(sequence=last, digest=digest, content=content))

    async def _look(self) -> None:
        """Tell the monitor about the breakers; now and then, keep the ledger and what it knows."""
        for second in count(1):
            now = self._clock.now()
            breakers = self.service.core.breakers.items()
            self.monitor.breakers({name: one.state(now).value for name, one in breakers})
            left_out = self.service.core.left_out
            self.monitor.left_out(left_out.count, left_out.told(), at=left_out.at)
            if second % _KEEP_S == 0:
                self._keep_ledger()
                self._remembering.keep()
            await asyncio.sleep(1.0)

    async def _remember(self) -> None:
        """Let the monitor take up what it knew, then all that happens."""
        await self._remembering.recall()
        await self.backlog.run()

    async def _follow(self, follow: Callable[[], bool]) -> None:
        """Serve every new champion of a registered model."""
        while True:
            try:
                if await asyncio.to_thread(follow):
                    await self._deployment.calculator.reload()
            except ForemarginError as error:
                _logger.warning("the champion is not served: %s", error)
            await asyncio.sleep(_FOLLOW_S)

    def _sink(self) -> tuple[Sink, Coroutine[Any, Any, None] | None]:
        webhook = self._settings.webhook
        if webhook is None:
            return _Silent(), None
        from .alerting import WebhookSink  # httpx takes a tenth of a second to load

        sink = WebhookSink(webhook, clock=self._clock, tracer=self.tracer)
        return sink, sink.sender.run()


def _could_not_watch(error: Exception) -> None:
    _logger.error("an evaluation of the monitor or its sink failed", exc_info=error)


def _tracer(settings: Settings) -> Tracer:
    if not settings.trace_file:
        return make_tracer(share=settings.trace_share)
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    lines = Path(settings.trace_file).open("a")  # noqa: SIM115  open as long as the service
    exporter = ConsoleSpanExporter(
        out=lines, formatter=lambda span: f"{span.to_json(indent=None)}\n"
    )
    return make_tracer(
        BatchSpanProcessor(exporter), version=__version__, share=settings.trace_share
    )


class _Silent:
    """Alerts are on the page and in the metrics; nobody else is told."""

    async def send(self, notification: Notification) -> None:
        """Do nothing."""


class _Updates:
    """Signed updates, from when there is a publisher on."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def latest(self, instrument: str) -> bytes | None:
        """Return the last of an instrument."""
        publishing = self._application.publishing
        return None if publishing is None else publishing.latest(instrument)

    def batch(self) -> bytes | None:
        """Return the last batch."""
        publishing = self._application.publishing
        return None if publishing is None else publishing.batch()

    def changed(self) -> asyncio.Future[None] | None:
        """Return what is done at the next one."""
        publishing = self._application.publishing
        return None if publishing is None else publishing.changed()


class Watched:
    """The service as others ask it; what it takes is measured, and told to whoever follows it."""

    def __init__(self, application: Application) -> None:
        self._application, self._service = application, application.service

    @property
    def table(self) -> QuoteTable:
        """Last quotes."""
        return self._service.table

    async def accept(self, observations: Sequence[Observation], *, by: str) -> list[Receipt]:
        """Take observations; returns when those let in are on the disk."""
        application, started = self._application, time.perf_counter()
        with application.tracer.span(Step.ACCEPT, observations=len(observations)):
            receipts = await self._service.accept(observations, by=by)
        application.metrics.synced(time.perf_counter() - started)
        application.metrics.received(receipts)
        taken = [
            one
            for one, receipt in zip(observations, receipts, strict=True)
            if receipt.outcome in _USEFUL
        ]
        application.scenarios.observed(taken)
        return receipts

    def audit(self, *, after: int, limit: int) -> Sequence[AuditEntry]:
        """Return entries of the journal."""
        return self._service.audit(after=after, limit=limit)

    def history(self, instrument: str, *, limit: int) -> Sequence[Quote]:
        """Return the last quotes of an instrument."""
        return self._service.history(instrument, limit=limit)

    def health(self) -> Mapping[str, Any]:
        """Return plain JSON; ``correlations`` says what what-if began with."""
        return {**self._service.health(), "correlations": self._application.scenarios.began_with}

    async def command(self, name: str, arguments: Mapping[str, Any], *, by: str) -> dict[str, Any]:
        """Carry out a command."""
        return await self._service.command(name, arguments, by=by)
