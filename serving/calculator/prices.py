"""Prices inside a period: what venues and oracles agree on, and what their disagreement costs."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...calibrate.addons import (
    LAPLACE_95,
    Addon,
    Addons,
    confidence_addon,
    price_consensus,
    staleness_addon,
)
from ..observations import OraclePrice, Tick

_ORACLE = "oracle "  # before the name of one that counts as a venue; no venue's name has a space


@dataclass(frozen=True, kw_only=True)
class PriceRules:
    """How prices inside a period are read.

    Attributes
    ----------
    venue_window_s : float
        How long before the newest price of an instrument the last one of another venue still
        counts, seconds.
    spread, tolerance : float
        See :func:`foremargin.calibrate.addons.venue_consensus`.
    confidence_multiple : float
        Standard errors of an oracle that are charged.
    stale_s : float
        Age of the newest price of the oracles from which on it is charged, seconds.
    """

    venue_window_s: float = 60.0
    spread: float = 5.0
    tolerance: float = 0.002
    confidence_multiple: float = LAPLACE_95
    stale_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of one instrument's price.

    Attributes
    ----------
    price : float or None
        What venues and oracles agree on; None if none has said anything in this period.
    deviation : float
        Largest relative distance of a venue that was kept; 0 for one venue alone.
    newest : int
        Time of the newest price, ns UTC.
    """

    price: float | None
    deviation: float
    newest: int


@dataclass(kw_only=True, eq=False)
class PriceBook:
    """Last prices of one instrument, by venue and by oracle.

    Attributes
    ----------
    venues : dict of str to (int, float)
        Time and price in the open period; oracles are among them.
    oracles : dict of str to (int, float, float)
        Time, price and confidence, of any period.
    """

    venues: dict[str, tuple[int, float]] = field(default_factory=dict)
    oracles: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    def add(self, seen: Tick | OraclePrice, *, closed: int) -> str:
        """Take a price; return why it was set aside, or nothing.

        Parameters
        ----------
        seen : Tick or OraclePrice
            The price.
        closed : int
            Close of the last row, ns UTC; a price must be later, but an oracle's may be older than
            that and still be its newest.
        """
        if not (math.isfinite(seen.price) and seen.price > 0.0):
            return "invalid"
        if isinstance(seen, OraclePrice):
            if not (math.isfinite(seen.confidence) and seen.confidence >= 0.0):
                return "invalid"
            if seen.time < self.oracles.get(seen.source, (0,))[0]:
                return "late"
            self.oracles[seen.source] = (seen.time, seen.price, seen.confidence)
            venue = _ORACLE + seen.source
        elif seen.time <= closed or seen.time < self.venues.get(seen.venue, (0,))[0]:
            return "late"
        else:
            venue = seen.venue
        if seen.time > closed:
            self.venues[venue] = (seen.time, seen.price)
        return ""

    def close(self, time: int) -> None:
        """Forget the prices of a period that has ended; oracles are remembered."""
        self.venues = {name: kept for name, kept in self.venues.items() if kept[0] > time}

    def seen(self, rules: PriceRules) -> Seen:
        """Return what venues agree on."""
        newest = max((time for time, _ in self.venues.values()), default=0)
        since = newest - rules.venue_window_s * 1e9
        prices = [price for time, price in self.venues.values() if time >= since]
        if len(prices) < 2:
            return Seen(price=prices[0] if prices else None, deviation=0.0, newest=newest)
        price, deviation = price_consensus(prices, spread=rules.spread, tolerance=rules.tolerance)
        return Seen(
            price=price, deviation=0.0 if math.isnan(deviation) else deviation, newest=newest
        )

    def charges(
        self, rules: PriceRules, *, seen: Seen, now: int, sigma: float, horizon_s: float
    ) -> dict[str, float]:
        """Return what is charged by risk, fractions of notional; only what is above 0.

        Parameters
        ----------
        rules : PriceRules
            How.
        seen : Seen
            From :meth:`seen`.
        now : int
            The newest moment that is known of, ns UTC.
        sigma, horizon_s : float
            Forecast volatility over the horizon, decimal, and its length, seconds.
        """
        parts: list[Addon] = []
        if seen.deviation > rules.tolerance:
            parts.append(
                Addon(name="deviation", risk="oracle-price", rate=np.array(seen.deviation))
            )
        if self.oracles:
            _, prices, widths = zip(*self.oracles.values(), strict=True)
            wide = confidence_addon(prices, widths, multiple=rules.confidence_multiple)
            parts.append(Addon(name=wide.name, risk=wide.risk, rate=wide.rate.max()))
            age_s = (now - max(time for time, _, _ in self.oracles.values())) / 1e9
            if age_s > rules.stale_s:
                parts.append(staleness_addon(age_s, sigma_ann=sigma, year_s=horizon_s))
        if not parts:
            return {}
        charged = {risk: float(rate) for risk, rate in Addons(parts=tuple(parts)).by_risk().items()}
        return {risk: rate for risk, rate in charged.items() if rate > 0.0}

    def state(self) -> dict[str, Any]:
        """Return all that is remembered."""
        return {"venues": dict(self.venues), "oracles": dict(self.oracles)}

    @classmethod
    def resume(cls, saved: dict[str, Any]) -> "PriceBook":
        """Return the book that was saved."""
        return cls(venues=dict(saved["venues"]), oracles=dict(saved["oracles"]))
