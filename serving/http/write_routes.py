"""Documented routes that change something, or compute."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from ...errors import InputError
from ..journal import JournalError
from ..observations import decode_observations
from ..security import Principal
from .answers import Answer
from .context import Context
from .idempotency import fingerprint
from .once import Once, read_key
from .openapi import body_of, content, problems
from .problems import (
    BODY_TOO_DEEP,
    BODY_TOO_LARGE,
    COMMAND_REFUSED,
    FORBIDDEN,
    IDEMPOTENCY_KEY_IN_FLIGHT,
    IDEMPOTENCY_KEY_MISSING,
    IDEMPOTENCY_KEY_REUSED,
    INVALID_BODY,
    INVALID_PARAMETER,
    MALFORMED_BODY,
    NOT_OFFERED,
    OUTCOME_UNKNOWN,
    RATE_LIMITED,
    TIMEOUT,
    TOO_MANY_ITEMS,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNKNOWN_COMMAND,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    ProblemError,
)
from .schedules import Receipts

COMMANDS = ("activate", "rollback", "shadow", "pause", "resume")
_encode = msgspec.json.Encoder().encode
_decode_arguments = msgspec.json.Decoder(dict[str, Any]).decode
_USUAL = (
    *(UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED, MALFORMED_BODY, INVALID_BODY, BODY_TOO_LARGE),
    *(BODY_TOO_DEEP, TOO_MANY_ITEMS, UNSUPPORTED_MEDIA_TYPE, UNAVAILABLE, TIMEOUT),
)
_ONCE = (
    *(IDEMPOTENCY_KEY_MISSING, IDEMPOTENCY_KEY_IN_FLIGHT, IDEMPOTENCY_KEY_REUSED),
    OUTCOME_UNKNOWN,
)
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "New for every new request; the same when it is sent again.",
    "schema": {"type": "string", "pattern": "^[!#-\\[\\]-~]{1,128}$"},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
_ANY_OBJECT = {"application/json": {"schema": {"type": "object"}}}


class WriteRoutes:
    """Routes that change something, or compute.

    Parameters
    ----------
    context : Context
        See there.
    """

    def __init__(self, context: Context) -> None:
        self._context, self._service = context, context.service
        self._most = context.settings.observations

    def router(self) -> APIRouter:
        """Return them."""
        router = APIRouter(tags=["write"])
        key = {"parameters": [_KEY]}
        self._add(
            router,
            "/v1/portfolios:simulate",
            self.simulate,
            media=content("Simulation"),
            kinds=(*_USUAL, NOT_OFFERED),
            extra={**body_of("SimulationRequest"), "x-scope": "simulate"},
        )
        self._add(
            router,
            "/v1/observations",
            self.observations,
            media=content("Receipts"),
            kinds=(*_USUAL, *_ONCE),
            extra={**body_of("Observations"), **key, "x-scope": "publish"},
        )
        self._add(
            router,
            "/v1/commands/{name}",
            self.command,
            media=_ANY_OBJECT,
            kinds=(*_USUAL, *_ONCE, UNKNOWN_COMMAND, COMMAND_REFUSED, INVALID_PARAMETER),
            extra={"requestBody": {"content": _ANY_OBJECT}, **key, "x-scope": "admin"},
        )
        return router

    def _add(
        self,
        router: APIRouter,
        path: str,
        endpoint: Callable[..., Awaitable[Response]],
        *,
        media: dict[str, Any],
        kinds: tuple[Problem, ...],
        extra: dict[str, Any],
    ) -> None:
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            response_class=Response,
            responses={200: {"description": "Done", "content": media}, **problems(*kinds)},
            openapi_extra=extra,
            operation_id=endpoint.__name__,
            summary=str(endpoint.__doc__).split("\n")[0],
        )

    async def simulate(self, request: Request) -> Response:
        """Return the margin of a portfolio, with its parts and its worst scenario."""
        return self._context.simulate(await request.body()).response()

    async def observations(self, request: Request) -> Response:
        """Take observations; what is accepted is on the disk when the answer comes."""
        body = await request.body()

        async def work() -> Answer:
            try:
                observations = decode_observations(body)
            except msgspec.ValidationError as error:
                raise ProblemError(INVALID_BODY, f"{error}.") from error
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ProblemError(MALFORMED_BODY, f"{error}.") from error
            if not observations:
                raise ProblemError(INVALID_BODY, "There must be at least one observation.")
            if len(observations) > self._most:
                said = f"At most {self._most} observations, found {len(observations)}."
                raise ProblemError(TOO_MANY_ITEMS, said)
            with _Translated(INVALID_BODY):
                receipts = await self._service.accept(observations, by=_who(request).id)
            return Answer(body=_encode(Receipts(list(receipts))))

        return await self._once(request, body, self._context.observations, work)

    async def command(
        self,
        name: Annotated[str, Path(max_length=32, json_schema_extra={"enum": list(COMMANDS)})],
        request: Request,
    ) -> Response:
        """Carry out a command; its arguments are the members of the body."""
        if name not in COMMANDS:
            raise ProblemError(UNKNOWN_COMMAND, f"Commands are {', '.join(COMMANDS)}.")
        body = await request.body()

        async def work() -> Answer:
            try:
                arguments = _decode_arguments(body) if body else {}
            except msgspec.ValidationError as error:
                raise ProblemError(INVALID_BODY, f"{error}.") from error
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ProblemError(MALFORMED_BODY, f"{error}.") from error
            with _Translated(COMMAND_REFUSED):
                done = await self._service.command(name, arguments, by=_who(request).id)
            return Answer(body=_encode(done))

        return await self._once(request, body, self._context.commands, work)

    async def _once(
        self, request: Request, body: bytes, once: Once, work: Callable[[], Awaitable[Answer]]
    ) -> Response:
        header = request.headers.get("idempotency-key")
        key = read_key(None if header is None else header.encode("latin-1"))
        path = request.url.path
        mark = fingerprint(request.method.encode(), path.encode(), body)
        return (await once.run(f"{_who(request).id} {key}", mark, work)).response()


class _Translated:
    """Turns what the service raises on purpose, and a full disk, into problems."""

    def __init__(self, refused: Problem) -> None:
        self._refused = refused

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, InputError) and not isinstance(error, ProblemError):
            raise ProblemError(self._refused, f"{error}.") from error
        if isinstance(error, JournalError | OSError) and not isinstance(error, TimeoutError):
            raise ProblemError(
                UNAVAILABLE, "The disk does not take it.", headers=((b"retry-after", b"5"),)
            ) from error


def _who(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal
