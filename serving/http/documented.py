"""The documented routes, and those of other rooms, on FastAPI."""

from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .context import Context
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
from .write_routes import WriteRoutes

_DESCRIPTION = """Margins per instrument, what they rest on, and how old that is.

Times are ns since 1970-01-01T00:00Z, margins basis points of notional, volatilities decimal over
the horizon. Errors are `application/problem+json` with a stable `type`."""


def documented(context: Context, *, has_keys: bool) -> FastAPI:
    """Return the application of all routes; the document says who needs a key."""
    app = FastAPI(
        title="foremargin",
        version="1",
        summary="Margin that is set before the market moves",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
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
