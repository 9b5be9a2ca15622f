"""Series of warnings made by hand, and a small replay of three rules."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.backtest import Replay, WarningCases, WarningRule, WarningSeries, replay
from foremargin.calibrate import Filtered, Historical, MarginMarket, Predictive
from foremargin.features import build_history
from foremargin.markets import Panel

Array = NDArray[np.float64]

DAYS, FIRST, TEST = 900, 450, 600


@pytest.fixture(scope="session")
def make_series() -> Callable[..., WarningSeries]:
    """Return a function that makes the series of one instrument, calm unless said otherwise."""
    return _make_series


def _make_series(
    *,
    onsets: list[int],
    strength: Mapping[int, float] | Array,
    n: int = 100,
    stressed: tuple[int, ...] = (),
    lead: int = 10,
    alarm_quiet: int = 3,
    instrument: str = "ALPHA",
) -> WarningSeries:
    """Make one policy's series; a mapping gives the strength where it is not zero."""
    row = np.zeros(n)
    if isinstance(strength, Mapping):
        row[list(strength)] = list(strength.values())
    else:
        row = np.asarray(strength)
    rows = np.atleast_2d(row)
    onset, calm = np.zeros(n, dtype=bool), np.full(n, True)
    onset[onsets] = True
    calm[[*onsets, *stressed]] = False
    return WarningSeries(
        instrument=instrument,
        origin=pd.date_range("2020-01-01", periods=n, freq="D").to_numpy(),
        onset=onset,
        calm=calm,
        strength=rows,
        margin=0.1 * (1.0 + rows),
        lead=lead,
        alarm_quiet=alarm_quiet,
        periods_per_year=365.0,
    )


@pytest.fixture(scope="session")
def make_cases(make_series: Callable[..., WarningSeries]) -> Callable[..., WarningCases]:
    """Return a function that makes cases of the policies `ours` (judged) and `theirs`."""

    def make(
        series: list[WarningSeries],
        *,
        test: int,
        policies: tuple[str, ...] = ("ours", "theirs"),
        generations: tuple[str, ...] = ("predictive", "reactive"),
    ) -> WarningCases:
        return WarningCases(
            rule=WarningRule(),
            policies=policies,
            generations=generations,
            predictive="ours",
            series=tuple(series),
            test_from=series[0].origin[test],
        )

    return make


@pytest.fixture(scope="session")
def replay_of() -> Callable[[Panel], Replay]:
    """Return a function that replays three rules on a panel of 900 days."""
    return _replay_of


def _replay_of(panel: Panel) -> Replay:
    history = build_history(panel, horizons=(1,))
    average = np.full(panel.close.shape, np.nan)
    for i in range(panel.n_instruments):
        rows = np.flatnonzero(panel.present[:, i])
        squared = pd.Series(panel.log_return[rows, i] ** 2)
        average[rows, i] = squared.ewm(alpha=0.06, min_periods=20).mean()
    market = MarginMarket(
        history=history,
        horizon=1,
        tail_probability=0.05,
        first_row=FIRST,
        variance={"average": average},
    )
    policies = (Predictive(model="average"), Filtered(model="average"), Historical(sessions=250))
    return replay(market, policies, test_row=TEST, rng=np.random.default_rng(0))
