"""What a request must look like to be read without a general parser.

Two parsers that frame one connection differently let a request hide inside another (request
smuggling, RFC 9112 section 11.2). So this one knows a small, strict form, a subset of what
httptools reads, and leaves everything else to httptools: any header that frames a body in another
way or changes the connection, any that comes twice, any white space that two parsers could trim
differently, anything beyond printable ASCII.
"""

import re

LARGEST_HEAD = 8_192  # bytes of all headers
_BLOCK = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++: ?[!-~](?:[\t -~]*[!-~])?\r\n)++")
_FIELD = re.compile(rb"([^:]+): ?([^\r]+)\r\n")
_LENGTH = re.compile(rb"[0-9]{1,9}")
SPLITTING = b"inference-header-content-length"
"""Says that a body is JSON up to there and binary behind it, which only the long way refuses."""

_FRAMING = frozenset(
    {b"transfer-encoding", b"te", b"trailer", b"expect", b"upgrade", b"proxy-connection", SPLITTING}
)


def read_fields(block: bytes) -> dict[bytes, bytes] | None:
    r"""Return the headers of a plain request; None if a general parser must read them.

    Parameters
    ----------
    block : bytes
        Lines from the first header on, each with its ``\r\n``; not the empty line.

    Returns
    -------
    dict of bytes to bytes, or None
        Names in lower case.
    """
    if len(block) > LARGEST_HEAD or _BLOCK.fullmatch(block) is None:
        return None
    lines = _FIELD.findall(block)
    fields = {name.lower(): value for name, value in lines}
    if len(fields) != len(lines) or not _FRAMING.isdisjoint(fields):
        return None
    if fields.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    return fields


def body_length(fields: dict[bytes, bytes]) -> int | None:
    """Return what Content-Length says, bytes; -1 if it is absent, None if it is no plain number."""
    said = fields.get(b"content-length")
    if said is None:
        return -1
    return int(said) if _LENGTH.fullmatch(said) else None
