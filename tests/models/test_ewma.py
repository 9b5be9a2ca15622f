"""The exponentially weighted average against pandas."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.models import Ewma

MakePanel = Callable[..., Panel]


@pytest.mark.parametrize("decay", [0.94, 0.97, 0.99])
def test_the_average_is_that_of_pandas_and_grows_with_the_horizon(
    make_panel: MakePanel, decay: float
) -> None:
    history = build_history(make_panel(), horizons=(1, 2, 10))
    origins = slice(0, history.panel.n_periods)
    forecaster = Ewma(decay=decay)
    fitted = forecaster.fit(history, rng=np.random.default_rng(0))
    got = fitted.forecast(history, origins=origins).variance
    for i in range(history.panel.n_instruments):
        rows = np.flatnonzero(history.panel.present[:, i])
        own = pd.Series(history.features.variance[rows, i])
        wanted = own.ewm(alpha=1 - decay, adjust=True, ignore_na=True, min_periods=20).mean()
        expected = wanted.to_numpy()[:, None] * np.array([1, 2, 10])
        np.testing.assert_allclose(got[rows, i], expected, rtol=1e-10)


@pytest.mark.parametrize("decay", [0.0, 1.0, 94.0])
def test_a_decay_outside_zero_and_one_is_refused(decay: float) -> None:
    with pytest.raises(InputError, match=r"decay must be in \(0, 1\), was .* typical: 0.94"):
        Ewma(decay=decay)
