from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foremargin.markets import Panel

_SMALL = """\
name: small
split: {forecast_share: 0.35, validation_share: 0.65, test_share: 0.78}
forecast: {models: [ewma-0.94, garch-normal, har-pooled, regime-network], horizons: [1, 5]}
margin: {policies: [fixed, hs-250, ewma-0.94-fhs, ewma-0.94-fhs+buffer, predictive]}
"""


@pytest.fixture(scope="session")
def bars(make_panel: Callable[..., Panel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with daily bars of two instruments, 1,200 days."""
    panel = make_panel(n_periods=1_200)
    folder = tmp_path_factory.mktemp("bars")
    for i, name in ((0, "COIN"), (1, "INDEX")):
        rows = np.flatnonzero(panel.present[:, i])
        table = pd.DataFrame(
            {
                "open_time": pd.DatetimeIndex(panel.time[rows], tz="UTC") - panel.period,
                "open": panel.values("open")[rows, i],
                "high": panel.values("high")[rows, i],
                "low": panel.values("low")[rows, i],
                "close": panel.close[rows, i],
                "volume": panel.values("volume")[rows, i],
            }
        )
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that runs in seconds."""
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(_SMALL)
    return path
