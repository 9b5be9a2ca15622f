from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from foremargin.errors import NotEnoughHistoryError
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Ewma, FittedForecaster, Forecast, Forecaster, Garch, LogHar
from foremargin.training import make_blocks, stream, walk_forward


@pytest.fixture(scope="module")
def history(make_panel: Callable[..., Panel]) -> History:
    return build_history(make_panel(n_periods=700), horizons=(1, 5))


def test_blocks_cover_every_origin_once_and_last_as_long_as_asked(history: History) -> None:
    blocks = make_blocks(history, first_row=300, refit_days=91)
    rows = np.concatenate([np.arange(b.start, b.stop) for b in blocks])
    np.testing.assert_array_equal(rows, np.arange(300, 700))
    assert {b.stop - b.start for b in blocks[:-1]} == {91}


@dataclass(frozen=True)
class _Spy:
    """Records what it was fitted on; forecasts one."""

    seen: list[tuple[int, float]]
    name: str = "spy"
    refit_days: int = 100
    notes: tuple[str, ...] = ()

    def fit(self, history: History, *, rng: np.random.Generator) -> FittedForecaster:
        n = history.panel.n_periods
        known = np.isfinite(history.targets.variance[:, 0, :])
        last = [int(np.flatnonzero(known[:, k]).max()) for k in range(len(history.horizons))]
        assert last == [n - 1 - horizon for horizon in history.horizons]
        self.seen.append((n, rng.random()))
        return self

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        panel = history.panel
        shape = (origins.stop - origins.start, panel.n_instruments, len(history.horizons))
        return Forecast(
            model=self.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=np.ones(shape),
        )


def test_a_fit_sees_no_outcome_that_was_not_complete_before_its_first_origin(
    history: History,
) -> None:
    spy = _Spy([])
    walk_forward(history, [spy], first_row=300, seed=1)
    assert [n for n, _ in spy.seen] == [300, 400, 500, 600]


def test_every_fit_has_its_own_random_stream_which_other_models_do_not_shift(
    history: History,
) -> None:
    alone, beside = _Spy([]), _Spy([])
    walk_forward(history, [alone], first_row=300, seed=1)
    walk_forward(history, [Ewma(), beside], first_row=300, seed=1)
    assert alone.seen == beside.seen
    assert len({draw for _, draw in alone.seen}) == len(alone.seen)
    assert stream(1, "spy/300").random() == alone.seen[0][1]


@pytest.mark.slow
def test_the_number_of_workers_changes_no_number(history: History) -> None:
    models: list[Forecaster] = [Ewma(), LogHar(), Garch()]
    one = walk_forward(history, models, first_row=500, seed=1)
    two = walk_forward(history, models, first_row=500, seed=1, workers=2)
    for name in one.forecasts:
        np.testing.assert_array_equal(one.forecasts[name].variance, two.forecasts[name].variance)


@dataclass(frozen=True)
class _Young(_Spy):
    def fit(self, history: History, *, rng: np.random.Generator) -> Any:
        if history.panel.n_periods < 450:
            raise NotEnoughHistoryError("the model needs 450 periods")
        return self


def test_a_model_that_lacks_history_is_silent_and_says_so(history: History) -> None:
    walked = walk_forward(history, [_Young([])], first_row=300, seed=1)
    variance = walked.forecasts["spy"].variance
    assert np.isnan(variance[:200]).all()
    assert (variance[200:] == 1.0).all()
    assert walked.notes == (
        "spy: 2018-10-29: the model needs 450 periods",
        "spy: 2019-02-06: the model needs 450 periods",
    )
