"""Realised-measure files that say one half of the variance and leave the other to be taken off."""

from pathlib import Path

import numpy as np
import pandas as pd

from foremargin.markets import Panel, load_panel


def loaded(folder: Path, **columns: list[float]) -> Panel:
    days = pd.date_range("2024-01-01", periods=4, freq="B", tz="UTC")
    path = folder / "INDEX.parquet"
    pd.DataFrame({"date": days, "close": [100.0, 101.0, 99.0, 100.0], **columns}).to_parquet(path)
    return load_panel(path)


def test_rises_are_what_falls_leave_of_the_variance(tmp_path: Path) -> None:
    panel = loaded(tmp_path, rv5=[1e-4, 2e-4, 3e-4, 1e-4], rsv=[4e-5, 5e-5, 3e-4, 2e-4])
    rises = panel.values("semivariance_positive")[panel.present]
    # A half that is larger than the whole leaves nothing that could be known.
    np.testing.assert_allclose(rises, [6e-5, 1.5e-4, 0.0, np.nan])


def test_rises_that_the_file_knows_are_kept(tmp_path: Path) -> None:
    panel = loaded(tmp_path, rv=[1e-4] * 4, rvn=[4e-5] * 4, rvp=[5e-5] * 4)
    np.testing.assert_allclose(panel.values("semivariance_positive")[panel.present], 5e-5)
