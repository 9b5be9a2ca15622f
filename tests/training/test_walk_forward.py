from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from foremargin.errors import NotEnoughHistoryError
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Ewma, FittedForecaster, Forecast, Forecaster, Garch, LogHar
from foremargin.training import (
    Execution,
    Schedule,
    Window,
    make_blocks,
    stream,
    walk_forward,
)


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
    two = walk_forward(history, models, first_row=500, seed=1, execution=Execution(workers=2))
    for name in one.forecasts:
        np.testing.assert_array_equal(one.forecasts[name].variance, two.forecasts[name].variance)
    assert one.notes == two.notes


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


@dataclass(frozen=True)
class _Last:
    """Forecasts the last variance it was given; remembers what it saw."""

    seen: list[tuple[np.datetime64, int, float]]
    name: str = "last"
    refit_days: int = 100
    notes: tuple[str, ...] = ()

    def fit(self, history: History, *, rng: np.random.Generator) -> FittedForecaster:
        panel, level = history.panel, history.features.level
        assert history.targets.known_at.max() <= panel.n_periods
        self.seen.append((panel.time[0], panel.n_periods, float(level[-1, 0])))
        return self

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        panel = history.panel
        variance = history.features.variance[origins, :, None] * np.array(history.horizons)
        return Forecast(
            model=self.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=np.where(variance > 0.0, variance, np.nan),
        )


def test_a_rolling_window_cuts_what_a_fit_sees_and_not_what_was_known(history: History) -> None:
    expanding, rolling = _Last([]), _Last([])
    whole = walk_forward(history, [expanding], first_row=300, seed=1)
    schedule = Schedule(window=Window(sessions=150))
    cut = walk_forward(history, [rolling], first_row=300, seed=1, schedule=schedule)
    time = history.panel.time
    assert [n for _, n, _ in expanding.seen] == [300, 400, 500, 600]
    assert [n for _, n, _ in rolling.seen] == [150] * 4
    assert [start for start, _, _ in rolling.seen] == [
        time[row - 150] for row in range(300, 700, 100)
    ]
    # The level is a mean over everything before, which the window leaves as it was.
    assert [level for *_, level in rolling.seen] == [level for *_, level in expanding.seen]
    # Forecasts stand at the same origins, whatever row the window begins in.
    np.testing.assert_array_equal(cut.forecasts["last"].origin, time[300:])
    np.testing.assert_array_equal(cut.forecasts["last"].variance, whole.forecasts["last"].variance)


def test_a_window_may_be_of_one_model_alone(history: History) -> None:
    one, other = _Last([]), _Last([], name="other")
    schedule = Schedule(windows={"other": Window(sessions=200)})
    walk_forward(history, [one, other], first_row=600, seed=1, schedule=schedule)
    assert [n for _, n, _ in one.seen] == [600]
    assert [n for _, n, _ in other.seen] == [200]


@dataclass(frozen=True)
class _Remembering(_Last):
    """Remembers the row in which its window starts, as a GARCH filter does."""

    start: np.datetime64 | None = None

    def fit(self, history: History, *, rng: np.random.Generator) -> FittedForecaster:
        return replace(self, start=history.panel.time[0])

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        assert history.panel.time[0] == self.start
        return super().forecast(history, origins=origins)


def test_a_row_that_a_fit_remembers_is_the_same_row_when_it_forecasts(history: History) -> None:
    schedule = Schedule(window=Window(sessions=150))
    walked = walk_forward(history, [_Remembering([])], first_row=300, seed=1, schedule=schedule)
    assert len(walked.forecasts["last"].origin) == 400


@dataclass(frozen=True)
class _Counting:
    """Counts the fits since its cold start; forecasts that number."""

    name: str = "counting"
    refit_days: int = 50
    count: int = 1
    notes: tuple[str, ...] = ()

    def fit(self, history: History, *, rng: np.random.Generator) -> "_Counting":
        return self

    def refit(
        self, history: History, *, previous: "_Counting", rng: np.random.Generator
    ) -> "_Counting":
        return replace(self, count=previous.count + 1)

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        panel = history.panel
        shape = (origins.stop - origins.start, panel.n_instruments, len(history.horizons))
        return Forecast(
            model=self.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=np.full(shape, float(self.count)),
        )


def _counts(history: History, schedule: Schedule) -> list[float]:
    walked = walk_forward(history, [_Counting()], first_row=500, seed=1, schedule=schedule)
    variance = walked.forecasts["counting"].variance[:, 0, 0]
    return [float(count) for count in variance[::50]]


def test_a_warm_start_begins_where_the_previous_fit_of_the_model_ended(history: History) -> None:
    assert _counts(history, Schedule(warm_starts=True)) == [1.0, 2.0, 3.0, 4.0]
    assert _counts(history, Schedule()) == [1.0, 1.0, 1.0, 1.0]


def test_a_window_that_moves_is_never_started_warm(history: History) -> None:
    schedule = Schedule(window=Window(sessions=300), warm_starts=True)
    assert _counts(history, schedule) == [1.0, 1.0, 1.0, 1.0]
