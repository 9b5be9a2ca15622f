"""What every job leaves: its tables, and a tracked run with all its files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .records import Artifact, Metric, Record, Tag
from .tracking import RunWriter

PARQUET: dict[str, Any] = {"index": False, "compression": "zstd"}
"""How tables are written."""

TRACKED_SCORES = (
    *("qlike_loss", "mse_ratio", "fz0_loss", "fz0_loss_0.025", "fz0_loss_0.05"),
    *("hits_lower", "hits_upper", "brier_skill_score", "onset_pr_auc", "calibration_error"),
    *("liquidity_brier_skill_score", "liquidity_onset_pr_auc", "liquidity_calibration_error"),
    *("ranked_probability_loss", "regime_transitions_skill_score", "regime_calibration_error"),
    *("liquidity_cost_qlike_loss", "liquidity_cost_now_qlike_ratio", "liquidity_cost_bias"),
)
"""Columns of the scores that become metrics of a run."""


def write_tables(folder: Path, forecasts: pd.DataFrame, scores: pd.DataFrame) -> None:
    """Write ``forecasts.parquet`` and ``scores.parquet``."""
    forecasts.to_parquet(folder / "forecasts.parquet", **PARQUET)
    scores.to_parquet(folder / "scores.parquet", **PARQUET)


def record_run(
    run: RunWriter,
    folder: Path,
    scores: pd.DataFrame,
    *,
    notes: Sequence[str],
    records: Sequence[Record],
) -> None:
    """Write the skill of every model, further records and every file of the folder."""
    files = [Artifact(path) for path in sorted(folder.iterdir())]
    run.write([Tag("notes", str(len(notes))), *records, *skill_records(scores), *files])


def skill_records(scores: pd.DataFrame) -> Iterator[Record]:
    """Yield the scores that runs are compared by; a model without one has no such metric."""
    for row in scores.to_dict("records"):
        for name in TRACKED_SCORES:
            if np.isfinite(row[name]):
                yield Metric(f"h{row['horizon']}/{row['model']}/{name}", float(row[name]))
