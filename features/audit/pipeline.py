"""The audit of a pipeline: causality proved by deleting and by shocking the future."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from ...markets import Panel
from .report import PROFILE_COLUMNS, LeakReport, LeakTest, LeakVerdict, ModelVerdict
from .shock import shocked_after

OUTCOME_COLUMNS = ("realized_variance", "log_return", "stress", "liquidity_stress")
"""Columns of a table of forecasts that are outcomes: they may know the future."""

_CUT_RANGE = (0.4, 0.95)  # of the periods, where the future begins
_MOST_NAMES = 5


class NamedValues(Protocol):
    """Values with names on the last axis, such as :class:`foremargin.features.Features`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        ...

    @property
    def values(self) -> NDArray[np.float64]:
        """Values, shape (n_periods, n_instruments, n_names)."""
        ...


Built = NDArray[np.float64] | pd.DataFrame | NamedValues
"""What a pipeline may return."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grid:
    """Output of a pipeline on the axes of its panel; values (n_periods, n_instruments, k)."""

    values: NDArray[np.float64]
    names: tuple[str, ...]


def audit_pipeline(
    build: Callable[[Panel], Built],
    panel: Panel,
    *,
    rng: np.random.Generator,
    n_cuts: int = 5,
    tolerance: float = 0.0,
) -> LeakReport:
    """Prove that a pipeline does not look ahead, or name the first value that does.

    At rows drawn by chance the pipeline is run again on the panel up to the row, and on a panel
    whose later rows are permuted and scaled. No value up to the row may change, and values after
    it must: a pipeline that sees nothing would pass any other test.

    Parameters
    ----------
    build : callable
        From a panel to an array of shape (n_periods, n_instruments) or (n_periods, n_instruments,
        k), to an object with such ``values`` and ``names``, or to a table of forecasts with
        ``instrument``, ``origin``, optionally ``horizon`` and ``model``, and numeric columns;
        outcomes (:data:`OUTCOME_COLUMNS`) are left out.
    panel : Panel
        A market that `build` can work on; it is not changed.
    rng : numpy.random.Generator
        Draws the rows and the shocks.
    n_cuts : int
        Number of rows at which the future is deleted and shocked.
    tolerance : float
        Largest change that counts as none, relative to the value (absolute below one); 0 asks
        for the same bits.

    Returns
    -------
    LeakReport
        One verdict, named ``pipeline``. The evidence has one row per test and cut with
        ``instrument``, ``column``, ``cut`` (last row kept), ``first_changed`` (time) and
        ``effect`` (largest change). `not-enough` if no column ever saw a shock.

    Raises
    ------
    InputError
        If `build` gives different values on the same panel, or arguments are out of range.
    ShapeError
        If what it builds does not lie on the panel's axes.
    """
    if n_cuts < 1 or not 0.0 <= tolerance < 1.0:
        raise InputError(
            f"n_cuts must be at least 1 and tolerance in [0, 1), were {n_cuts} and {tolerance}"
        )
    base = _grid(build(panel), panel)
    _require_repeatable(base, _grid(build(panel), panel), tolerance)
    low, high = (int(share * panel.n_periods) for share in _CUT_RANGE)
    if high - low < n_cuts:
        raise InputError(
            f"panel must have periods for {n_cuts} cuts, had {panel.n_periods}; give a longer one"
        )
    cuts = np.sort(rng.choice(np.arange(low, high), size=n_cuts, replace=False))
    rows: list[dict[str, object]] = []
    seen = np.zeros(len(base.names), dtype=np.bool_)
    for cut in map(int, cuts):
        short = panel.upto(cut + 1)
        truncated = _grid(build(short), short)
        rows.append(_compared(LeakTest.TRUNCATION, base, truncated, panel, cut, tolerance))
        other = shocked_after(panel, cut, rng=rng)
        shocked = _grid(build(other), other)
        rows.append(_compared(LeakTest.SHOCK, base, shocked, panel, cut, tolerance))
        if shocked.names == base.names:
            later = _changed(base.values[cut + 1 :], shocked.values[cut + 1 :], tolerance)
            seen |= later.any(axis=(0, 1))
    return _report(pd.DataFrame(rows), base, seen)


def _report(evidence: pd.DataFrame, base: _Grid, seen: NDArray[np.bool_]) -> LeakReport:
    verdict, sentence = _said(evidence, base, seen)
    n_values = int(np.isfinite(base.values).sum())
    return LeakReport(
        verdicts=(
            ModelVerdict(
                model="pipeline",
                verdict=verdict,
                n_rows=n_values,
                n_left_out=base.values.size - n_values,
                sentence=f"pipeline {sentence}",
            ),
        ),
        evidence=evidence,
        profiles=pd.DataFrame(columns=list(PROFILE_COLUMNS)),
    )


def _grid(built: Built, panel: Panel) -> _Grid:
    if isinstance(built, pd.DataFrame):
        return _from_table(built, panel)
    values = np.asarray(built if isinstance(built, np.ndarray) else built.values, dtype=np.float64)
    values = values[:, :, None] if values.ndim == 2 else values
    axes = (panel.n_periods, panel.n_instruments)
    if values.ndim != 3 or values.shape[:2] != axes:
        raise ShapeError(
            f"build must return shape {axes} or {(*axes, 'k')} (periods, instruments, columns), "
            f"was {values.shape}; return NaN where a value is not known"
        )
    numbered = tuple(str(k) for k in range(values.shape[2]))
    names = numbered if isinstance(built, np.ndarray) else tuple(built.names)
    return _Grid(values=values, names=names)


def _from_table(table: pd.DataFrame, panel: Panel) -> _Grid:
    missing = [name for name in ("instrument", "origin") if name not in table]
    if missing:
        raise InputError(
            f"a table that build returns must have the columns instrument and origin, without "
            f"{missing}; add them"
        )
    keys = [name for name in ("model", "horizon") if name in table]
    left_out = {"instrument", "origin", *keys, *OUTCOME_COLUMNS}
    numbers = [str(name) for name in table.select_dtypes("number") if name not in left_out]
    if table.empty or not numbers:
        raise InputError("a table that build returns must have rows and numeric columns")
    row, column = _places(table, panel)
    groups = table.groupby(keys, sort=True).ngroup().to_numpy() if keys else np.zeros(len(table))
    names, layers = [], []
    for group in np.unique(groups):
        own = groups == group
        rows = table[own]
        said = " ".join(f"{key}={rows[key].iloc[0]}" for key in keys)
        for name in numbers:
            layer = np.full((panel.n_periods, panel.n_instruments), np.nan)
            layer[row[own], column[own]] = rows[name].to_numpy(dtype=np.float64)
            layers.append(layer)
            names.append(f"{name} {said}".strip())
    return _Grid(values=np.stack(layers, axis=2), names=tuple(names))


def _places(table: pd.DataFrame, panel: Panel) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row and the column of the panel in which each row of the table lies."""
    origin = pd.to_datetime(table["origin"], utc=True).dt.as_unit("ns").dt.tz_localize(None)
    row = pd.Index(panel.time.astype("datetime64[ns]")).get_indexer(pd.Index(origin))
    column = pd.Index(panel.instruments).get_indexer(pd.Index(table["instrument"]))
    outside = (row < 0) | (column < 0)
    if outside.any():
        raise ShapeError(
            "origins and instruments of a table that build returns must be those of the panel, "
            f"found {int(outside.sum())} rows otherwise"
        )
    return row, column


def _require_repeatable(base: _Grid, again: _Grid, tolerance: float) -> None:
    if base.names != again.names or _changed(base.values, again.values, tolerance).any():
        raise InputError(
            "build must give the same values for the same panel, and two runs differed; seed it, "
            "or give the tolerance that its arithmetic needs"
        )


def _changed(
    before: NDArray[np.float64], after: NDArray[np.float64], tolerance: float
) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # inf - inf, for values that are the same infinity
        far = np.abs(after - before) > tolerance * np.maximum(1.0, np.abs(before))
    far |= np.isinf(before) != np.isinf(after)
    return np.asarray(far | (np.isnan(before) != np.isnan(after)))


def _compared(
    test: LeakTest, base: _Grid, other: _Grid, panel: Panel, cut: int, tolerance: float
) -> dict[str, object]:
    """Compare the rows up to the cut, and put the first change into a record."""
    time = pd.DatetimeIndex(panel.time, tz="UTC")
    record: dict[str, object] = {
        **{"model": "pipeline", "instrument": "", "horizon": 0, "test": test.value, "column": ""},
        **{"cut": time[cut], "first_changed": pd.NaT, "effect": 0.0, "p_value": 1.0},
        **{"rejected": False, "detail": ""},
    }
    if other.names != base.names:
        gone = sorted(set(base.names) ^ set(other.names))[:_MOST_NAMES]
        record |= {"rejected": True, "p_value": 0.0, "column": ", ".join(gone)}
        return record | {"detail": f"has other columns ({', '.join(gone)})"}
    before, after = base.values[: cut + 1], other.values[: cut + 1]
    changed = _changed(before, after, tolerance)
    if not changed.any():
        return record
    row, column, k = (int(place[0]) for place in np.nonzero(changed))
    names = [base.names[i] for i in np.flatnonzero(changed.any(axis=(0, 1)))]
    values = f"from {before[row, column, k]:.6g} to {after[row, column, k]:.6g}"
    return record | {
        "rejected": True,
        "p_value": 0.0,
        "instrument": panel.instruments[column],
        "column": base.names[k],
        "first_changed": time[row],
        "effect": float(np.nanmax(np.abs(after - before)[changed], initial=0.0)),
        "detail": f"first {base.names[k]} of {panel.instruments[column]} at {time[row]}, "
        f"{cut - row} rows before the cut, {values}; columns: {_listed(names)}",
    }


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _said(evidence: pd.DataFrame, base: _Grid, seen: NDArray[np.bool_]) -> tuple[LeakVerdict, str]:
    blind = [base.names[i] for i in np.flatnonzero(~seen)]
    changed = evidence[evidence["rejected"]]
    if not changed.empty:
        first = changed.iloc[0]
        what = "deleted" if first["test"] == LeakTest.TRUNCATION else "shocked"
        return LeakVerdict.LEAK, f"changes when the future is {what}: {first['detail']}"
    if not seen.any():
        return LeakVerdict.NOT_ENOUGH, (
            "never saw a shock, not even afterwards; nothing is proved: give a panel on which it "
            "has values late in time"
        )
    unproved = f"; nothing is proved of {_listed(blind)}, which saw no shock" if blind else ""
    return LeakVerdict.CLEAN, (
        f"gave the same values when the future was deleted or shocked at "
        f"{evidence['cut'].nunique()} times, and saw the shocks afterwards{unproved}"
    )
