"""Whether a margin may be used: how old, and how low on the ladder."""

from collections.abc import Collection

from msgspec import Struct

from .errors import NotFreshError
from .types import DEGRADED, OK, Quote

TRUSTED = (OK, DEGRADED)
"""What a caller gets unless told otherwise: computed from data that are not old."""


class Freshness(Struct, frozen=True, kw_only=True):
    """What a caller accepts.

    Attributes
    ----------
    max_age_s : float or None
        Largest age of the market data, seconds; None is any.
    allow : collection of str
        Statuses: ok, degraded, stale, fallback.
    """

    max_age_s: float | None = None
    allow: Collection[str] = TRUSTED

    def check(self, quote: Quote, *, age_s: float, now: int) -> Quote:
        """Return the quote if it may be used.

        Parameters
        ----------
        age_s : float
            Upper bound of the age of its data, seconds.
        now : int
            Time of the service, or the best guess at it, ns UTC.

        Raises
        ------
        NotFreshError
            If its status is not allowed, it is too old, or it is not valid any more.
        """
        reasons = []
        if quote.status not in self.allow:
            why = f" ({quote.reason})" if quote.reason else ""
            reasons.append(
                f"its status must be one of {', '.join(self.allow)}, was {quote.status}{why}"
            )
        if self.max_age_s is not None and not age_s <= self.max_age_s:
            reasons.append(f"it must be at most {self.max_age_s:g} s old, was {age_s:.3f} s")
        if quote.valid_until <= now:
            late = (now - quote.valid_until) / 1e9
            reasons.append(f"it must be valid now, ran out {late:.3f} s ago")
        if reasons:
            raise NotFreshError(quote, age_s=age_s, reasons=reasons)
        return quote
