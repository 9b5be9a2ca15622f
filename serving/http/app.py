"""Puts the API together: documented routes, what other rooms add, and the gate before both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..ports import Clock, ScenarioPort, ServicePort
from ..security import Authenticator, RateLimiter
from .context import Additions, Context
from .door import Door
from .gate import Gate
from .hot import HotRead, HotTable, HotWork
from .idempotency import Ledger
from .once import EntryFile, Once
from .openapi import document
from .operation_routes import OperationRoutes
from .problems import (
    INTERNAL,
    INVALID_PARAMETER,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    PROBLEMS,
    UNAVAILABLE,
    Problem,
    ProblemError,
    problem_answer,
)
from .read_routes import ReadRoutes
from .reads import Reads
from .settings import HttpSettings
from .simulate import simulator
from .write_routes import WriteRoutes

_DESCRIPTION = """Margins per instrument, what they rest on, and how old that is.

Times are ns since 1970-01-01T00:00Z, margins basis points of notional, volatilities decimal over
the horizon. Errors are `application/problem+json` with a stable `type`."""


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
    return Gate(
        _fastapi(context, has_keys=authenticator.has_keys),
        door=door,
        hot=_hot(context, door),
        settings=settings,
        observer=additions.observer,
    )


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


def _fastapi(context: Context, *, has_keys: bool) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            if context.additions.lifespan is None:
                yield
            else:
                async with context.additions.lifespan(app):
                    yield
        finally:
            await context.observations.aclose()
            await context.commands.aclose()

    app = FastAPI(
        title="foremargin",
        version="1",
        summary="Margin that is set before the market moves",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    for group in (ReadRoutes(context), WriteRoutes(context), OperationRoutes(context)):
        app.include_router(group.router())
    _add_document(app, has_keys=has_keys)
    app.router.routes.extend(context.additions.routes)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)
    return app


def _add_document(app: FastAPI, *, has_keys: bool) -> None:
    body = b""

    async def openapi(_: Request) -> Response:
        nonlocal body
        body = body or msgspec.json.encode(app.openapi())
        return Response(body, media_type="application/json")

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app, has_keys=has_keys)
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]  # as FastAPI documents it
    app.add_route("/openapi.json", openapi, include_in_schema=False)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.answer().response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {"in": str(one["loc"][0]), "name": str(one["loc"][-1]), "message": str(one["msg"])}
        for one in error.errors()
    ]
    said = "; ".join(f"{one['name']}: {one['message']}" for one in found)
    return problem_answer(INVALID_PARAMETER, f"{said}.", more={"errors": found}).response()


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = _problem_of(error.status_code)
    headers = tuple(
        (name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()
    )
    return problem_answer(problem, f"{error.detail}.", headers=headers).response()


async def _internal(_: Request, error: Exception) -> Response:
    del error  # the gate writes it down
    return problem_answer(INTERNAL, "The service made an error; it was written down.").response()


def _problem_of(status: int) -> Problem:
    usual = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED, 500: INTERNAL, 503: UNAVAILABLE}
    if status in usual:
        return usual[status]
    same = [problem for problem in PROBLEMS if problem.status == status]
    return same[0] if len(same) == 1 else Problem("other", status, "Refused", "See detail")
