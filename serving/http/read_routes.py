"""Documented routes that read."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from msgspec.json import Encoder
from starlette.responses import Response

from ..table import EncodedQuote
from .answers import JSON, Answer
from .context import Context
from .cursors import read_cursor, write_cursor
from .openapi import content, problems
from .problems import (
    FORBIDDEN,
    INVALID_CURSOR,
    INVALID_PARAMETER,
    NO_FORECAST,
    NO_UPDATE,
    NOT_OFFERED,
    RATE_LIMITED,
    TOO_MANY_ITEMS,
    UNAUTHENTICATED,
    UNKNOWN_INSTRUMENT,
    Problem,
    ProblemError,
)
from .schedules import AuditPage, History, Instruments, schedule_of
from .updates import Updates

_encode = Encoder().encode
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"
_LARGEST = 2**63 - 1
Instrument = Annotated[
    str,
    Path(max_length=64, pattern=_NAME, description="Name.", examples=["BTC-PERP"]),
]
Prefer = Annotated[
    str,
    Header(
        max_length=256,
        description="With `wait=5` and If-None-Match: answer when there is another, or after 5 s.",
        examples=["wait=5"],
    ),
]
_USUAL = (UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED)
SECURED = {"x-scope": "read"}


def _after(of: str) -> Any:
    """Return where a page of one list begins; the format has the name of the list."""
    said = "`next` of the page before, unchanged."
    extra: dict[str, Any] = {"format": f"{of}-cursor"}
    return Query(max_length=256, description=said, json_schema_extra=extra)


class ReadRoutes:
    """Routes that read.

    Parameters
    ----------
    context : Context
        See there.
    """

    def __init__(self, context: Context) -> None:
        self._context, self._reads = context, context.reads
        self._service, self._page = context.service, context.settings.page
        limits = context.settings
        self._updates = Updates(
            context.additions.updates,
            longest_wait_s=min(limits.longest_wait_s, 0.8 * limits.timeout_s),
            waiting=limits.waiting,
        )

    def router(self) -> APIRouter:
        """Return them; the longer path of two that match comes first."""
        router = APIRouter(tags=["read"])
        one = (UNKNOWN_INSTRUMENT, INVALID_PARAMETER)
        for path, name, schema, kinds in (
            ("/v1/instruments", "instruments", "Instruments", ()),
            ("/v1/margins", "margins", "QuotePage", (*one, INVALID_CURSOR, TOO_MANY_ITEMS)),
            ("/v1/margins/{instrument:path}/history", "history", "History", one),
            ("/v1/margins/{instrument:path}", "margin", "Quote", one),
            ("/v1/forecasts/{instrument:path}", "forecast", "Calculation", (*one, NO_FORECAST)),
            ("/v1/schedules/{instrument:path}", "schedule", "Schedule", one),
            ("/v1/audit", "audit", "AuditPage", (INVALID_PARAMETER, INVALID_CURSOR)),
            ("/v1/updates/batch", "updates_batch", None, (NO_UPDATE, NOT_OFFERED)),
            ("/v1/updates/{instrument:path}", "update", None, (*one, NO_UPDATE, NOT_OFFERED)),
        ):
            self._add(router, path, name, schema, kinds)
        return router

    def _add(
        self,
        router: APIRouter,
        path: str,
        name: str,
        schema: str | None,
        kinds: tuple[Problem, ...],
    ) -> None:
        endpoint = getattr(self, name)
        media = content(schema) if schema else {"application/json": {"schema": {"type": "object"}}}
        responses = {200: {"description": "Done", "content": media}, **problems(*kinds, *_USUAL)}
        if name in ("margin", "forecast", "update", "updates_batch"):
            responses[304] = {"description": "As If-None-Match says"}
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            response_class=Response,
            responses=responses,
            openapi_extra=SECURED,
            operation_id=name,
            summary=endpoint.__doc__.split("\n")[0],
        )

    async def instruments(self) -> Response:
        """List the instruments."""
        return _json(_encode(Instruments(sorted(self._service.table.rows))))

    async def margin(self, instrument: Instrument, request: Request) -> Response:
        """Return the margin of one instrument."""
        found = self._reads.margin(instrument, _if_none_match(request))
        if found is None:
            self._reads.row(instrument)
            raise AssertionError(instrument)
        return found.response()

    async def forecast(self, instrument: Instrument, request: Request) -> Response:
        """Return the forecast behind the margin of one instrument."""
        found = self._reads.forecast(instrument, _if_none_match(request))
        if found is None:
            raise self._reads.missing(instrument)
        return found.response()

    async def schedule(self, instrument: Instrument) -> Response:
        """Return the margin parameters of one instrument, with their components and times."""
        return _json(_encode(schedule_of(self._reads.row(instrument).quote)))

    async def margins(
        self,
        instruments: Annotated[
            str | None,
            Query(max_length=65_536, description="Names, with commas between; all if absent."),
        ] = None,
        after: Annotated[str | None, _after("margins")] = None,
        limit: Annotated[int, Query(ge=1, le=100_000)] = 500,
    ) -> Response:
        """Return the margins of many instruments: those named, or all of them page by page."""
        if instruments is not None:
            if after is not None:
                raise ProblemError(INVALID_PARAMETER, "Give either instruments or after.")
            return _quotes(self._named(instruments), None)
        rows = self._service.table.rows
        last = "" if after is None else read_cursor(after, of="margins")
        names = sorted(name for name in rows if name > last)
        page = names[: min(limit, self._page)]
        more = len(page) < len(names)
        return _quotes(
            [rows[name] for name in page], write_cursor(page[-1], of="margins") if more else None
        )

    async def history(
        self, instrument: Instrument, limit: Annotated[int, Query(ge=1, le=100_000)] = 500
    ) -> Response:
        """Return the last quotes of one instrument, oldest first."""
        self._reads.row(instrument)
        quotes = self._service.history(instrument, limit=min(limit, self._page))
        return _json(_encode(History(list(quotes))))

    async def audit(
        self,
        after: Annotated[str | None, _after("audit")] = None,
        limit: Annotated[int, Query(ge=1, le=100_000)] = 500,
    ) -> Response:
        """Return what the service did and was told to do; `after` may be a sequence number too."""
        limit = min(limit, self._page)
        entries = list(self._service.audit(after=_sequence(after), limit=limit))
        more = len(entries) == limit
        cursor = write_cursor(str(entries[-1].sequence), of="audit") if more else None
        return _json(_encode(AuditPage(entries, cursor)))

    async def update(
        self, instrument: Instrument, request: Request, prefer: Prefer = ""
    ) -> Response:
        """Return the last signed update of one instrument, or wait for the next."""
        if self._context.additions.updates is not None:
            self._reads.row(instrument)
        known = request.headers.get("if-none-match", "")
        return (await self._updates.of(instrument, if_none_match=known, prefer=prefer)).response()

    async def updates_batch(self, request: Request, prefer: Prefer = "") -> Response:
        """Return the last Merkle batch of signed updates with its proofs, or wait for the next."""
        known = request.headers.get("if-none-match", "")
        return (await self._updates.batch(if_none_match=known, prefer=prefer)).response()

    def _named(self, instruments: str) -> list[EncodedQuote]:
        names = list(dict.fromkeys(name for name in instruments.split(",") if name))
        most = self._context.settings.instruments
        if not names:
            raise ProblemError(INVALID_PARAMETER, "instruments must name at least one.")
        if len(names) > most:
            raise ProblemError(TOO_MANY_ITEMS, f"At most {most} names, found {len(names)}.")
        rows = self._service.table.rows
        unknown = [name for name in names if name not in rows]
        if unknown:
            said = f"{len(unknown)} of the names are of no instrument; see instruments."
            raise ProblemError(UNKNOWN_INSTRUMENT, said, more={"instruments": unknown})
        return [rows[name] for name in names]


def _json(body: bytes) -> Response:
    return Answer(body=body).response()


def _quotes(rows: list[EncodedQuote], cursor: str | None) -> Response:
    bodies = b",".join(row.body for row in rows)
    body = b'{"quotes":[' + bodies + b'],"next":' + _encode(cursor) + b"}"
    return Answer(body=body, headers=(JSON, (b"cache-control", b"no-cache"))).response()


def _if_none_match(request: Request) -> bytes | None:
    found = request.headers.get("if-none-match")
    return None if found is None else found.encode("latin-1")


def _sequence(after: str | None) -> int:
    if after is None:
        return 0
    if after.isascii() and after.isdigit() and len(after) < 20:
        return min(int(after), _LARGEST)
    position = read_cursor(after, of="audit")
    if not position.isdigit():
        raise ProblemError(INVALID_CURSOR, "The cursor is not one of this list.")
    return int(position)
