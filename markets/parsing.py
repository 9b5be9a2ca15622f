"""From text and timestamps to numbers: UTC nanoseconds and float64."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .columns import COLUMNS, TIME_COLUMNS

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS

_ZONE = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"


def time_column_of(frame: pd.DataFrame) -> str:
    """Return the column that dates the bars; ``open_time`` if there is none at all."""
    return next((name for name in TIME_COLUMNS if name in frame), TIME_COLUMNS[0])


def is_number(values: pd.Series) -> pd.Series:
    """Return True where a value is a number or empty, shape (n_rows,)."""
    if pd.api.types.is_numeric_dtype(values):
        return pd.Series(True, index=values.index)
    return pd.to_numeric(values, errors="coerce").notna() | values.isna()


def has_zone(times: pd.Series) -> pd.Series:
    """Return False where a readable timestamp lacks a time zone, shape (n_rows,)."""
    if isinstance(times.dtype, pd.DatetimeTZDtype) or pd.api.types.is_numeric_dtype(times):
        return pd.Series(True, index=times.index)
    if pd.api.types.is_datetime64_any_dtype(times):
        return pd.Series(False, index=times.index)
    text = times.astype(str).str.strip()
    readable = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601").notna()
    return text.str.contains(_ZONE) | ~readable


def is_instant(times: pd.Series) -> pd.Series:
    """Return False where a value is no timestamp at all, shape (n_rows,)."""
    if pd.api.types.is_datetime64_any_dtype(times):
        return times.notna()
    if pd.api.types.is_numeric_dtype(times):
        return pd.Series(False, index=times.index)
    text = times.astype(str).str.strip()
    return pd.Series(
        pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601").notna(), index=times.index
    )


def nanoseconds(times: pd.Series) -> NDArray[np.int64]:
    """Return datetime64[ns, UTC] as nanoseconds since 1970, shape (n_rows,)."""
    return np.asarray(times.astype(np.int64), dtype=np.int64)


def to_utc(times: pd.Series) -> pd.Series:
    """Return zoned timestamps or zoned ISO text as datetime64[ns, UTC], shape (n_rows,)."""
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        text = times.astype(str).str.strip()
        times = pd.to_datetime(text, utc=True, format="ISO8601")
    utc: pd.Series = times.dt.tz_convert("UTC").dt.as_unit("ns")
    return utc


def to_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the numeric bar columns as float64; text becomes NaN (the checks have listed it).

    Columns that are float64 already are shared with `frame`, not copied.
    """
    names = [name for name in COLUMNS if name in frame]
    return pd.DataFrame(
        {name: _as_numbers(frame[name]) for name in names}, index=frame.index, copy=False
    )


def _as_numbers(values: pd.Series) -> pd.Series:
    if values.dtype == np.float64:
        return values
    return pd.to_numeric(values, errors="coerce").astype(np.float64)


def bar_starts(times: NDArray[np.int64], *, ends: bool) -> tuple[NDArray[np.int64], int]:
    """Return when each bar starts, and the bar length.

    The length is the most common step between distinct times (the shorter one of a tie). Times of
    bars of a minute or longer are rounded to the second: exchanges write the end of a bar as
    ``00:59:59.999`` and stamp funding a few milliseconds late.

    Parameters
    ----------
    times : ndarray of int64, shape (n_bars,)
        Nanoseconds since 1970 UTC, in any order.
    ends : bool
        Whether `times` are the ends of the bars rather than their starts.

    Returns
    -------
    starts : ndarray of int64, shape (n_bars,)
        Nanoseconds since 1970 UTC, in the order of `times`.
    length : int
        Bar length, nanoseconds; 0 where fewer than two distinct times leave it unknown.
    """
    steps = _steps(times)
    if len(steps) and _median(steps) >= MINUTE_NS:
        times = (times + SECOND_NS // 2) // SECOND_NS * SECOND_NS
        steps = _steps(times)
    length = _most_common(steps) if len(steps) else 0
    return times - length if ends else times, length


def distinct(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct times, increasing; numpy's own `unique` hashes, which takes seconds."""
    if not (times[1:] > times[:-1]).all():
        times = np.sort(times)
        times = times[np.flatnonzero(np.diff(times, prepend=times[:1] - 1))]
    return times


def _steps(times: NDArray[np.int64]) -> NDArray[np.int64]:
    once = distinct(times)
    return once[1:] - once[:-1]


def _median(steps: NDArray[np.int64]) -> float:
    return float(steps[0] if _all_equal(steps) else np.median(steps))


def _all_equal(steps: NDArray[np.int64]) -> bool:
    """Whether there is only one step: the usual case, in which nothing has to be sorted."""
    return bool((steps == steps[0]).all())


def _most_common(steps: NDArray[np.int64]) -> int:
    if _all_equal(steps):
        return int(steps[0])
    values, counts = np.unique(steps, return_counts=True)
    return int(values[counts.argmax()])
