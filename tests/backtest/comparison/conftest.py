"""Loss differences as overlapping outcomes make them."""

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture(scope="session")
def moving_average() -> Callable[..., np.ndarray]:
    """Return a function that makes rows whose autocovariances end at lag horizon - 1."""
    return _moving_average


def _moving_average(rng: np.random.Generator, shape: tuple[int, int], horizon: int) -> np.ndarray:
    """Rows whose autocovariances end at lag horizon - 1, like losses of overlapping outcomes."""
    noise = rng.standard_normal((shape[0], shape[1] + horizon - 1))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(noise, horizon, axis=1).sum(axis=2))
