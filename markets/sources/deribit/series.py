"""Deribit's histories as canonical tables: DVOL, price bars and funding."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ....errors import SourceError
from ...parsing import DAY_NS, HOUR_NS, MINUTE_NS
from ..answers import as_number, item, number, rows, whole_number
from .api import MS_NS, PERCENT, Answer, DeribitApi

VOLATILITY_INTERVALS: Mapping[str, str] = {"1m": "60", "1h": "3600", "12h": "43200", "1d": "1D"}
"""Bar lengths of DVOL, and Deribit's words for them (seconds)."""

BAR_INTERVALS: Mapping[str, str] = {
    **{f"{n}m": str(n) for n in (1, 3, 5, 10, 15, 30)},
    **{f"{n}h": str(60 * n) for n in (1, 2, 3, 6, 12)},
    "1d": "1D",
}
"""Bar lengths of prices, and Deribit's words for them (minutes)."""

_UNITS_NS = {"m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS}
_BARS_PER_REQUEST = 5_000
_FUNDING_PER_REQUEST = 30 * DAY_NS  # an hourly series; Deribit sends 744 rows at most
_CANDLE = ("start", "open", "high", "low", "close")
_BAR_COLUMNS = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "cost": "quote_asset_volume",
}


def volatility_index(
    api: DeribitApi, currency: str, *, start: pd.Timestamp, end: pd.Timestamp, interval: str
) -> pd.DataFrame:
    """Return the volatility index DVOL of a currency as rows of an observation file.

    Parameters
    ----------
    api : DeribitApi
        Asks.
    currency : str
        ``BTC`` or ``ETH``.
    start, end : pandas.Timestamp
        First (inclusive) and last (exclusive) start of a candle.
    interval : str
        A key of :data:`VOLATILITY_INTERVALS`.

    Returns
    -------
    pandas.DataFrame
        ``time`` and ``known_at``, both the END of the candle, since its close is not known
        before; ``implied_vol``, the close, decimal per year (0.848 is 84.8 %). A candle that is
        still forming is left out.

    Raises
    ------
    SourceError
        If the server fails or answers in another form.
    """
    candles: dict[int, float] = {}
    until: int | None = _milliseconds(end) - 1
    while until is not None and until >= _milliseconds(start):
        answer = api.ask(
            "get_volatility_index_data",
            currency=currency,
            start_timestamp=_milliseconds(start),
            end_timestamp=until,
            resolution=VOLATILITY_INTERVALS[interval],
        )
        candles |= _closes(answer, length=_length_ns(interval))
        until = _continuation(answer, before=until)
    first, last = start.value + _length_ns(interval), end.value + _length_ns(interval)
    known = sorted(time for time in candles if first <= time < last)
    times = _utc(known)
    return pd.DataFrame(
        {
            "time": times,
            "known_at": times,
            "implied_vol": np.array([candles[time] for time in known], dtype=np.float64),
        }
    )


def price_bars(
    api: DeribitApi, instrument: str, *, start: pd.Timestamp, end: pd.Timestamp, interval: str
) -> pd.DataFrame:
    """Return the price bars of an instrument as rows of a bar file.

    Parameters
    ----------
    api : DeribitApi
        Asks, 5,000 bars at a time.
    instrument : str
        For example ``BTC-PERPETUAL``.
    start, end : pandas.Timestamp
        First (inclusive) and last (exclusive) start of a bar.
    interval : str
        A key of :data:`BAR_INTERVALS`.

    Returns
    -------
    pandas.DataFrame
        ``open_time``, open, high, low, close, ``volume`` in the base currency and
        ``quote_asset_volume``. A bar that is still forming is left out. Where nothing traded,
        Deribit repeats the last price with a volume of zero.

    Raises
    ------
    SourceError
        If the server fails or answers in another form.
    """
    length = _length_ns(interval)
    parts = []
    for begin in range(start.value, end.value, _BARS_PER_REQUEST * length):
        stop = min(begin + _BARS_PER_REQUEST * length, end.value)
        answer = api.ask(
            "get_tradingview_chart_data",
            instrument_name=instrument,
            start_timestamp=begin // MS_NS,
            end_timestamp=stop // MS_NS - 1,
            resolution=BAR_INTERVALS[interval],
        )
        part = _bars(answer, length=length)
        parts.append(part[part["open_time"].between(_stamp(begin), _stamp(stop), "left")])
    return pd.concat(parts, ignore_index=True).drop_duplicates("open_time", ignore_index=True)


def funding_history(
    api: DeribitApi, instrument: str, *, start: pd.Timestamp, end: pd.Timestamp
) -> pd.DataFrame:
    """Return the hourly funding of a perpetual as rows of an observation file.

    Parameters
    ----------
    api : DeribitApi
        Asks, 30 days at a time.
    instrument : str
        For example ``BTC-PERPETUAL``.
    start, end : pandas.Timestamp
        From when (inclusive) to when (exclusive).

    Returns
    -------
    pandas.DataFrame
        ``time`` and ``known_at``, both the end of the hour; ``funding_rate``, paid by longs over
        that hour, decimal; ``index_price`` at its end, quote currency.

    Raises
    ------
    SourceError
        If the server fails or answers in another form.
    """
    found: dict[int, tuple[float, float]] = {}
    for begin in range(start.value, end.value, _FUNDING_PER_REQUEST):
        answer = api.ask(
            "get_funding_rate_history",
            instrument_name=instrument,
            start_timestamp=begin // MS_NS,
            end_timestamp=min(begin + _FUNDING_PER_REQUEST, end.value) // MS_NS,
        )
        for row in rows(answer.result, answer.endpoint):
            time = whole_number(row, "timestamp", answer.endpoint) * MS_NS
            rate = number(row, "interest_1h", answer.endpoint)
            found[time] = (rate, number(row, "index_price", answer.endpoint))
    known = sorted(time for time in found if start.value <= time < end.value)
    values = np.array([found[time] for time in known], dtype=np.float64).reshape(-1, 2)
    times = _utc(known)
    return pd.DataFrame(
        {
            "time": times,
            "known_at": times,
            "funding_rate": values[:, 0],
            "index_price": values[:, 1],
        }
    )


def _closes(answer: Answer, *, length: int) -> dict[int, float]:
    """Return the close of each finished candle by the time of its end, decimal per year."""
    found = {}
    for candle in rows(item(answer.result, "data", answer.endpoint), answer.endpoint):
        named = dict(zip(_CANDLE, rows(candle, answer.endpoint), strict=False))
        end = whole_number(named, "start", answer.endpoint) * MS_NS + length
        if end <= answer.time:
            found[end] = number(named, "close", answer.endpoint) / PERCENT
    return found


def _continuation(answer: Answer, *, before: int) -> int | None:
    """Return where the next request has to end, milliseconds; None if that was all."""
    if item(answer.result, "continuation", answer.endpoint) is None:
        return None
    until = whole_number(answer.result, "continuation", answer.endpoint)
    if until >= before:
        raise SourceError(
            f"{answer.endpoint}: pages must lead back in time, and the one that ended at {before} "
            f"continues at {until}; the server may have changed how it pages",
            damaged=True,
        )
    return until


def _bars(answer: Answer, *, length: int) -> pd.DataFrame:
    """Return the finished bars of one answer."""
    endpoint = answer.endpoint
    no_data = item(answer.result, "status", endpoint) == "no_data"
    ticks = [] if no_data else rows(item(answer.result, "ticks", endpoint), endpoint)
    columns: dict[str, Any] = {"open_time": _utc([_tick(tick, endpoint) for tick in ticks])}
    for theirs, ours in _BAR_COLUMNS.items():
        values = [] if no_data else rows(item(answer.result, theirs, endpoint), endpoint)
        if len(values) != len(ticks):
            raise SourceError(
                f"{endpoint}: the answer must hold as many values in {theirs!r} as in 'ticks' "
                f"({len(ticks)}), found {len(values)}; ask again",
                damaged=True,
            )
        numbers = [as_number(value, theirs, endpoint) for value in values]
        columns[ours] = np.array(numbers, dtype=np.float64)
    frame = pd.DataFrame(columns)
    return frame[frame["open_time"] <= _stamp(answer.time - length)]


def _tick(tick: object, endpoint: str) -> int:
    return whole_number({"ticks": tick}, "ticks", endpoint) * MS_NS


def _length_ns(interval: str) -> int:
    return int(interval[:-1]) * _UNITS_NS[interval[-1]]


def _milliseconds(time: pd.Timestamp) -> int:
    return int(time.value // MS_NS)


def _stamp(time: int) -> pd.Timestamp:
    return pd.Timestamp(time, tz="UTC")


def _utc(times: list[int]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.array(times, dtype=np.int64)).tz_localize("UTC")
