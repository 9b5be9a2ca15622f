"""Inside a period: prices only ever raise what stands since the last close."""

import math
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ..observations import OraclePrice, Tick
from ..quote import Calculation, SideMargin
from .answers import larger, or_none, side_margin
from .margins import RowMargins
from .prices import PriceBook, PriceRules

_DECAY = 0.94  # of the moving average that stands in where no recursion was fitted (RiskMetrics)


class Intraday:
    """Prices of the open period, and the margins that they raise.

    Parameters
    ----------
    margins : RowMargins
        What stands.
    rules : PriceRules
        How prices are read.
    horizon_s : float
        Margin period of risk, seconds.
    """

    def __init__(self, margins: RowMargins, *, rules: PriceRules, horizon_s: float) -> None:
        self._margins, self._rules, self._horizon_s = margins, rules, horizon_s
        self.books: dict[int, PriceBook] = {}
        self._highest: dict[int, float] = {}  # variances that have raised margins since a close

    def add(self, place: int, seen: Tick | OraclePrice, *, closed: int) -> str:
        """Take a price of one instrument; return why it was set aside, or nothing."""
        return self.books.setdefault(place, PriceBook()).add(seen, closed=closed)

    def close(self, time: int) -> None:
        """Forget the prices of the periods that have ended."""
        for book in self.books.values():
            book.close(time)
        self._highest = {}

    def raised(
        self, place: int, shown: Calculation, *, last_close: float, closed: int
    ) -> Calculation | None:
        """Return what is to be shown now, nowhere below what is shown; None if nothing rises.

        Parameters
        ----------
        place : int
            Which instrument; one that has a margin.
        shown : Calculation
            What is shown of it.
        last_close : float
            Its last price at a close; NaN if there was none.
        closed : int
            Close of the last row, ns UTC.
        """
        standing, book = self._margins.standing, self.books[place]
        rung = int(standing.rung[place])
        stands = float(standing.variance[rung, place])
        seen = book.seen(self._rules)
        variance = stands * self._rise(place, stands, price=seen.price, last_close=last_close)
        newest = max([seen.newest, *(time for time, _, _ in book.oracles.values())])
        sigma = math.sqrt(variance)
        charges = book.charges(
            self._rules,
            seen=seen,
            now=max(newest, closed),
            sigma=sigma,
            horizon_s=self._horizon_s,
        )
        if not charges and variance <= max(stands, self._highest.get(place, 0.0)):
            return None
        self._highest[place] = max(variance, self._highest.get(place, 0.0))
        asked = self._margins.policies[rung].provisional(place, variance)
        sides = [self._side(place, side, asked[side], charges) for side in range(2)]
        long, short = larger(shown.long, sides[0]), larger(shown.short, sides[1])
        if (long, short) == (shown.long, shown.short):
            return None
        higher = replace(shown, long=long, short=short, observed_at=max(shown.observed_at, newest))
        if sigma <= shown.sigma:
            return higher
        return replace(
            higher,
            sigma=sigma,
            sigma_lower=or_none(sigma * float(standing.lower[rung, place])),
            sigma_upper=or_none(sigma * float(standing.upper[rung, place])),
        )

    def _rise(self, place: int, stands: float, *, price: float | None, last_close: float) -> float:
        """Return by what the variance would rise, at least one, if the period closed at a price.

        By what the recursion on returns says; without one, by what a moving average would.
        """
        if price is None or not math.isfinite(last_close):
            return 1.0
        moved, margins = math.log(price / last_close), self._margins
        for at, guarded in enumerate(margins.rungs):
            now = float(margins.standing.variance[at, place])
            then = guarded.provisional(place, moved) if now > 0.0 else None
            if then is not None and math.isfinite(then[margins.column]):
                return max(1.0, float(then[margins.column]) / now)
        return max(1.0, _DECAY + (1.0 - _DECAY) * moved**2 * margins.policy.horizon / stands)

    def _side(
        self, place: int, side: int, asked: float, charges: Mapping[str, float]
    ) -> SideMargin:
        """Return one side's margin if the next target were `asked`, with the charges on top."""
        standing, margins = self._margins.standing, self._margins
        closed, target = float(standing.initial[place, side]), float(standing.target[place, side])
        initial, kept = closed, float(standing.maintenance[place, side])
        bits = int(standing.bound[place, side])
        if asked > target:
            margin, higher, bound = margins.chosen.stepper.peek(2 * place + side, asked)
            kept = max(kept, higher)
            if margin > initial:
                initial, bits = margin, bound
        parts = {"target": target, "limits": closed - target, "intraday": initial - closed}
        total = kept + sum(charges.values())
        return side_margin({**parts, **charges}, maintenance=total, bits=bits)

    def state(self) -> dict[int, Any]:
        """Return all that is remembered."""
        return {place: book.state() for place, book in self.books.items()}

    def restore(self, saved: Mapping[int, Any]) -> None:
        """Take over what was saved."""
        self._highest = {}
        self.books = {place: PriceBook.resume(one) for place, one in saved.items()}
