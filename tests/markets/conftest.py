"""Bars for the tests: small, seeded, and consistent (high and low enclose open and close)."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

Bars = Callable[..., pd.DataFrame]
Write = Callable[..., Path]


@pytest.fixture
def make_bars() -> Bars:
    def make(
        start: str = "2024-01-01", *, n: int = 240, step: str = "1h", seed: int = 7
    ) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        close = 100 * np.exp(np.cumsum(rng.normal(scale=0.01, size=n)))
        open_ = np.concatenate([[100.0], close[:-1]])
        return pd.DataFrame(
            {
                "open_time": pd.date_range(start, periods=n, freq=step, tz="UTC"),
                "open": open_,
                "high": np.maximum(open_, close) * 1.001,
                "low": np.minimum(open_, close) * 0.999,
                "close": close,
                "volume": rng.uniform(1.0, 2.0, size=n),
            }
        )

    return make


@pytest.fixture
def make_sessions(make_bars: Bars) -> Bars:
    """Bars of an exchange: no Saturdays, no Sundays."""

    def make(start: str = "2024-01-01", **options: object) -> pd.DataFrame:
        bars = make_bars(start, **options)
        sessions: pd.DataFrame = bars[bars["open_time"].dt.day_of_week < 5].reset_index(drop=True)
        return sessions

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def save(frame: pd.DataFrame, name: str = "X.parquet") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path)
        return path

    return save


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("FOREMARGIN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FOREMARGIN_DATA names no folder of market data")
    return Path(folder)
