"""Two tracked runs side by side: what went in, and what came out on the rows that both have."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..backtest import compare_forecasts, compare_margins
from ..backtest.run_comparison import MARGIN_COLUMNS
from ..errors import InputError
from .completed_runs import CompletedRun
from .seeds import stream

_CODE = ("git_commit", "git_clean")
_DATA = ("data_source", "data_fingerprint", "data_from", "data_to", "instruments", "test_from")
_PACKAGE = "version."
_TARGET = "margin.tail_probability"


@dataclass(frozen=True, kw_only=True, eq=False)
class RunComparison:
    """What two runs share and where they part.

    Attributes
    ----------
    first, second : CompletedRun
        The runs; every change is that of the second against the first.
    differences : pandas.DataFrame
        What they were given: columns ``kind`` (``code``, ``data``, ``seed``, ``configuration``,
        ``package``), ``key``, ``first``, ``second``, one row per key that differs; None where a
        run does not say.
    margins : pandas.DataFrame
        See :func:`~foremargin.backtest.compare_margins`; no rows unless both replayed policies.
    forecasts : pandas.DataFrame
        See :func:`~foremargin.backtest.compare_forecasts`.
    notes : tuple of str
        What a reader must know: outcomes that differ, names that one of them lacks.
    """

    first: CompletedRun
    second: CompletedRun
    differences: pd.DataFrame
    margins: pd.DataFrame
    forecasts: pd.DataFrame
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "runs": [
                {"run_id": run.run_id, "verb": run.verb, "folder": str(run.folder)}
                for run in (self.first, self.second)
            ],
            "notes": list(self.notes),
            "differences": _records(self.differences),
            "margins": _records(self.margins),
            "forecasts": _records(self.forecasts),
        }


def compare_runs(first: CompletedRun, second: CompletedRun) -> RunComparison:
    """Compare two runs over the part of the test period that both have.

    Parameters
    ----------
    first, second : CompletedRun
        From :func:`read_run`.

    Raises
    ------
    InputError
        If they have no row in common, or saw different markets.
    """
    test_from = max(first.test_from, second.test_from)
    tables = [run.table("forecasts") for run in (first, second)]
    notes = [*_code_notes(first, second)]
    for column in ("model", "instrument", "horizon"):
        notes += _only_one(tables, column)
    forecasts = compare_forecasts(*tables, test_from=test_from, rng=stream(0, "compare/forecasts"))
    margins, more = _compared_margins(first, second, test_from)
    if forecasts.empty and margins.empty:
        raise InputError(
            f"runs {first.run_id[:8]} and {second.run_id[:8]} must share instruments, horizons, "
            "origins of the test period, and models or policies to be compared, but have no row "
            f"in common from {test_from:%Y-%m-%d %H:%M} on; run one of them on the data of the "
            "other"
        )
    return RunComparison(
        first=first,
        second=second,
        differences=run_differences(first, second),
        margins=margins,
        forecasts=forecasts,
        notes=(*notes, *more, *_left_out(margins, "losses"), *_left_out(forecasts, "outcomes")),
    )


def run_differences(first: CompletedRun, second: CompletedRun) -> pd.DataFrame:
    """Return what two runs were given that is not the same (see :class:`RunComparison`)."""
    packages = [key for key in {**first.tags, **second.tags} if key.startswith(_PACKAGE)]
    keys = {**first.params, **second.params}
    groups: list[tuple[str, list[str]]] = [
        ("code", list(_CODE)),
        ("data", list(_DATA)),
        ("seed", [key for key in keys if key == "seed"]),
        ("configuration", [key for key in keys if key != "seed"]),
        ("package", packages),
    ]
    rows = []
    for kind, names in groups:
        tagged = kind in ("code", "data", "package")
        for name in names:
            a, b = ((run.tags if tagged else run.params).get(name) for run in (first, second))
            if a != b:
                rows.append((kind, name.removeprefix(_PACKAGE), a, b))
    return pd.DataFrame(rows, columns=["kind", "key", "first", "second"], dtype=object)


def _compared_margins(
    first: CompletedRun, second: CompletedRun, test_from: pd.Timestamp
) -> tuple[pd.DataFrame, list[str]]:
    """Compare the margins, or say why they are not compared."""
    nothing = pd.DataFrame(columns=list(MARGIN_COLUMNS))
    runs = (first, second)
    if {run.verb for run in runs} != {"backtest"}:
        mixed = first.verb != second.verb
        return nothing, ["one run has no margins: only forecasts are compared"] if mixed else []
    targets = [run.params[_TARGET] for run in runs]
    if float(targets[0]) != float(targets[1]):
        aims = " and ".join(targets)
        return nothing, [f"margins are not compared: they aim at breach rates of {aims}"]
    tables = [run.table("margins") for run in runs]
    a, b = ({one["horizon"]: one["predictive"] for one in run.verdicts()} for run in runs)
    table = compare_margins(
        *tables,
        test_from=test_from,
        tail_probability=float(targets[0]),
        rng=stream(0, "compare/margins"),
        judged={horizon: (a[horizon], b[horizon]) for horizon in a.keys() & b.keys()},
    )
    return table, [*_only_one(tables, "policy"), *_only_one(tables, "horizon", of="margin ")]


def _code_notes(first: CompletedRun, second: CompletedRun) -> Iterator[str]:
    unclean = [run.run_id[:8] for run in (first, second) if run.tags.get("git_clean") != "true"]
    if unclean and first.tags.get("git_commit") == second.tags.get("git_commit"):
        yield (
            f"the working tree of {' and '.join(dict.fromkeys(unclean))} is not known to have been "
            "clean, so equal commits do not say that the code was the same"
        )


def _only_one(tables: Sequence[pd.DataFrame], column: str, *, of: str = "") -> Iterator[str]:
    """Say which names only one of the tables has: they are not compared."""
    a, b = (set(table[column]) for table in tables)
    for run, names in (("first", a - b), ("second", b - a)):
        if names:
            listed = ", ".join(str(name) for name in sorted(names))
            yield f"{of}{column} of the {run} run alone: {listed}"


def _left_out(table: pd.DataFrame, what: str) -> Iterator[str]:
    for horizon, rows in table.groupby("horizon"):
        n = int(rows["n_left_out"].max())
        if n:
            yield (
                f"{what} of {n:,} common rows of horizon {horizon} differ between the runs and are "
                "left out: their data are not the same"
            )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return records
