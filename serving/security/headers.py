"""Headers that keep a browser from doing what was not meant."""

from collections.abc import Sequence

Header = tuple[bytes, bytes]

PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'"
)
"""For HTML: everything from the service itself, nothing inline, in no frame."""

DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"
"""For everything else."""

ALWAYS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""On every answer."""

DATA_HEADERS: tuple[Header, ...] = (*ALWAYS, (b"content-security-policy", DATA_POLICY))
"""On every answer that is no page."""

_HSTS: Header = (b"strict-transport-security", b"max-age=31536000")
DATA_HEADERS_TLS: tuple[Header, ...] = (*DATA_HEADERS, _HSTS)
"""The same over TLS."""


def with_security(headers: Sequence[Header], *, scheme: str) -> list[Header]:
    """Return the headers of an answer with those that it lacks.

    An answer that says nothing about caching is not stored; one over TLS is not to be asked for
    without.
    """
    present = {name.lower(): value for name, value in headers}
    page = present.get(b"content-type", b"").startswith(b"text/html")
    wanted = [
        *ALWAYS,
        (b"content-security-policy", PAGE_POLICY if page else DATA_POLICY),
        (b"cache-control", b"no-store"),
    ]
    if scheme == "https":
        wanted.append(_HSTS)
    return [*headers, *(header for header in wanted if header[0] not in present)]
