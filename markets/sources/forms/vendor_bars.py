"""Tables of data vendors: price, open interest, funding and liquidations side by side.

Coinglass and others write one row per interval with ``price_*``, ``oi_*`` and ``funding_*``
columns, funding in percent in one export and in decimals in the next.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...findings import Finding, Severity
from ...parsing import HOUR_NS
from ...rules import some_of, span
from ..tables import RawTable
from .form import FileTable, Form, Table, all_of, first_of
from .observing import Seen, observations, usual_step
from .units import FUNDING, PERCENT, is_percent
from .values import instants, numbers, require_rows

_TIMES = ("timestamp", "time", "open_time")
_BAR_COLUMNS = {
    "price_open": "open",
    "price_high": "high",
    "price_low": "low",
    "price_close": "close",
    "volume": "volume",
    "oi_close": "open_interest_value",
    "liquidation_long_usd": "liquidation_long",
    "liquidation_short_usd": "liquidation_short",
}
_FUNDING = "funding_close"
_SETTLEMENT_NS = 8 * HOUR_NS


def _claims(names: frozenset[str]) -> bool:
    return first_of(names, _TIMES) is not None and "price_close" in names


def _read(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    start = instants(file, first_of(file.names, _TIMES) or _TIMES[0])
    given = {name: column for name, column in _BAR_COLUMNS.items() if name in file.frame}
    frame = pd.DataFrame({column: numbers(file, name) for name, column in given.items()})
    frame["open_time"] = pd.DatetimeIndex(start, tz="UTC")
    seen = Seen(
        file=file, instrument=file.stem, label=file.stem, time=start, known_at=start, values={}
    )
    yield RawTable(
        instrument=file.stem,
        origin=str(file.path),
        frame=frame,
        findings=tuple(_about_bars(seen, file)),
    )
    if _FUNDING in file.frame:
        yield _funding(file, start)


def _about_bars(seen: Seen, file: FileTable) -> Iterator[Finding]:
    yield seen.finding(
        check="assumed-bar-start",
        severity=Severity.INFO,
        found="times are taken as the start of bars; if they are the end, write 'close_time'",
    )
    used = {*_TIMES, *_BAR_COLUMNS, _FUNDING}
    rest = [name for name in file.names if name not in used]
    if rest:
        yield seen.finding(
            check="unknown-column",
            severity=Severity.INFO,
            found=f"{len(rest)} columns not used ({some_of(rest)})",
            count=len(rest),
        )


def _funding(file: FileTable, start: NDArray[np.int64]) -> Table:
    """Keep the rates at settlements: a table of samples names each rate many times."""
    rate = numbers(file, _FUNDING)
    percent = is_percent(rate, FUNDING, column=_FUNDING)
    step = usual_step(start)
    end = start + step
    settled = (end % _SETTLEMENT_NS == 0) & np.isfinite(rate)
    seen = Seen(
        file=file,
        instrument=file.stem,
        label=file.stem,
        time=end[settled],
        known_at=end[settled],
        values={"funding_rate": (rate / PERCENT if percent else rate)[settled]},
    )
    findings = [
        seen.finding(
            check="unit-read",
            severity=Severity.INFO,
            found=f"{_FUNDING!r} is read as {_unit(percent)}, by its size",
        ),
        seen.finding(
            check="sampled-funding",
            severity=Severity.INFO,
            found=f"the rate is sampled every {span(step)}; the samples at 00, 08 and 16 UTC are "
            "taken as settlements, so that a day sums three rates",
        ),
    ]
    return observations(seen, findings=findings)


def _unit(percent: bool) -> str:
    return "percent, converted to decimals" if percent else "decimals"


VENDOR_BARS = Form(
    name="vendor table",
    columns="`timestamp`, `price_close`, perhaps `oi_close`, `funding_close`, `liquidation_*_usd`",
    claims=_claims,
    wanted=all_of,
    read=_read,
    holds_bars=True,
)
"""One instrument per file."""
