"""Secrets out of logs: by the name of a field, and by their shape anywhere in a text."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

REDACTED = "[redacted]"
_NAMES = re.compile(
    r"(?i)^(?:.*[_.-])?(?:authorization|cookie|set-cookie|token|secret|password|passphrase|"
    r"signature|private_?key|signing_?key|api_?key|credentials?)$"
)
_SHAPES = (
    # Tokens keep their identifier, so that a person can tell which key was meant.
    (re.compile(r"\b(fm_[a-z0-9]{12})_[A-Za-z0-9_-]{8,}"), r"\1_" + REDACTED),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), "whsec_" + REDACTED),
    (re.compile(r"(?i)\b(bearer|basic) +(?!fm_)[A-Za-z0-9._~+/=-]{8,}"), r"\1 " + REDACTED),
    (re.compile(r"(?i)(signature=)[0-9a-f]{16,}"), r"\1" + REDACTED),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.S),
        REDACTED,
    ),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@"), r"\1:" + REDACTED + "@"),
)
_DEEPEST = 8


def redact(value: Any, *, depth: int = 0) -> Any:
    """Return a value with every secret in it replaced; containers are copied.

    Beyond eight levels the whole is replaced: what cannot be looked at is not written down.
    """
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value).decode("utf-8", "replace")
    if isinstance(value, str):
        for shape, instead in _SHAPES:
            value = shape.sub(instead, value)
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth >= _DEEPEST:
        return REDACTED
    if isinstance(value, Mapping):
        return {
            redact(key, depth=depth + 1): REDACTED
            if isinstance(key, str) and _NAMES.match(key)
            else redact(inner, depth=depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact(inner, depth=depth + 1) for inner in value]
    return redact(str(value))


def redact_secrets(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Processor for structlog: the last but one, before what renders the line."""
    del logger, method
    redacted: MutableMapping[str, Any] = redact(event)
    return redacted
