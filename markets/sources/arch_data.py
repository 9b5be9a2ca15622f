"""The data sets inside the `arch` package: two stock indices and crude oil, daily, no download."""

from collections.abc import Iterator
from pathlib import Path

import arch.data.nasdaq
import arch.data.sp500
import arch.data.wti
import numpy as np
import pandas as pd

from ..findings import Finding, Severity
from .tables import RawTable


class ArchData:
    """Source ``"arch"``: SP500 and NASDAQ (1999 to 2018) and WTI (1986 to 2019, close only)."""

    @property
    def name(self) -> str:
        """The word that selects this source."""
        return "arch"

    def claims(self, target: str | Path) -> bool:
        """Whether `target` is the word ``"arch"``; a folder of that name is ``./arch``."""
        return target == self.name

    def read(self, target: str | Path) -> Iterator[RawTable]:
        """Yield SP500, NASDAQ and WTI; their session dates become UTC days."""
        yield self._table("SP500", _index_bars(arch.data.sp500.load()))
        yield self._table("NASDAQ", _index_bars(arch.data.nasdaq.load()))
        wti = arch.data.wti.load()
        yield self._table("WTI", _dated(wti.rename(columns={"DCOILWTICO": "close"})))

    def _table(self, instrument: str, frame: pd.DataFrame) -> RawTable:
        origin = f"{self.name}: {instrument}"
        if "volume" not in frame:
            return RawTable(instrument=instrument, origin=origin, frame=frame)
        # The index moved on these days, so shares were traded: the zero stands for "not recorded"
        # and must not be read as a trading halt.
        unrecorded = frame["volume"].eq(0) & frame["high"].gt(frame["low"])
        frame["volume"] = frame["volume"].astype(np.float64).mask(unrecorded)
        findings = _unrecorded_volume(instrument, origin, frame.loc[unrecorded, "open_time"])
        return RawTable(instrument=instrument, origin=origin, frame=frame, findings=findings)


def _index_bars(frame: pd.DataFrame) -> pd.DataFrame:
    return _dated(frame.drop(columns="Adj Close").rename(columns=str.lower))


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn the index of naive session dates into UTC days."""
    days = pd.DatetimeIndex(frame.index).tz_localize("UTC")
    return frame.assign(open_time=days).reset_index(drop=True)


def _unrecorded_volume(instrument: str, origin: str, times: pd.Series) -> tuple[Finding, ...]:
    if times.empty:
        return ()
    return (
        Finding(
            check="volume-not-recorded",
            severity=Severity.WARNING,
            instrument=instrument,
            count=len(times),
            first=times.iloc[0],
            last=times.iloc[-1],
            detail=f"{origin}: {len(times)} bars have zero volume although the price moved; "
            "their volume counts as unknown",
        ),
    )
