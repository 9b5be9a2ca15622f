"""What an oracle published, and whether it kept the feed's own promise."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ....errors import InputError, ShapeError
from ...findings import Finding
from ...observations import Observations
from ...parsing import SECOND_NS

_NO_DELAY = pd.Timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What a feed promises about its own publications; at least one age must be named.

    Attributes
    ----------
    heartbeat : pandas.Timedelta or None
        Longest time between two publications; None for a feed that promises none.
    deviation_threshold : float or None
        Move of the price that makes the feed publish before its heartbeat, as a fraction of the
        last published price (0.005 is half a percent); None for a feed that promises none.
    grace : pandas.Timedelta
        How much later than its heartbeat a publication may land (the time of a block).
    max_age : pandas.Timedelta or None
        Age beyond which a price is stale; None for heartbeat plus grace.
    max_confidence_ratio : float
        Largest half-width of the confidence interval, as a fraction of the price.
    """

    heartbeat: pd.Timedelta | None = None
    deviation_threshold: float | None = None
    grace: pd.Timedelta = _NO_DELAY
    max_age: pd.Timedelta | None = None
    max_confidence_ratio: float = 0.01

    def __post_init__(self) -> None:
        if self.heartbeat is None and self.max_age is None:
            raise InputError(
                "the promise of an oracle must name a heartbeat or a max_age, found neither; "
                "without one no price is ever stale"
            )
        for name in ("heartbeat", "max_age"):
            length = getattr(self, name)
            if length is not None and not length > _NO_DELAY:
                raise InputError(f"{name} must be longer than zero, was {length}")
        if not self.grace >= _NO_DELAY:
            raise InputError(f"grace must not be negative, was {self.grace}")
        for name in ("deviation_threshold", "max_confidence_ratio"):
            fraction = getattr(self, name)
            if fraction is not None and not 0 < fraction < 1:
                raise InputError(
                    f"{name} must be in (0, 1), was {fraction}; write 0.005 for half a percent"
                )

    @property
    def stale_after(self) -> pd.Timedelta:
        """Age beyond which a price is stale."""
        if self.max_age is not None:
            return self.max_age
        return (self.heartbeat or _NO_DELAY) + self.grace


@dataclass(frozen=True, kw_only=True, eq=False)
class OracleState:
    """What a reader of the feed held at given times, each of shape (n_times,).

    Attributes
    ----------
    time : ndarray of int64
        When it was read, nanoseconds since 1970 UTC.
    price : ndarray of float64
        Last price known then, quote currency; NaN before the first.
    age_s : ndarray of float64
        Seconds since that price was published; NaN before the first.
    stale : ndarray of bool
        Whether it was older than the promise allows; True where there was none.
    confidence_ratio : ndarray of float64
        Half-width of the confidence interval as a fraction of the price; NaN without one.
    missed_heartbeats : ndarray of float64
        Heartbeats that had passed without a publication, count; NaN before the first price and
        for a feed without heartbeat.
    """

    time: NDArray[np.int64]
    price: NDArray[np.float64]
    age_s: NDArray[np.float64]
    stale: NDArray[np.bool_]
    confidence_ratio: NDArray[np.float64]
    missed_heartbeats: NDArray[np.float64]

    def frame(self) -> pd.DataFrame:
        """Return one row per time, columns as the attributes; `time` in UTC."""
        columns = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return pd.DataFrame(columns | {"time": pd.to_datetime(self.time, utc=True)})


@dataclass(frozen=True, kw_only=True, eq=False)
class OracleFeed:
    """Publications of one oracle for one instrument, in the order of time.

    Attributes
    ----------
    instrument : str
        Whose price.
    origin : str
        Where it came from, as the caller wrote it; messages name it.
    promise : Promise
        What the feed promises.
    publish_time : ndarray of int64, shape (n,)
        When each price was published, nanoseconds since 1970 UTC, strictly increasing.
    price : ndarray of float64, shape (n,)
        Quote currency; NaN where the feed published none above zero.
    confidence : ndarray of float64, shape (n,)
        Half-width of the confidence interval, quote currency; NaN without one.
    findings : tuple of Finding
        Every breach of the promise, and what was left out.
    """

    instrument: str
    origin: str
    promise: Promise
    publish_time: NDArray[np.int64]
    price: NDArray[np.float64]
    confidence: NDArray[np.float64]
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.publish_time):
            raise InputError(
                f"{self.origin}: an oracle feed must have a publication, found none; check the "
                "feed and the range that was asked for"
            )
        for name in ("price", "confidence"):
            found = getattr(self, name).shape
            if found != self.publish_time.shape:
                raise ShapeError(
                    f"{self.origin}: {name} must have shape {self.publish_time.shape} like "
                    f"publish_time, was {found}"
                )

    def observations(self, *, delay: pd.Timedelta = _NO_DELAY) -> Observations:
        """Return the prices as observations of the instrument.

        Parameters
        ----------
        delay : pandas.Timedelta
            How long after its publication a price could be known; not negative.

        Returns
        -------
        Observations
            `oracle_price`, and `oracle_confidence` if the feed has one. A price stands until the
            next, however old: what reads an oracle reads it stale as well.
        """
        values = {"oracle_price": self.price}
        if np.isfinite(self.confidence).any():
            values["oracle_confidence"] = self.confidence
        return Observations(
            instrument=self.instrument,
            origin=self.origin,
            time=self.publish_time,
            known_at=self.publish_time + delay.value,
            values=values,
            findings=self.findings,
        )

    def state_at(self, time: NDArray[np.int64], *, delay: pd.Timedelta = _NO_DELAY) -> OracleState:
        """Return what a reader of the feed held at each time: the last price, and how old.

        Parameters
        ----------
        time : ndarray of int64, shape (n_times,)
            Nanoseconds since 1970 UTC, in any order.
        delay : pandas.Timedelta
            How long after its publication a price could be known; not negative.

        Returns
        -------
        OracleState
        """
        last = np.searchsorted(self.publish_time + delay.value, time, side="right") - 1
        known = last >= 0
        age = np.where(known, time - self.publish_time[last], 0)
        return OracleState(
            time=time,
            price=np.where(known, self.price[last], np.nan),
            age_s=np.where(known, age / SECOND_NS, np.nan),
            stale=~known | (age > self.promise.stale_after.value),
            confidence_ratio=np.where(known, (self.confidence / self.price)[last], np.nan),
            missed_heartbeats=np.where(known, missed_heartbeats(age, self.promise), np.nan),
        )


def missed_heartbeats(age: NDArray[np.int64], promise: Promise) -> NDArray[np.float64]:
    """Return how many heartbeats passed without a publication; NaN without heartbeat.

    Parameters
    ----------
    age : ndarray of int64, shape (n,)
        Time since the last publication, nanoseconds. A heartbeat is missed once it is exceeded:
        an age of exactly one heartbeat misses none, anything up to two misses one.
    promise : Promise
        Its grace counts towards the first heartbeat.
    """
    if promise.heartbeat is None:
        return np.full(age.shape, np.nan)
    late = age - promise.grace.value - 1
    return np.asarray(np.maximum(late // promise.heartbeat.value, 0), dtype=np.float64)
