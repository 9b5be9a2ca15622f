"""From raw publications to a feed: what is left out, and every breach of the feed's promise."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...findings import Finding, Severity
from ...rules import plural
from .feed import OracleFeed, Promise, missed_heartbeats

_STEPS_AT_ONCE = 2.0
"""A publication follows a move of one threshold; a step of two means that one did not come."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Publications:
    """What an oracle wrote, in the order in which it wrote it, shape (n,) each.

    Attributes
    ----------
    instrument, origin : str
        Whose price, and where it came from.
    publish_time : ndarray of int64
        Nanoseconds since 1970 UTC.
    price : ndarray of float64
        Quote currency.
    confidence : ndarray of float64
        Half-width of the confidence interval, quote currency; NaN without one.
    """

    instrument: str
    origin: str
    publish_time: NDArray[np.int64]
    price: NDArray[np.float64]
    confidence: NDArray[np.float64]

    def select(self, keep: NDArray[np.bool_]) -> "Publications":
        """Return the publications where `keep` is True."""
        return Publications(
            instrument=self.instrument,
            origin=self.origin,
            publish_time=self.publish_time[keep],
            price=self.price[keep],
            confidence=self.confidence[keep],
        )

    def finding(
        self, check: str, where: NDArray[np.bool_], detail: str, *, of: str = "publication"
    ) -> tuple[Finding, ...]:
        """Return one warning about the publications where `where` is True, if there are any."""
        times = self.publish_time[where]
        if not len(times):
            return ()
        return (
            Finding(
                check=check,
                severity=Severity.WARNING,
                instrument=self.instrument,
                count=len(times),
                first=pd.Timestamp(times.min(), tz="UTC"),
                last=pd.Timestamp(times.max(), tz="UTC"),
                detail=f"{self.origin}: {plural(len(times), of)} {detail}",
            ),
        )


def feed_from(
    published: Publications, *, promise: Promise, findings: tuple[Finding, ...] = ()
) -> OracleFeed:
    """Return the feed; what breaks its own promise becomes a finding, never an exception.

    A publication whose time lies before an earlier one is left out, since it says nothing new; of
    several at one time the last one counts. A price that is not above zero, and a confidence below
    zero, count as unknown.

    Parameters
    ----------
    published : Publications
        In the order in which the oracle wrote them.
    promise : Promise
        What the feed promises.
    findings : tuple of Finding
        What the reader found already; it comes first.

    Returns
    -------
    OracleFeed
    """
    newest = np.maximum.accumulate(published.publish_time)
    backwards = published.publish_time < newest
    findings += published.finding(
        "oracle-time-backwards",
        backwards,
        "with a time before that of an earlier one; left out",
    )
    published = published.select(~backwards)
    findings += _conflicts(published)
    published = published.select(_last_of_each(published.publish_time))
    findings += _unusable(published) + _breaches(published, promise)
    price, confidence = published.price, published.confidence
    return OracleFeed(
        instrument=published.instrument,
        origin=published.origin,
        promise=promise,
        publish_time=published.publish_time,
        price=np.where(price > 0, price, np.nan),
        confidence=np.where(confidence >= 0, confidence, np.nan),
        findings=findings,
    )


def _last_of_each(time: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.append(time[1:] != time[:-1], np.ones(min(len(time), 1), dtype=np.bool_))


def _conflicts(published: Publications) -> tuple[Finding, ...]:
    same_time = ~_last_of_each(published.publish_time)
    following = np.append(published.price[1:], np.nan)
    return published.finding(
        "oracle-conflicting-prices",
        same_time & (published.price != following),
        "with another price at the same time; the last one counts",
    )


def _unusable(published: Publications) -> tuple[Finding, ...]:
    return published.finding(
        "oracle-non-positive-price",
        ~(published.price > 0),
        "without a price above zero; these prices count as unknown",
    ) + published.finding(
        "oracle-negative-confidence",
        published.confidence < 0,
        "with a confidence below zero; it counts as unknown",
    )


def _breaches(published: Publications, promise: Promise) -> tuple[Finding, ...]:
    gap = np.diff(published.publish_time, prepend=published.publish_time[:1])
    missed = missed_heartbeats(gap, promise)
    found = published.finding(
        "oracle-missed-heartbeat",
        missed > 0,
        f"later than the heartbeat of {promise.heartbeat} allows, "
        f"{np.nansum(missed):.0f} heartbeats missed in all; the price before stood meanwhile",
    )
    if promise.deviation_threshold is not None:
        step = _step(published.price)
        found += published.finding(
            "oracle-late-deviation",
            step > _STEPS_AT_ONCE * promise.deviation_threshold,
            f"that moved the price by more than {_STEPS_AT_ONCE:g} thresholds of "
            f"{promise.deviation_threshold:.2%} at once (at most {step.max(initial=0):.2%}); "
            "the publication in between did not come",
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = published.confidence / published.price
    return found + published.finding(
        "oracle-wide-confidence",
        (published.price > 0) & (ratio > promise.max_confidence_ratio),
        f"with a confidence wider than {promise.max_confidence_ratio:.2%} of the price; kept",
    )


def _step(price: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each price lies from the last one above zero, a fraction of that; shape (n,).

    Parameters
    ----------
    price : ndarray of float64, shape (n,)
    """
    good = np.flatnonzero(price > 0)
    step = np.zeros(price.shape)
    step[good[1:]] = np.abs(price[good[1:]] / price[good[:-1]] - 1.0)
    return step
