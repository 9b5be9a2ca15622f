"""Which scope a path needs. What is not listed needs admin, unless it only reads a page."""

from ..security import Scope

_READS = ("GET", "HEAD")
_PUBLIC = frozenset(
    {"/livez", "/readyz", "/openapi.json", "/v2", "/v2/health/live", "/v2/health/ready"}
)


def scope_needed(method: str, path: str) -> Scope | None:
    """Return the scope that a request needs; None for everybody.

    Parameters
    ----------
    method : str
        In capitals.
    path : str
        Decoded.
    """
    if method in _READS:
        if path in _PUBLIC:
            return None
        data = path == "/metrics" or path.startswith(("/v1/", "/v2/", "/metrics/"))
        return Scope.READ if data else None
    if method == "POST":
        if path == "/v1/portfolios:simulate" or path.startswith("/v2/"):
            return Scope.SIMULATE
        if path == "/v1/observations":
            return Scope.PUBLISH
    return Scope.ADMIN
