"""Routes for whoever operates the service: alive, ready, metrics."""

import asyncio

from fastapi import APIRouter, Request
from msgspec.json import Encoder
from starlette.responses import Response

from ..security import Scope
from .answers import Answer
from .context import Context
from .openapi import content, problems
from .problems import FORBIDDEN, NOT_OFFERED, NOT_READY, UNAUTHENTICATED, ProblemError
from .read_routes import SECURED
from .schedules import Alive

_encode = Encoder().encode


class OperationRoutes:
    """Alive, ready, metrics.

    Parameters
    ----------
    context : Context
        See there.
    """

    def __init__(self, context: Context) -> None:
        self._service, self._metrics = context.service, context.additions.metrics

    def router(self) -> APIRouter:
        """Return them."""
        router = APIRouter(tags=["operate"])
        text = {"text/plain": {"schema": {"type": "string"}}}
        any_object = {"application/json": {"schema": {"type": "object"}}}
        for path, endpoint, media, kinds in (
            ("/livez", self.livez, content("Alive"), ()),
            ("/readyz", self.readyz, any_object, (NOT_READY,)),
            ("/metrics", self.metrics, text, (NOT_OFFERED, UNAUTHENTICATED, FORBIDDEN)),
        ):
            router.add_api_route(
                path,
                endpoint,
                methods=["GET"],
                response_class=Response,
                responses={200: {"description": "Done", "content": media}, **problems(*kinds)},
                openapi_extra=SECURED if path == "/metrics" else None,
                operation_id=path[1:],
                summary=str(endpoint.__doc__).split("\n")[0],
            )
        return router

    async def livez(self) -> Response:
        """Say that the process answers; nothing else is looked at."""
        return Answer(body=_encode(Alive())).response()

    async def readyz(self, request: Request) -> Response:
        """Say whether margins are computed from fresh data, and why not.

        Details only for those who may read.
        """
        health = dict(self._service.health())
        told = health
        if Scope.READ not in request.state.principal.scopes:
            told = {name: health[name] for name in ("ready", "reasons") if name in health}
        if health.get("ready") is not True:
            raise ProblemError(
                NOT_READY, "Margins are answered, and not as they should be.", more=told
            )
        return Answer(body=_encode(told)).response()

    async def metrics(self) -> Response:
        """Return metrics for Prometheus."""
        if self._metrics is None:
            raise ProblemError(NOT_OFFERED, "This service has no metrics.")
        # Hundreds of instruments take tens of milliseconds, in which others want their answers.
        body, media_type = await asyncio.to_thread(self._metrics)
        return Answer(body=body, headers=((b"content-type", media_type.encode()),)).response()
