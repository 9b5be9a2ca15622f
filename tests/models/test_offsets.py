"""Instruments that a pooled fit has not seen: their own past since then says how they differ."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Forecaster, PooledHar, RegimeNetwork, TrainingPlan
from foremargin.models.offsets import late_offsets, log_offsets

MakePanel = Callable[..., Panel]

STOP, END = 700, 900
NEWCOMER = "CLOSE"  # of which only closes are known

NETWORK = RegimeNetwork(
    plan=TrainingPlan(n_members=2, n_hidden=4, batch_size=256, max_epochs=2),
    more_features=("core",),
    wide_features=(),
)

by_forecaster = pytest.mark.parametrize(
    "forecaster", [PooledHar(), NETWORK], ids=lambda one: str(one.name)
)


@pytest.fixture(scope="module")
def panel(make_panel: MakePanel) -> Panel:
    return make_panel(n_periods=END)


@pytest.fixture(scope="module")
def history(panel: Panel) -> History:
    return build_history(panel, horizons=(1, 5))


def fit_without_the_newcomer(forecaster: Forecaster, panel: Panel):
    others = [name for name in panel.instruments if name != NEWCOMER]
    seen = build_history(panel.select(others), horizons=(1, 5))
    return forecaster.fit(seen.upto(STOP), rng=np.random.default_rng(0))


@by_forecaster
def test_a_newcomer_is_moved_by_the_mean_error_of_what_is_known_of_it(
    forecaster: Forecaster, panel: Panel, history: History
) -> None:
    fitted = fit_without_the_newcomer(forecaster, panel)
    i = panel.instruments.index(NEWCOMER)
    said = fitted.forecast(history, origins=slice(END - 1, END)).variance[0, i]
    blind = replace(history, targets=unknown(history))
    raw = fitted.forecast(blind, origins=slice(0, END)).variance[:, i]
    known = np.isfinite(raw) & (history.targets.known_at[:, i] < END)
    error = np.where(known, history.targets.variance[:, i] / raw, 0.0)
    expected = (error.sum(axis=0) + 100.0) / (known.sum(axis=0) + 100.0)
    np.testing.assert_allclose(said / raw[-1], expected, rtol=1e-9)  # logs of some hundred sums
    # A log says too little of a mean, and of a squared return less than of a realised variance.
    assert expected[0] > 1.25


def unknown(history: History):
    """Targets of which no outcome is ever known."""
    targets = history.targets
    return replace(targets, known_at=np.full_like(targets.known_at, history.panel.n_periods))


@by_forecaster
def test_an_offset_learnt_after_the_fit_ignores_what_is_not_known_at_the_origin(
    forecaster: Forecaster, panel: Panel, history: History
) -> None:
    fitted = fit_without_the_newcomer(forecaster, panel)
    said = fitted.forecast(history, origins=slice(STOP, 800)).variance
    changed = history.targets.variance.copy()
    changed[history.targets.known_at >= 750] *= 100.0
    shocked = replace(history, targets=replace(history.targets, variance=changed))
    after = fitted.forecast(shocked, origins=slice(STOP, 800)).variance
    i = panel.instruments.index(NEWCOMER)
    np.testing.assert_array_equal(after[:50], said[:50])
    assert (after[50:, i] > said[50:, i]).all()
    others = np.arange(panel.n_instruments) != i
    np.testing.assert_array_equal(after[:, others], said[:, others])


def test_an_offset_is_the_log_of_the_mean_error_shrunk_by_a_hundred_rows(history: History) -> None:
    usual = np.exp(history.features.level[..., None]) * np.array(history.horizons)
    with np.errstate(divide="ignore"):
        twice_too_low = np.log(history.targets.variance / usual / 2.0)
    twice_too_low[~np.isfinite(twice_too_low)] = np.nan
    offset = late_offsets(history, twice_too_low, origins=slice(0, END))
    for k in range(2):
        n = np.sum(np.isfinite(twice_too_low[:, 0, k]) & (history.targets.known_at[:, 0, k] < END))
        expected = np.log((2.0 * n + 100.0) / (n + 100.0))
        assert offset[-1, 0, k] == pytest.approx(expected, rel=1e-9)  # sums of some hundred rows
    at_fit = log_offsets(np.full(50, 2.0), np.zeros(50, dtype=np.intp), 2)
    np.testing.assert_allclose(at_fit, [np.log(200.0 / 150.0), 0.0], rtol=1e-12)
