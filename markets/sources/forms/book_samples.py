"""Samples of order books: quotes, spreads, and what an order of some size would have cost."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ...findings import Finding, Severity
from ...parsing import MINUTE_NS
from ...rules import plural, some_of
from .form import FileTable, Form, Table, all_of, first_of
from .observing import Seen, lasting, observations
from .values import instants, numbers, require_rows, rows_by

_MINUTES = "ts_minute_utc"
_TIMES = (_MINUTES, "timestamp", "time")
_VENUES = ("exchange", "venue")
_NAMES = ("instrument", "symbol", "ticker")
_KEY = "venue:symbol"
_SIDES = {"ask": "buy", "bid": "sell"}  # a buyer pays the asks
_THOUSANDS = {"k": 1_000, "m": 1_000_000}
_BPS = 1e4
_SHARE_TO_NAME = 5  # kinds of error that a sentence lists


def _claims(names: frozenset[str]) -> bool:
    return first_of(names, _TIMES) is not None and {"best_bid", "best_ask"} <= names


def _read(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    venue, pair = (first_of(file.names, one) for one in (_VENUES, _NAMES))
    if pair is None:
        yield _table(file, file.stem)
        return
    names = file.frame[pair].astype(str)
    if venue is not None and file.frame[venue].nunique() > 1:
        names = file.frame[venue].astype(str) + ":" + names
    named = file.frame.assign(**{_KEY: names})
    whole = FileTable(path=file.path, stem=file.stem, names=file.names, frame=named)
    for name, rows in rows_by(whole, _KEY):
        yield _table(rows, name)


def _table(file: FileTable, name: str) -> Table:
    column = first_of(file.names, _TIMES) or _TIMES[0]
    time = instants(file, column)
    seen = Seen(
        file=file,
        instrument=name,
        label=name,
        time=time,
        # A row of a minute is the mean of samples inside it, so that it is known at its end.
        known_at=time + (MINUTE_NS if column == _MINUTES else 0),
        values={},
    )
    failed = _failed(file)
    quotes = _quotes(file)
    crossed = quotes["bid"] > quotes["ask"]
    zero = quotes["bid"] == quotes["ask"]
    values = {**quotes, "spread_bps": _spread(quotes), **_slippage(file)}
    values = {
        field: np.where(crossed | (zero & (field not in quotes)), np.nan, column)
        for field, column in values.items()
    }
    findings = [
        *_error_rows(seen, file, failed),
        *_flagged(seen, "crossed-quote", crossed, "the bid is above the ask", "they are unknown"),
        *_flagged(
            seen,
            "zero-spread",
            zero,
            "bid and ask are the same, which prices that are rounded too coarsely look like",
            "spread and slippage are unknown there",
        ),
        *_unfilled(seen, file),
        *_ignored(seen, file),
    ]
    kept = ~failed
    left = Seen(
        file=file,
        instrument=name,
        label=name,
        time=seen.time[kept],
        known_at=seen.known_at[kept],
        values={field: column[kept] for field, column in values.items()},
    )
    return observations(
        left,
        findings=findings,
        max_age=lasting(left.known_at, steps=10, least_days=0),
        rare=[field for field in values if field not in quotes],
    )


def _failed(file: FileTable) -> NDArray[np.bool_]:
    if "error" not in file.frame:
        return np.zeros(len(file.frame), dtype=np.bool_)
    errors = file.frame["error"].fillna("").astype(str).str.strip()
    return np.asarray(errors != "", dtype=np.bool_)


def _quotes(file: FileTable) -> dict[str, NDArray[np.float64]]:
    return {"bid": numbers(file, "best_bid"), "ask": numbers(file, "best_ask")}


def _spread(quotes: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    bid, ask = quotes["bid"], quotes["ask"]
    spread: NDArray[np.float64] = _BPS * (ask - bid) / (0.5 * (ask + bid))
    return spread


def _slippage(file: FileTable) -> dict[str, NDArray[np.float64]]:
    """Read costs by size of order; unknown where the book did not hold the size."""
    found = {}
    for name in file.names:
        match = re.fullmatch(r"(ask|bid)_slip_(\d+)([km]?)", name)
        if match is None:
            continue
        size = int(match[2]) * _THOUSANDS.get(match[3], 1)
        values = numbers(file, name)
        filled = _filled(file, name.replace("slip", "fill"))
        found[f"slippage_{_SIDES[match[1]]}_{size}"] = np.where(filled, values, np.nan)
    return found


def _filled(file: FileTable, name: str) -> NDArray[np.bool_]:
    if name not in file.frame:
        return np.ones(len(file.frame), dtype=np.bool_)
    return np.asarray(file.frame[name].astype(str).str.lower() != "false", dtype=np.bool_)


def _unfilled(seen: Seen, file: FileTable) -> Iterator[Finding]:
    thin = [name for name in file.names if re.fullmatch(r"(ask|bid)_fill_\d+[km]?", name)]
    rows = ~np.all([_filled(file, name) for name in thin], axis=0) if thin else np.array([False])
    if thin and rows.any():
        yield seen.finding(
            check="unfilled-size",
            severity=Severity.INFO,
            found="the book did not hold every size in "
            f"{plural(int(rows.sum()), 'row')}; the slippage of those sizes is unknown there",
            rows=rows,
        )


def _ignored(seen: Seen, file: FileTable) -> Iterator[Finding]:
    slips = [name for name in file.names if re.fullmatch(r"(ask|bid)_(slip|fill)_.*", name)]
    used = {*_TIMES, *_VENUES, *_NAMES, "best_bid", "best_ask", "error", _KEY, *slips}
    rest = [name for name in file.names if name not in used]
    if rest:
        yield seen.finding(
            check="unknown-column",
            severity=Severity.INFO,
            found=f"{plural(len(rest), 'column')} not needed for quotes and slippage ignored "
            f"({some_of(rest)})",
            count=len(rest),
        )


def _error_rows(seen: Seen, file: FileTable, failed: NDArray[np.bool_]) -> Iterator[Finding]:
    if not failed.any():
        return
    kinds = Counter(_kind(str(text)) for text in file.frame["error"][failed])
    shown = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common(_SHARE_TO_NAME))
    rest = len(kinds) - _SHARE_TO_NAME
    more = f" and {rest} more kinds" if rest > 0 else ""
    yield seen.finding(
        check="error-row",
        severity=Severity.WARNING,
        found=f"{plural(int(failed.sum()), 'row')} of {len(failed):,} say that the sample failed "
        f"({shown}{more}); they were left out",
        rows=failed,
    )


def _kind(text: str) -> str:
    """Return the first error of a row, a repeated one once."""
    return text.split(";")[0].strip()


def _flagged(
    seen: Seen, check: str, rows: NDArray[np.bool_], found: str, action: str
) -> Iterator[Finding]:
    if rows.any():
        yield seen.finding(
            check=check,
            severity=Severity.WARNING,
            found=f"{found} in {plural(int(rows.sum()), 'row')}; {action}",
            rows=rows,
        )


BOOK_SAMPLES = Form(
    name="book samples",
    columns="`ts_minute_utc` or `timestamp`, `best_bid`, `best_ask`, perhaps `exchange`, `symbol`, "
    "`ask_slip_<n>`, `bid_slip_<n>`, `error`",
    claims=_claims,
    wanted=all_of,
    read=_read,
)
"""Quotes of one venue, or of several: then instruments are named ``venue:symbol``."""
