"""Puts the API together: the gate, hot routes, and the documented routes behind both.

FastAPI takes half of the time that a start takes. The documented routes are made in a thread while
hot routes answer already; whoever asks them earlier waits.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from ..ports import Clock, ScenarioPort, ServicePort
from ..security import Authenticator, RateLimiter
from ..security.limits import App
from .context import Additions, Context
from .door import Door
from .gate import Gate
from .hot import HotRead, HotTable, HotWork
from .idempotency import Ledger
from .late import Late
from .once import EntryFile, Once
from .reads import Reads
from .settings import HttpSettings
from .simulate import simulator


def make_app(
    service: ServicePort,
    *,
    clock: Clock,
    scenarios: ScenarioPort | None = None,
    authenticator: Authenticator | None = None,
    additions: Additions | None = None,
    settings: HttpSettings | None = None,
    state_dir: Path | None = None,
    limiter: RateLimiter | None = None,
) -> Gate:
    """Return the ASGI application of the API.

    Parameters
    ----------
    service : ServicePort
        What is asked.
    clock : Clock
        Wall clock.
    scenarios : ScenarioPort, optional
        For what-if; without, it is not offered.
    authenticator : Authenticator, optional
        Without, there are no keys: reads and what-if from this machine only.
    additions : Additions, optional
        Of other rooms.
    settings : HttpSettings, optional
        Limits; the usual ones if not given.
    state_dir : Path, optional
        Where Idempotency-Keys are kept; without, a restart forgets them.
    limiter : RateLimiter, optional
        A new one if not given.

    Raises
    ------
    InputError
        If what `state_dir` keeps is damaged.
    """
    settings = HttpSettings() if settings is None else settings
    additions = Additions() if additions is None else additions
    authenticator = Authenticator(None, clock=clock) if authenticator is None else authenticator
    context = Context(
        service=service,
        clock=clock,
        settings=settings,
        additions=additions,
        reads=Reads(service.table, clock=clock),
        simulate=simulator(scenarios, most=settings.positions),
        observations=_once("observations", clock, settings, state_dir),
        commands=_once("commands", clock, settings, state_dir),
    )
    limiter = RateLimiter() if limiter is None else limiter
    door = Door(authenticator, limiter=limiter, limits=settings.rates)
    late = Late(lambda: _documented(context, has_keys=authenticator.has_keys))
    return Gate(
        late,
        lifespan=lambda: _lifespan(context, late),
        door=door,
        hot=_hot(context, door),
        settings=settings,
        observer=additions.observer,
    )


def _documented(context: Context, *, has_keys: bool) -> App:
    from .documented import documented  # FastAPI

    return documented(context, has_keys=has_keys)


@asynccontextmanager
async def _lifespan(context: Context, late: Late) -> AsyncIterator[None]:
    lifespan = context.additions.lifespan
    around: AbstractAsyncContextManager[None] = nullcontext() if lifespan is None else lifespan()
    try:
        async with around:
            making = late.begin()
            yield
            await making
    finally:
        await context.observations.aclose()
        await context.commands.aclose()


def _hot(context: Context, door: Door) -> HotTable:
    reads, simulate, settings = context.reads, context.simulate, context.settings
    return HotTable(
        [
            HotRead(template="/v1/margins/{instrument}", ready=reads.ready_margin),
            HotRead(template="/v1/forecasts/{instrument}", ready=reads.ready_forecast),
        ],
        [
            HotWork(
                template="/v1/portfolios:simulate",
                answer=lambda name, body: simulate(body),
                typed=True,
            ),
            *context.additions.works,
        ],
        door=door,
        clock=context.clock,
        limits=settings.body,
        timeout_s=settings.timeout_s,
        observer=context.additions.observer,
    )


def _once(kind: str, clock: Clock, settings: HttpSettings, folder: Path | None) -> Once:
    # The service itself knows observations that it saw, so one whose end was lost may come again,
    # and its key need not be forced to the disk. A rollback that comes twice would go back twice.
    repeatable = kind == "observations"
    ledger = Ledger(keep_s=settings.idempotency_s, repeatable=repeatable)
    file = None
    if folder is not None:
        file = EntryFile(folder / f"idempotency-{kind}.jsonl", durable=not repeatable)
    return Once(ledger, clock=clock, file=file, begins=not repeatable)
