"""From when a published series is known: its lag after the date it is filed under.

A source such as FRED files a value under the day, week or month that it speaks of; it is known
only when it is published. The lags here are those of the publication schedules [1]_, rounded up
to the next midnight UTC after the release, so that a value is never known too early.

References
----------
.. [1] Board of Governors, releases H.4.1, H.10 and H.15; Federal Reserve Banks of Chicago (NFCI),
   St. Louis (STLFSI) and New York (RRP, SOFR); EIA; BLS; BEA: release calendars of 2024.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...calendars import weekday
from ...parsing import DAY_NS
from .observing import usual_step

_FRIDAY = 4


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How long after its date a value is known.

    Attributes
    ----------
    days : int
        Calendar days from the midnight UTC that starts the date.
    business_days : int
        Weekdays, counted before the calendar days.
    revised : bool
        Whether the history is revised after its first publication, so that the values of today
        are not those that were known then.
    """

    days: int
    business_days: int = 0
    revised: bool = False


_SAME_DAY = Lag(days=1)  # a closing price, or a rate published in the afternoon
_NEXT_DAY = Lag(business_days=1, days=1)  # published in the course of the next weekday
_H10 = Lag(days=11)  # on Mondays, for the week up to the Friday before
_MONTH = Lag(days=35)  # filed under the first of the month, published days after its end
_MID_MONTH = Lag(days=50, revised=True)  # published in the middle of the next month

LAGS: Mapping[str, Lag] = {
    **dict.fromkeys(
        ("SP500", "NASDAQCOM", "DJIA", "VIXCLS", "VIX", "DXY", "RRPONTSYD", "FNG"), _SAME_DAY
    ),
    **dict.fromkeys(
        (
            *("DGS1MO", "DGS3MO", "DGS6MO", "DGS1", "DGS2", "DGS3", "DGS5", "DGS7", "DGS10"),
            *("DGS20", "DGS30", "DTB3", "DFF", "EFFR", "SOFR", "OBFR", "IORB", "DFII10"),
            *("T10Y2Y", "T10Y3M", "T10YIE", "T5YIE", "T5YIFR", "DPRIME"),
            *("BAMLC0A0CM", "BAMLH0A0HYM2", "BAMLC0A4CBBB", "BAMLEMCBPIOAS"),
            *("HASHRATE", "DIFFICULTY", "ACTIVE_ADDRESSES", "FEES_BTC", "TX_COUNT"),
        ),
        _NEXT_DAY,
    ),
    **dict.fromkeys(
        ("DTWEXBGS", "DTWEXAFEGS", "DEXUSEU", "DEXJPUS", "DEXUSUK", "DEXCHUS", "DEXSZUS"), _H10
    ),
    **dict.fromkeys(("WALCL", "WRESBAL", "WTREGEN", "TREAST"), Lag(days=2)),  # Wednesday, Thursday
    **dict.fromkeys(("NFCI", "ANFCI", "NFCICREDIT", "NFCIRISK"), Lag(days=6, revised=True)),
    **dict.fromkeys(("STLFSI2", "STLFSI3", "STLFSI4"), Lag(days=7, revised=True)),
    **dict.fromkeys(("DCOILWTICO", "DCOILBRENTEU", "DHHNGSP"), Lag(days=9)),  # on Wednesdays
    **dict.fromkeys(("ICSA", "CCSA"), Lag(days=13, revised=True)),
    **dict.fromkeys(("FEDFUNDS", "GS10", "TB3MS"), _MONTH),
    **dict.fromkeys(
        ("CPIAUCSL", "CPILFESL", "UNRATE", "PAYEMS", "M2SL", "INDPRO", "RSAFS", "PCEPI"), _MID_MONTH
    ),
    **dict.fromkeys(("GDP", "GDPC1"), Lag(days=125, revised=True)),
}
"""Publication lags by FRED code, or by the name of a well-known series."""


def assumed_lag(date: NDArray[np.int64]) -> Lag:
    """Return a lag that is long enough for a series of which nothing is known.

    Parameters
    ----------
    date : ndarray of int64, shape (n,)
        Dates of the values, nanoseconds since 1970 UTC.

    Returns
    -------
    Lag
        10 days for a daily series, 14 for a weekly, 75 for a monthly one, else two steps.
    """
    step_days = usual_step(date) / DAY_NS
    if step_days <= 4:
        return Lag(days=10)
    if step_days <= 10:
        return Lag(days=14)
    return Lag(days=75) if step_days <= 35 else Lag(days=int(2 * step_days))


def known_from(date: NDArray[np.int64], lag: Lag) -> NDArray[np.int64]:
    """Return from when values are known, nanoseconds since 1970 UTC, shape (n,).

    Examples
    --------
    Friday's Treasury yields are published on Monday, and known for certain on Tuesday, 00:00 UTC:

    >>> friday = np.array(["2024-03-01"], dtype="datetime64[ns]").astype(np.int64)
    >>> known_from(friday, LAGS["DGS10"]).astype("datetime64[ns]").astype("datetime64[D]")
    array(['2024-03-05'], dtype='datetime64[D]')
    """
    known = date.copy()
    for _ in range(lag.business_days):
        # The weekday after a Friday is a Monday, and so it is after a Saturday and a Sunday.
        known = known + np.where(weekday(known) >= _FRIDAY, 7 - weekday(known), 1) * DAY_NS
    return known + lag.days * DAY_NS
