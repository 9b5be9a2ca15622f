"""When a market trades: plain spans, so that data that are not due are not called late.

Calendars need pandas, which the front does without; whoever has them hands over spans. Beyond what
is known the next period counts as due: late rather than silent.
"""

from bisect import bisect_left, bisect_right

from msgspec import Struct

from ...errors import InputError

DAY_NS = 86_400_000_000_000


class TradingHours(Struct, frozen=True, kw_only=True):
    """When one market trades.

    Attributes
    ----------
    days : list of int
        UTC midnights of the days with a session, increasing, ns; of bars by the day.
    opens, closes : list of int
        Spans of trading, increasing, ns UTC; of bars inside a day. None of both trades always.
    """

    days: list[int] = []
    opens: list[int] = []
    closes: list[int] = []

    def __post_init__(self) -> None:
        spans = [moment for span in zip(self.opens, self.closes, strict=False) for moment in span]
        if (
            len(self.opens) != len(self.closes)
            or spans != sorted(spans)
            or self.days != sorted(self.days)
        ):
            raise InputError(
                "trading hours must be spans that open before they close, in order, were "
                f"{len(self.opens)} opens and {len(self.closes)} closes; sort them"
            )

    def due(self, observed_at: int, *, period: int) -> int:
        """Return when the next period of trading closes, ns UTC.

        Parameters
        ----------
        observed_at : int
            Close of the last period that is known, ns UTC.
        period : int
            Its length, ns; bars of a day or more are dated by days, shorter ones by the clock.
        """
        start = observed_at
        if period >= DAY_NS:
            place = bisect_left(self.days, observed_at)
            start = self.days[place] if place < len(self.days) else observed_at
        else:
            place = bisect_right(self.closes, observed_at)
            if place < len(self.opens):
                start = max(observed_at, self.opens[place] // period * period)
        return start + period


ALWAYS = TradingHours()
"""Of a market that never closes."""
