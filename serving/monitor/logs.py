"""Logs: one JSON object a line, with the request and the instrument that it is about.

Nothing global is configured; whoever logs is handed a logger. The redacting processor is the last
before the line is written, after exceptions have become text, so that nothing passes it by. If it
fails, the entry is withheld and that is logged instead: a secret is worse than a missing line.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def make_logger(
    redact: Processor, *, stream: TextIO | None = None, level: int = 20
) -> FilteringBoundLogger:
    """Return a logger.

    Parameters
    ----------
    redact : structlog processor
        Takes secrets out of an entry.
    stream : text file
        Where lines go; standard error if None.
    level : int
        Of :mod:`logging`; entries below are dropped.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream or sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.dict_tracebacks,
            _guarded(redact),
            _line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger


@contextmanager
def bound(*, request_id: str = "", instrument: str = "", **more: object) -> Iterator[None]:
    """Put the request and the instrument on every entry of this task until the block ends."""
    named = {"request_id": request_id, "instrument": instrument}
    known = {name: value for name, value in named.items() if value}
    with structlog.contextvars.bound_contextvars(**known, **more):
        yield


def _guarded(redact: Processor) -> Processor:
    def guarded(logger: WrappedLogger, method: str, entry: EventDict) -> Any:
        kept = {name: entry.get(name) for name in ("time", "level", "request_id")}
        try:
            return redact(logger, method, entry)
        except structlog.DropEvent:
            raise
        except Exception as error:  # whatever it is, the entry must not be written as it was
            found = type(error).__name__
            return {**kept, "event": "entry withheld: it could not be redacted", "error": found}

    return guarded


def _line(_: WrappedLogger, __: str, entry: EventDict) -> str:
    return _encode(entry).decode()
