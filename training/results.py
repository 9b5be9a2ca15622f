"""What every job leaves: its tables, and a tracked run with all its files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .records import Artifact, Metric, Record, Tag
from .tracking import RunWriter

PARQUET: dict[str, Any] = {"index": False, "compression": "zstd"}
"""How tables are written."""


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
    skill = [
        Metric(f"h{row.horizon}/{row.model}/qlike_loss", float(str(row.qlike_loss)))
        for row in scores.itertuples()
    ]
    files = [Artifact(path) for path in sorted(folder.iterdir())]
    run.write([Tag("notes", str(len(notes))), *records, *skill, *files])
