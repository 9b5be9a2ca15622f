"""A bar table as the checks of whole series see it: sorted, priced, numbers only."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calendars import trades_every_day
from ..findings import Finding, Severity
from ..parsing import nanoseconds


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Bars with a close, in order.

    Attributes
    ----------
    instrument, origin : str
        Whose bars, and how messages call them.
    start : ndarray of int64, shape (n,)
        Start of each bar, nanoseconds since 1970 UTC, not decreasing.
    length : int
        Bar length, nanoseconds; 0 if unknown.
    every_day : bool
        Whether there are bars on Saturdays and on Sundays.
    close : ndarray, shape (n,)
        Positive closes.
    log_return : ndarray, shape (n,)
        Decimal log return since the bar before; zero for the first.
    columns : mapping of str to ndarray, shape (n,)
        Every numeric column, NaN where unknown.
    """

    instrument: str
    origin: str
    start: NDArray[np.int64]
    length: int
    every_day: bool
    close: NDArray[np.float64]
    log_return: NDArray[np.float64]
    columns: Mapping[str, NDArray[np.float64]]

    def finding(
        self,
        *,
        check: str,
        found: str,
        rows: NDArray[np.intp],
        count: int | None = None,
        severity: Severity = Severity.WARNING,
    ) -> Finding:
        """Return a finding about some bars, given by their positions in order."""
        return Finding(
            check=check,
            severity=severity,
            instrument=self.instrument,
            count=len(rows) if count is None else count,
            first=self.at(rows[0]),
            last=self.at(rows[-1]),
            detail=f"{self.origin}: {found}",
        )

    def at(self, row: np.intp) -> pd.Timestamp:
        """Return the start of a bar."""
        return pd.Timestamp(int(self.start[row]), tz="UTC")

    @property
    def carried(self) -> NDArray[np.bool_]:
        """True for bars in which nobody traded and the close of the bar before stands in.

        Open, high, low and close are all that close, and volume is zero where it is known: a
        quiet trade at the same price has a volume.
        """
        if "high" not in self.columns or len(self.close) < 2:
            return np.zeros(len(self.close), dtype=np.bool_)
        flat = np.concatenate([[False], self.close[1:] == self.close[:-1]])
        for name in ("open", "high", "low"):
            flat &= self.columns[name] == self.close
        if "volume" in self.columns and (self.columns["volume"] > 0).any():
            flat &= self.columns["volume"] == 0
        return flat


def series_of(bars: pd.DataFrame, length: int, *, instrument: str, origin: str) -> Series:
    """Return the bars that have a positive, finite close, sorted by time.

    Parameters
    ----------
    bars : pandas.DataFrame
        `time` (datetime64[ns, UTC]) and numeric columns.
    length : int
        Bar length, nanoseconds; 0 if unknown.
    instrument, origin : str
        Whose bars, and how messages call them.
    """
    close = bars["close"].to_numpy()
    start = nanoseconds(bars["time"])
    rows = np.flatnonzero(np.isfinite(close) & (close > 0))
    whole = len(rows) == len(close)
    if (np.diff(start) < 0).any():
        rows = rows[np.argsort(start[rows], kind="stable")]
        whole = False
    columns = {str(name): bars[name].to_numpy() for name in bars.columns if name != "time"}
    if not whole:
        columns = {name: values[rows] for name, values in columns.items()}
        start = start[rows]
    logs = np.log(columns["close"])
    return Series(
        instrument=instrument,
        origin=origin,
        start=start,
        length=length,
        every_day=trades_every_day(start),
        close=columns["close"],
        log_return=np.diff(logs, prepend=logs[:1]),
        columns=columns,
    )


def typical_size(log_return: NDArray[np.float64], row: int, *, around: int = 50) -> float:
    """Return how large returns usually are: around a bar, or throughout, whichever is more.

    The median of their sizes; the bar itself and the next are left out, so that a bad price does
    not hide itself.
    """
    near = np.abs(log_return[max(0, row - around) : row + around])
    own = min(row, around)
    near = np.delete(near, [i for i in (own, own + 1) if i < len(near)])
    everywhere = float(np.median(np.abs(log_return[:: max(1, len(log_return) // 10_000)])))
    return max(float(np.median(near)) if len(near) else 0.0, everywhere)


def longest_runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where runs of True begin, and how long they are."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2] - edges[::2]
