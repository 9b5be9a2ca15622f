"""A small honest service in memory, and clients that reach the API without a socket."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.serving.http import Additions, Gate, HttpSettings, make_app
from foremargin.serving.http.scenarios import forecast_scenarios
from foremargin.serving.http.whatif import TableScenarios
from foremargin.serving.observations import Observation
from foremargin.serving.ports import AuditEntry, Outcome, Receipt
from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status
from foremargin.serving.security import Authenticator, KeyStore, Rate, RateLimiter, Scope
from foremargin.serving.security import create_key as create
from foremargin.serving.table import QuoteTable

from .wires import Server

START = 1_700_000_000_000_000_000
SECOND = 10**9


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> int:
        return self.time

    def step(self, seconds: float) -> None:
        self.time += int(seconds * SECOND)


def make_quote(name: str, *, sequence: int = 1, bps: int = 1_000, fixed: bool = False) -> Quote:
    side = SideMargin(
        initial_margin_bps=bps,
        maintenance_margin_bps=bps * 4 // 5,
        components={"volatility": bps - 0.5, "rounding": 0.5},
    )
    calculation = Calculation(
        instrument=name,
        basis=Basis.LINEAR,
        observed_at=START,
        long=side,
        short=side,
        horizon_periods=24,
        horizon_s=86_400,
        tail_probability=0.01,
        sigma=0.03,
        sigma_lower=0.02,
        sigma_upper=0.05,
        regime="calm",
    )
    return Quote(
        instrument=name,
        sequence=sequence,
        status=Status.FALLBACK if fixed else Status.OK,
        basis=Basis.FIXED if fixed else Basis.LINEAR,
        reason="nothing was computed yet" if fixed else "",
        observed_at=0 if fixed else START,
        quoted_at=START,
        valid_until=START + 3_600 * SECOND,
        long=side,
        short=side,
        calculation=None if fixed else calculation,
    )


class Memory:
    """A ServicePort in memory: remembers observations, refuses what it cannot do."""

    def __init__(self, quotes: Sequence[Quote]) -> None:
        self.table = QuoteTable()
        self.table.write(quotes)
        self.quotes = {quote.instrument: [quote] for quote in quotes}
        self.entries: list[AuditEntry] = []
        self.seen: set[str] = set()
        self.ready = True
        self.paused = False
        self.done: list[str] = []
        self.waiting = False
        self.hold: asyncio.Event | None = None
        self.broken: Exception | None = None

    async def accept(self, observations: Sequence[Observation], *, by: str) -> list[Receipt]:
        if self.hold is not None:
            self.waiting = True
            await self.hold.wait()
        if self.broken is not None:
            raise self.broken
        return [self._receipt(observation, by) for observation in observations]

    def _receipt(self, observation: Observation, by: str) -> Receipt:
        if observation.instrument not in self.quotes:
            return Receipt(outcome=Outcome.UNKNOWN_INSTRUMENT, reason="There is no such one.")
        if repr(observation) in self.seen:
            return Receipt(outcome=Outcome.DUPLICATE)
        self.seen.add(repr(observation))
        entry = self._write("observations", by, {"instrument": observation.instrument})
        return Receipt(outcome=Outcome.ACCEPTED, sequence=entry.sequence)

    def audit(self, *, after: int, limit: int) -> Sequence[AuditEntry]:
        return [entry for entry in self.entries if entry.sequence > after][:limit]

    def history(self, instrument: str, *, limit: int) -> Sequence[Quote]:
        return self.quotes[instrument][-limit:]

    def health(self) -> Mapping[str, Any]:
        reasons = [] if self.ready else ["the calculator is gone"]
        return {"ready": self.ready, "reasons": reasons, "bundle": "b7"}

    async def command(self, name: str, arguments: Mapping[str, Any], *, by: str) -> dict[str, Any]:
        if self.hold is not None:
            self.waiting = True
            await self.hold.wait()
        if self.broken is not None:
            raise self.broken
        if name in ("pause", "resume") and self.paused == (name == "pause"):
            raise InputError(f"{name} must change something, it is so already")
        self.paused = name == "pause"
        self.done.append(name)
        self._write("command", by, {"name": name, "arguments": dict(arguments)})
        return {"done": name, "times": len(self.done)}

    def _write(self, kind: str, by: str, what: dict[str, Any]) -> AuditEntry:
        number = len(self.entries) + 1
        entry = AuditEntry(
            sequence=number, time=START, kind=kind, by=by, what=what, digest=f"{number:064x}"
        )
        self.entries.append(entry)
        return entry


class Updates:
    """What a publisher would have signed."""

    def __init__(self) -> None:
        self.signed: dict[str, bytes] = {"BTC-PERP": b'{"market":"BTC-PERP"}'}
        self.closed = False
        self._changed: asyncio.Future[None] | None = None

    def latest(self, instrument: str) -> bytes | None:
        return self.signed.get(instrument)

    def batch(self) -> bytes | None:
        return b'{"root":"0x00"}'

    def changed(self) -> asyncio.Future[None] | None:
        if self.closed:
            return None
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    def sign(self, instrument: str, body: bytes) -> None:
        self.signed[instrument] = body
        self.tell()

    def tell(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set_result(None)


@pytest.fixture
def updates() -> Updates:
    return Updates()


NAMES = ("BTC-PERP", "BTC/USDT:USDT", "ETH-PERP", "SOL-PERP")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service() -> Memory:
    quotes = [make_quote(name, bps=1_000 + 100 * i) for i, name in enumerate(NAMES)]
    return Memory([*quotes, make_quote("NEW-PERP", bps=5_000, fixed=True)])


@pytest.fixture
def quote_of() -> Callable[..., Quote]:
    return make_quote


@pytest.fixture
def scenarios(service: Memory) -> TableScenarios:
    covariance = 0.03**2 * (0.6 + 0.4 * np.eye(len(NAMES)))
    return TableScenarios(forecast_scenarios(NAMES, covariance), service.table)


@pytest.fixture
def tokens(tmp_path: Any, clock: Clock) -> dict[str, str]:
    """Tokens of one key per scope, ``all`` and ``signs`` (publish and admin, must sign)."""
    path, rate = tmp_path / "keys.json", Rate(1e6, 1_000_000)
    made = {scope.value: create(path, [scope], now=clock.now(), rate=rate)[1] for scope in Scope}
    made["all"] = create(path, list(Scope), now=clock.now(), rate=rate)[1]
    made["signs"] = create(
        path, [Scope.PUBLISH, Scope.ADMIN, Scope.READ], now=clock.now(), rate=rate, signs=True
    )[1]
    made["slow"] = create(path, [Scope.READ], now=clock.now(), rate=Rate(1.0, 3))[1]
    made["file"] = str(path)
    return made


@pytest.fixture
def build(
    service: Memory, scenarios: TableScenarios, clock: Clock, tokens: dict[str, str], tmp_path: Any
) -> Callable[..., Gate]:
    """Return a function that makes the application, with keys unless told otherwise."""

    def make(
        *,
        keys: bool = True,
        settings: HttpSettings | None = None,
        additions: Additions | None = None,
        state: bool = False,
        limiter: RateLimiter | None = None,
    ) -> Gate:
        store = KeyStore(tmp_path / "keys.json") if keys else None
        app = make_app(
            service,
            clock=clock,
            scenarios=scenarios,
            authenticator=Authenticator(store, clock=clock),
            additions=additions or Additions(updates=Updates(), metrics=_metrics),
            settings=settings,
            state_dir=tmp_path / "state" if state else None,
            limiter=RateLimiter(now=clock.now) if limiter is None else limiter,
        )
        app._app.make()
        return app

    return make


def _metrics() -> tuple[bytes, str]:
    return b"up 1\n", "text/plain; version=0.0.4"


class Caller:
    """Sends requests to an application, one loop for all of them."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner

    def __call__(
        self,
        app: Gate,
        method: str,
        url: str,
        *,
        token: str = "",
        address: str = "127.0.0.1",
        **rest: Any,
    ) -> httpx.Response:
        return self.runner.run(self.send(app, method, url, token=token, address=address, **rest))

    async def send(
        self,
        app: Gate,
        method: str,
        url: str,
        *,
        token: str = "",
        address: str = "127.0.0.1",
        **rest: Any,
    ) -> httpx.Response:
        headers = dict(rest.pop("headers", {}))
        if token:
            headers["authorization"] = f"Bearer {token}"
        transport = httpx.ASGITransport(app, client=(address, 1234))
        base = rest.pop("base", "http://127.0.0.1:8750")
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, url, headers=headers, **rest)


@pytest.fixture
def call() -> Iterator[Caller]:
    with asyncio.Runner() as runner:
        yield Caller(runner)


@pytest.fixture
def run():
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def both(build):
    """Return a function that makes the hot way and the long way of the same service."""

    def make(**rest):
        long = msgspec.structs.replace(rest.pop("settings", HttpSettings()), fast_path=False)
        quick = msgspec.structs.replace(long, fast_path=True)
        return (
            Server(build(settings=quick, **rest)),
            Server(build(settings=long, **rest), hot=False),
        )

    return make
