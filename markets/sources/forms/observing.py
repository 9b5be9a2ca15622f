"""From columns to observations: sorted, checked, with the moment from which each is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...findings import Finding, Severity
from ...observations import Observations
from ...parsing import DAY_NS
from ...rules import plural, span, stamp
from .form import FileTable, Refusal
from .values import origin_of

_SIGNED = frozenset({"funding_rate", "premium_index"})  # fields that may well be below zero


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """Values of one instrument, or of the market, as a file has them.

    Attributes
    ----------
    file : FileTable
        Where they stand.
    instrument : str or None
        Whose; None for the market as a whole.
    label : str
        Name in findings.
    time, known_at : ndarray of int64, shape (n,)
        Nanoseconds since 1970 UTC, in any order.
    values : mapping of str to ndarray, shape (n,)
        By field, or by name of the series.
    """

    file: FileTable
    instrument: str | None
    label: str
    time: NDArray[np.int64]
    known_at: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]

    @property
    def origin(self) -> str:
        """How messages call these rows."""
        return origin_of(self.file, self.label)

    def finding(
        self,
        *,
        check: str,
        severity: Severity,
        found: str,
        rows: NDArray[np.bool_] | None = None,
        count: int | None = None,
    ) -> Finding:
        """Return a finding about some rows, or about all of them."""
        times = self.time if rows is None else self.time[rows]
        return Finding(
            check=check,
            severity=severity,
            instrument=self.label,
            count=len(times) if count is None else count,
            first=_stamped(times.min()) if len(times) else None,
            last=_stamped(times.max()) if len(times) else None,
            detail=f"{self.origin}: {found}",
        )


def observations(
    seen: Seen,
    *,
    findings: Sequence[Finding] = (),
    max_age: pd.Timedelta | None = None,
    rare: Sequence[str] = (),
) -> Observations:
    """Sort and check values, and make them observations.

    Parameters
    ----------
    seen : Seen
        What the file holds.
    findings : sequence of Finding
        What was found while reading, put before what is found here.
    max_age : pandas.Timedelta or None
        As in :class:`Observations`.
    rare : sequence of str
        Values that are empty now and then in a healthy file.

    Raises
    ------
    Refusal
        If two rows have one time, or a value was known before the moment it speaks of.
    """
    order = np.argsort(seen.time, kind="stable")
    time, known_at = seen.time[order], seen.known_at[order]
    repeated = int((np.diff(time) == 0).sum())
    if repeated:
        first = _stamped(time[:-1][np.diff(time) == 0][0])
        raise Refusal(
            check="duplicate-time",
            reason=f"each time must come once per instrument, found {plural(repeated, 'row')} "
            f"otherwise in {seen.label} (first: {stamp(first)}); remove the repeated rows",
        )
    early = int((known_at < time).sum())
    if early:
        raise Refusal(
            check="known-too-early",
            reason="a value must not be known before the moment it speaks of, found "
            f"{plural(early, 'row')} otherwise in {seen.label}; correct 'known_at'",
        )
    found = [*findings, *_value_findings(seen, rare), *_time_findings(seen)]
    values = {name: _possible(seen, name)[order] for name in seen.values}
    return Observations(
        instrument=seen.instrument,
        origin=seen.origin,
        time=time,
        known_at=known_at,
        values=values,
        max_age=max_age,
        findings=tuple(found),
    )


def usual_step(times: NDArray[np.int64]) -> int:
    """Return the median step between times, nanoseconds; a day where there is none."""
    return int(np.median(np.diff(np.sort(times)))) if len(times) > 1 else DAY_NS


def lasting(times: NDArray[np.int64], *, steps: int = 3, least_days: int = 7) -> pd.Timedelta:
    """Return how long a value stands: some usual steps, and never less than some days."""
    length = max(steps * usual_step(times), least_days * DAY_NS)
    return pd.Timedelta(length, unit="ns")


def _value_findings(seen: Seen, rare: Sequence[str]) -> list[Finding]:
    found = []
    for name, values in seen.values.items():
        empty = np.isnan(values)
        if empty.any() and name not in rare:
            found.append(
                seen.finding(
                    check="missing-value",
                    severity=Severity.WARNING,
                    found=f"{name!r} should have a value in every row, found "
                    f"{plural(int(empty.sum()), 'row')} without; these values stay unknown",
                    rows=empty,
                )
            )
        negative = _impossible(seen, name)
        if negative.any():
            found.append(
                seen.finding(
                    check="negative-value",
                    severity=Severity.WARNING,
                    found=f"{name!r} should not be negative, found "
                    f"{plural(int(negative.sum()), 'row')} otherwise; these values count as "
                    "unknown",
                    rows=negative,
                )
            )
    return found


def _time_findings(seen: Seen) -> list[Finding]:
    now = pd.Timestamp.now("UTC").as_unit("ns").value
    late = seen.time > now + DAY_NS
    if not late.any():
        return []
    return [
        seen.finding(
            check="future-time",
            severity=Severity.WARNING,
            found=f"times should be in the past, found {plural(int(late.sum()), 'row')} otherwise; "
            "check the unit and the time zone of the times",
            rows=late,
        )
    ]


def _impossible(seen: Seen, name: str) -> NDArray[np.bool_]:
    """Where a field of an instrument is below zero and cannot be."""
    if seen.instrument is None or name in _SIGNED:
        return np.zeros(len(seen.time), dtype=np.bool_)
    return np.asarray(seen.values[name] < 0)


def _possible(seen: Seen, name: str) -> NDArray[np.float64]:
    return np.where(_impossible(seen, name), np.nan, seen.values[name])


def _stamped(time: np.int64) -> pd.Timestamp:
    return pd.Timestamp(int(time), tz="UTC")


def jittered(
    seen_at: NDArray[np.int64], *, grid: int, label: str, origin: str
) -> tuple[NDArray[np.int64], tuple[Finding, ...]]:
    """Round times that are late by less than a tenth of a percent of a grid step.

    Exchanges stamp an hourly event a few milliseconds after the hour.

    Parameters
    ----------
    seen_at : ndarray of int64, shape (n,)
        Times, nanoseconds since 1970 UTC.
    grid : int
        Step of the grid, nanoseconds.
    label, origin : str
        Whose times, and where they stand.

    Returns
    -------
    times : ndarray of int64, shape (n,)
        Rounded where they are near the grid, else as they were.
    findings : tuple of Finding
        How many, and by how much; empty if none.
    """
    rounded = (seen_at + grid // 2) // grid * grid
    off = np.abs(seen_at - rounded)
    near = (off > 0) & (off <= grid // 1000)
    if not near.any():
        return seen_at, ()
    worst_ms = off[near].max() / 1e6
    finding = Finding(
        check="jittered-time",
        severity=Severity.INFO,
        instrument=label,
        count=int(near.sum()),
        first=_stamped(seen_at[near].min()),
        last=_stamped(seen_at[near].max()),
        detail=f"{origin}: times should fall on the {span(grid)}, found "
        f"{plural(int(near.sum()), 'row')} off by up to {worst_ms:,.0f} ms; they were rounded",
    )
    return np.where(near, rounded, seen_at), (finding,)
