"""Tables of the report: which numbers, in which unit, and which direction is better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..metrics import INCREASE_PERIODS
from ..statement import control_table, hindsight_change, percent, signed_percent
from ..verdict import Verdict
from .palette import Compared, is_plain

NOT_KNOWN = "\N{EN DASH}"
"""What a cell shows where there is no number."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    key : str
        Column of the data frame.
    title, unit : str
        What the header shows.
    better : str
        Which direction is better, in one or two words; empty where neither is.
    meaning : str
        One sentence for the legend.
    write : callable
        Turns a value into text.
    """

    key: str
    title: str
    unit: str
    better: str
    meaning: str
    write: Callable[[Any], str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its cells as text, a role for the style, and a bar as a share of 100."""

    cells: tuple[str, ...]
    role: str = ""
    bar: float | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """What the page shows: columns and rows of text."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def number(pattern: str) -> Callable[[Any], str]:
    """Return what writes a number by a pattern, and a dash where there is none."""
    return lambda value: pattern.format(value) if pd.notna(value) else NOT_KNOWN


def percentage(value: Any) -> str:
    """Write a fraction in percent, two decimals, and a dash where there is none."""
    return f"{100 * value:.2f}" if pd.notna(value) else NOT_KNOWN


def _p_value(value: Any) -> str:
    if pd.isna(value):
        return NOT_KNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _yes(value: Any) -> str:
    return "yes" if value else "no"


def text(value: Any) -> str:
    """Write a value as it is."""
    return str(value)


def _increase(periods: int) -> Column:
    return Column(
        key=f"largest_increase_{periods}",
        title=f"Largest increase, {periods} period{'s' * (periods > 1)}",
        unit="ratio",
        better="lower",
        meaning=f"Largest ratio of a margin to that of {periods} periods before; median of series.",
        write=number("{:.2f}"),
    )


_POLICY = Column(
    key="policy", title="Policy", unit="", better="", meaning="Name of the policy.", write=text
)
_BREACH_RATE = Column(
    key="breach_rate",
    title="Breach rate",
    unit="% of cases",
    better="near target",
    meaning="Cases (one per period, instrument and side) in which the loss exceeded the margin.",
    write=percentage,
)
_MEAN_MARGIN = Column(
    key="mean_margin",
    title="Mean margin",
    unit="% of notional",
    better="lower",
    meaning="What the policy costs its clients; compare only at equal protection.",
    write=percentage,
)
_QUANTILE_LOSS = Column(
    key="quantile_loss",
    title="Quantile loss",
    unit="% of notional",
    better="lower",
    meaning="The score: mean margin plus uncovered loss divided by the target breach rate.",
    write=percentage,
)
_P_VALUE = Column(
    key="dm_p_value",
    title="p against best reactive",
    unit="",
    better="",
    meaning="Diebold-Mariano test of equal quantile loss; small means that the two differ.",
    write=_p_value,
)
_HINDSIGHT = Column(
    key="hindsight_shortfall",
    title="Shortfall at equal cost, hindsight",
    unit="notionals",
    better="lower",
    meaning="Uncovered loss, summed, once scaled to the best reactive policy's cost in the test.",
    write=number("{:.3f}"),
)
_MATCHED = Column(
    key="matched_shortfall",
    title="Shortfall, fitted constant",
    unit="notionals",
    better="lower",
    meaning="Uncovered loss, summed, with the constant that made costs equal in validation.",
    write=number("{:.3f}"),
)
_COST_RATIO = Column(
    key="matched_cost_ratio",
    title="Cost with fitted constant",
    unit="ratio to best reactive",
    better="1.00 is equal",
    meaning="Away from 1.00 the constant did not hold, and the shortfall beside it is not fair.",
    write=number("{:.2f}"),
)
_PEAK = Column(
    key="peak_to_trough",
    title="Peak to trough",
    unit="ratio",
    better="lower",
    meaning="Largest over smallest margin of a series; median of series.",
    write=number("{:.2f}"),
)
_SET = Column(
    key="in_confidence_set",
    title="In 90 % set",
    unit="",
    better="yes",
    meaning="Cannot be told from the best by quantile loss (model confidence set; no controls).",
    write=_yes,
)
_PASSING = Column(
    key="passing",
    title="Series passing",
    unit="of all",
    better="higher",
    meaning="Series that pass Kupiec and conditional coverage after Holm's correction at 5 %.",
    write=text,
)

PLAIN_COLUMNS: tuple[Column, ...] = (
    _POLICY,
    _QUANTILE_LOSS,
    _P_VALUE,
    _SET,
    _BREACH_RATE,
    _PASSING,
    _MEAN_MARGIN,
    _MATCHED,
    _COST_RATIO,
    _HINDSIGHT,
    _PEAK,
    _increase(20),
)
"""Columns of the short table."""

FULL_COLUMNS: tuple[Column, ...] = (
    *PLAIN_COLUMNS[:-1],
    *(_increase(periods) for periods in INCREASE_PERIODS),
    Column(
        key="large_increase_share",
        title="Rises above 25 %",
        unit="% of periods",
        better="lower",
        meaning="Share of 5-period changes that raise the margin by more than 25 %.",
        write=percentage,
    ),
    Column(
        key="hindsight_worst_five",
        title="Five worst shortfalls, hindsight",
        unit="notionals",
        better="lower",
        meaning="Sum of the five worst uncovered losses at equal cost by hindsight.",
        write=number("{:.3f}"),
    ),
)
"""Columns of the table of all policies."""


def policy_rows(verdict: Verdict, *, full: bool) -> Table:
    """Return the policies, best quantile loss first: the plain ones, or with `full` all."""
    frame = verdict.frame().reset_index()
    frame["passing"] = [
        f"{passed} of {n}" for passed, n in zip(frame.series_passing, frame.series, strict=True)
    ]
    if not full:
        frame = frame[frame.policy.map(is_plain)]
    columns = FULL_COLUMNS if full else PLAIN_COLUMNS
    worst = float(frame.quantile_loss.max())
    rows = [
        Row(
            cells=_cells(record, columns),
            role=role_of(verdict, record["policy"]),
            bar=round(100.0 * float(record["quantile_loss"]) / worst, 1),
        )
        for record in frame.to_dict("records")
    ]
    return Table(columns=columns, rows=tuple(rows))


def series_rows(verdict: Verdict) -> Table:
    """Return coverage per instrument and side, of the judged policy and the reference."""
    both = (verdict.predictive, verdict.reference)
    frame = verdict.series[verdict.series.policy.isin(both)].sort_values(
        ["instrument", "side"], kind="stable"
    )
    columns = (
        Column(key="instrument", title="Instrument", unit="", better="", meaning="", write=text),
        Column(key="side", title="Side", unit="", better="", meaning="", write=text),
        _POLICY,
        Column(key="n", title="Cases", unit="", better="", meaning="", write=number("{:,}")),
        Column(key="breaches", title="Breaches", unit="", better="", meaning="", write=text),
        _BREACH_RATE,
        _MEAN_MARGIN,
        _test_column("kupiec_p_holm", "Kupiec p", "right number of breaches"),
        _test_column("conditional_coverage_p_holm", "Conditional p", "and not in clusters"),
        _test_column("dynamic_quantile_p_holm", "DQ p", "and not foreseen by margin or breaches"),
        _PEAK,
    )
    rows = tuple(
        Row(cells=_cells(record, columns), role=role_of(verdict, record["policy"]))
        for record in frame.to_dict("records")
    )
    return Table(columns=columns, rows=rows)


def control_rows(verdict: Verdict) -> Table:
    """Return the controls and whether they behaved."""
    columns = (
        Column(key="control", title="Control", unit="", better="", meaning="", write=text),
        Column(key="expected", title="Must", unit="", better="", meaning="", write=_must),
        _QUANTILE_LOSS,
        Column(
            key="relative_to_predictive",
            title="Against predictive",
            unit="quantile loss",
            better="",
            meaning="",
            write=lambda value: signed_percent(value, digits=1),
        ),
        Column(key="dm_p_value", title="p", unit="", better="", meaning="", write=_p_value),
        Column(key="behaved", title="Behaved", unit="", better="yes", meaning="", write=_yes),
    )
    records = control_table(verdict).to_dict("records")
    rows = (
        Row(cells=_cells(record, columns), role="" if record["behaved"] else "bad")
        for record in records
    )
    return Table(columns=columns, rows=tuple(rows))


def glance_rows(verdict: Verdict) -> tuple[tuple[str, str, str, str], ...]:
    """Return the few numbers to look at first: what, predictive, reference, change."""
    ours, theirs = verdict.row(verdict.predictive), verdict.row(verdict.reference)
    target = percent(verdict.replay.market.tail_probability)

    def line(name: str, key: str, write: Callable[[float], str]) -> tuple[str, str, str, str]:
        change = ours[key] / theirs[key] - 1.0 if theirs[key] else np.nan
        return name, write(ours[key]), write(theirs[key]), signed_percent(change)

    ratio = number("{:.2f}\N{MULTIPLICATION SIGN}")
    return (
        (
            "Quantile loss, % of notional",
            percent(ours["quantile_loss"]),
            percent(theirs["quantile_loss"]),
            signed_percent(verdict.quantile_loss_change.estimate),
        ),
        (
            "Shortfall at equal cost by hindsight, notionals",
            number("{:.3f}")(ours["hindsight_shortfall"]),
            number("{:.3f}")(theirs["hindsight_shortfall"]),
            signed_percent(hindsight_change(verdict)),
        ),
        line("Mean margin, % of notional", "mean_margin", percent),
        line(f"Breach rate (target {target})", "breach_rate", percent),
        line("Peak to trough of the margin", "peak_to_trough", ratio),
        line("Largest increase over 20 periods", "largest_increase_20", ratio),
    )


def score_rows(scores: pd.DataFrame, *, horizon: int) -> Table:
    """Return the forecast models of one horizon, best QLIKE first."""
    frame = scores[scores.horizon == horizon].sort_values("qlike_loss")
    wanted: Sequence[tuple[str, str, str, str, Callable[[Any], str]]] = (
        ("model", "Model", "", "", text),
        ("qlike_loss", "QLIKE", "", "lower", number("{:.4f}")),
        ("dm_p_value", "p against best other", "", "", _p_value),
        ("mse_ratio", "MSE", "ratio to log-har", "lower", number("{:.3f}")),
        ("bias", "Realised over forecast", "ratio", "1.00", number("{:.2f}")),
        ("hits_lower", "Hits of 1 % VaR, long", "%", "1.00", percentage),
        ("hits_upper", "Hits of 1 % VaR, short", "%", "1.00", percentage),
        ("fz0_loss", "FZ0", "% returns", "lower", number("{:.3f}")),
        ("brier_skill_score", "Stress skill (Brier)", "", "higher", number("{:.3f}")),
        ("n", "Rows", "", "", number("{:,}")),
    )
    columns = tuple(
        Column(key=key, title=title, unit=unit, better=better, meaning="", write=write)
        for key, title, unit, better, write in wanted
        if key in frame
    )
    rows = tuple(Row(cells=_cells(record, columns)) for record in frame.to_dict("records"))
    return Table(columns=columns, rows=rows)


def frame_rows(frame: pd.DataFrame) -> Table:
    """Return any small table as it is; times to the minute."""
    columns = tuple(
        Column(key=str(c), title=str(c), unit="", better="", meaning="", write=_plain_value)
        for c in frame.columns
    )
    rows = tuple(Row(cells=_cells(record, columns)) for record in frame.to_dict("records"))
    return Table(columns=columns, rows=rows)


def _test_column(key: str, title: str, what: str) -> Column:
    return Column(key=key, title=title, unit=what, better="≥ 0.05", meaning="", write=_p_value)


def _must(expected: str) -> str:
    return {"loses": "lose", "wins": "win"}[expected]


def _plain_value(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}"
    return NOT_KNOWN if pd.isna(value) else str(value)


def _cells(record: Any, columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.write(record[column.key]) for column in columns)


def role_of(verdict: Compared, policy: str) -> str:
    """Return the style of the row of a policy."""
    if policy == verdict.predictive:
        return "predictive"
    if policy == verdict.reference:
        return "reference"
    return "control" if policy.startswith("control-") else ""
