"""A small market, a small network, and one fit of it for the tests that only look."""

from collections.abc import Callable

import numpy as np
import pytest

from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Forecast, RegimeNetwork, TrainingPlan
from foremargin.models.network import FittedRegimeNetwork

N_PERIODS, STOP = 900, 780


@pytest.fixture(scope="session")
def tiny() -> RegimeNetwork:
    """A network that trains in a moment, with every part that it can have."""
    plan = TrainingPlan(
        n_members=2, n_hidden=4, n_channels=3, batch_size=256, max_epochs=2, sequence_length=16
    )
    return RegimeNetwork(plan=plan, more_features=("core", "illiquidity"), wide_features=("state",))


@pytest.fixture(scope="session")
def history(make_panel: Callable[..., Panel]) -> History:
    return build_history(
        make_panel(n_periods=N_PERIODS), horizons=(1, 5), features=("core", "illiquidity", "state")
    )


@pytest.fixture(scope="session")
def fitted(tiny: RegimeNetwork, history: History) -> FittedRegimeNetwork:
    return tiny.fit(history.upto(STOP), rng=np.random.default_rng(20))


@pytest.fixture(scope="session")
def forecast(fitted: FittedRegimeNetwork, history: History) -> Forecast:
    return fitted.forecast(history, origins=slice(300, N_PERIODS))
