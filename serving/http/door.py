"""Who comes in: host, origin, key, scope and rate, in this order and before anything is read."""

import math
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from ..security import (
    EXPLANATIONS,
    LOOPBACK,
    Allowance,
    Authenticator,
    Principal,
    RateLimiter,
    RateLimits,
    Refusal,
    Scope,
    SignedRequest,
    limit_of,
)
from .answers import Header
from .problems import (
    FORBIDDEN,
    FOREIGN_ORIGIN,
    MISDIRECTED,
    RATE_LIMITED,
    UNAUTHENTICATED,
    ProblemError,
)

Headers = Mapping[bytes, bytes]
_LOCAL = (b"127.0.0.1", b"localhost", b"[::1]")
_PROXIED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")
_CHALLENGE: Header = (b"www-authenticate", b'Bearer realm="foremargin"')


class Guest(Struct, frozen=True):
    """Who came in, and what is left of their rate."""

    principal: Principal
    allowance: Allowance


class Door:
    """Lets requests in.

    Parameters
    ----------
    authenticator : Authenticator
        Who asks.
    limiter : RateLimiter
        How often.
    limits : RateLimits
        Beside those of the keys.
    """

    def __init__(
        self, authenticator: Authenticator, *, limiter: RateLimiter, limits: RateLimits
    ) -> None:
        self._authenticator, self._limiter, self._limits = authenticator, limiter, limits
        self._open = not authenticator.has_keys

    def quick(self, authorization: bytes | None, address: str, need: Scope) -> Allowance | None:
        """Let in a request of which :meth:`is_usual` holds; None leaves it to :meth:`enter`.

        Whether the rate allows it is for the caller to look at: it was counted.
        """
        found = self._authenticator.authenticate(authorization, address=address)
        if isinstance(found, Refusal) or need not in found.scopes:
            return None
        return self._take(found, address)

    def is_usual(self, headers: Headers, *, changes: bool) -> bool:
        """Return whether only the key of a request is left to look at; as :meth:`check_site`."""
        if self._is_proxied(headers):
            return False
        try:
            self.check_site(headers, changes=changes)
        except ProblemError:
            return False
        return True

    def enter(
        self,
        headers: Headers,
        address: str,
        need: Scope | None,
        *,
        request: SignedRequest | None = None,
    ) -> Guest:
        """Let a request in.

        Parameters
        ----------
        headers : mapping
            Names in lower case.
        address : str
            Of the caller.
        need : Scope or None
            None: everybody may.
        request : SignedRequest, optional
            If the header is a signature.

        Raises
        ------
        ProblemError
            401, 403 or 429.
        """
        if self._is_proxied(headers):
            address = ""
        found = self._authenticator.authenticate(
            headers.get(b"authorization"), address=address, request=request
        )
        if isinstance(found, Refusal):
            raise self.refusal(found, address)
        if need is not None and need not in found.scopes:
            if not found.scopes:
                raise self.refusal(Refusal.MISSING, address)
            raise self._forbidden(found, need, address)
        allowance = self._take(found, address)
        if not allowance.allowed:
            raise too_many(allowance)
        return Guest(found, allowance)

    def check_site(self, headers: Headers, *, changes: bool) -> None:
        """Where there are no keys, refuse what a web page elsewhere could make a browser send.

        Parameters
        ----------
        headers : mapping
            Names in lower case.
        changes : bool
            Whether the request is no plain read: a POST, or a WebSocket, which knows no same-origin
            policy.

        Raises
        ------
        ProblemError
            If the host is not this machine (DNS rebinding), or the origin is another one.
        """
        if not self._open:
            return
        if _host(headers) not in _LOCAL:
            raise ProblemError(
                MISDIRECTED, "Without keys the Host header must be localhost, 127.0.0.1 or [::1]."
            )
        origin = headers.get(b"origin")
        if changes and origin is not None and _netloc(origin) != headers.get(b"host"):
            raise ProblemError(FOREIGN_ORIGIN, "The Origin header names another site.")

    def precheck(self, authorization: bytes, address: str) -> None:
        """Refuse a signature that cannot hold, before a body is read for it.

        Raises
        ------
        ProblemError
            401 or 429.
        """
        refusal = self._authenticator.precheck(authorization)
        if refusal is not None:
            raise self.refusal(refusal, address)

    def refusal(self, refusal: Refusal, address: str) -> ProblemError:
        """Return the answer to a caller who is not believed; it counts against their address."""
        allowance = self._limiter.take(f"stranger {address}", self._limits.stranger)
        if not allowance.allowed:
            return too_many(allowance)
        said = EXPLANATIONS[refusal]
        if self._open and refusal in (Refusal.MISSING, Refusal.UNKNOWN):
            said = "No keys are configured: only this machine may read and simulate, without a key."
        return ProblemError(
            UNAUTHENTICATED, said, more={"reason": refusal.value}, headers=(_CHALLENGE,)
        )

    def _forbidden(self, found: Principal, need: Scope, address: str) -> ProblemError:
        allowance = self._take(found, address)
        if not allowance.allowed:
            return too_many(allowance)
        said = f"This needs a key with the scope {need.value}."
        if found is LOOPBACK:
            said += " No keys are configured: create one and name its file in keys_file."
        return ProblemError(FORBIDDEN, said, more={"scope": need.value})

    def _take(self, principal: Principal, address: str) -> Allowance:
        name, rate = limit_of(principal, address=address, limits=self._limits)
        own = self._limiter.take(name, rate)
        if principal.rate is None or not own.allowed:
            return own
        shared = self._limiter.take(f"address {address}", self._limits.address)
        return own if shared.allowed else shared

    def _is_proxied(self, headers: Headers) -> bool:
        """Whether somebody else stands behind an address of this machine."""
        return self._open and any(name in headers for name in _PROXIED)


def rate_headers(allowance: Allowance) -> tuple[Header, ...]:
    """Return RateLimit-* as in draft-ietf-httpapi-ratelimit-headers-06, which clients read."""
    return (
        (b"ratelimit-limit", b"%d" % allowance.limit),
        (b"ratelimit-remaining", b"%d" % allowance.remaining),
        (b"ratelimit-reset", b"%d" % math.ceil(allowance.wait_s)),
    )


def too_many(allowance: Allowance) -> ProblemError:
    """Return the answer to a request that the rate does not allow."""
    wait = max(1, math.ceil(allowance.wait_s))
    return ProblemError(
        RATE_LIMITED,
        f"The limit is reached; the next request may come in {wait} s.",
        headers=((b"retry-after", b"%d" % wait), *rate_headers(allowance)),
    )


def _netloc(origin: bytes) -> bytes:
    try:
        return urlsplit(origin.decode("latin-1")).netloc.encode("latin-1")
    except ValueError:
        return b""


def _host(headers: Headers) -> bytes:
    host = headers.get(b"host", b"").lower()
    return host if host.endswith(b"]") else host.rsplit(b":", 1)[0]
