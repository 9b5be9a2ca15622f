"""The network: what its heads promise, what it may learn from, and whether it learns."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from foremargin.errors import NotEnoughHistoryError
from foremargin.features import Features, History, build_history
from foremargin.markets import Panel
from foremargin.models import (
    TAIL_PROBABILITIES,
    Forecast,
    PooledHar,
    RegimeNetwork,
    TrainingPlan,
)
from foremargin.models.network import forecaster as network_module
from foremargin.models.network.module import HeadOutputs, ModuleShape, RegimeModule
from foremargin.models.network.training import Rows, _losses, make_rows, single_thread, train
from foremargin.models.pooled import usable_rows
from foremargin.models.regressions.pooled_har import PooledRegression, fit_pooled

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]

TINY = TrainingPlan(n_members=2, n_hidden=4, batch_size=256, max_epochs=2)


def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture(scope="module")
def history(make_panel: MakePanel) -> History:
    return build_history(make_panel(n_periods=900), horizons=(1, 5))


@pytest.fixture(scope="module")
def forecast(history: History) -> Forecast:
    fitted = RegimeNetwork(plan=TINY).fit(history.upto(780), rng=rng())
    return fitted.forecast(history, origins=slice(300, 900))


def given_array(array: Array | None) -> Array:
    assert array is not None
    return array


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_tails_are_positive_ordered_and_never_cross(forecast: Forecast, side: str) -> None:
    value_at_risk = given_array(getattr(forecast, f"value_at_risk_{side}"))
    shortfall = given_array(getattr(forecast, f"expected_shortfall_{side}"))
    known = np.isfinite(forecast.variance)
    assert np.isfinite(value_at_risk[known]).all()
    assert (value_at_risk[known] > 0.0).all()
    assert (shortfall[known] > value_at_risk[known]).all()
    # In the order 1 %, 2.5 %, 5 %: the rarer the tail, the larger the loss.
    assert (np.diff(value_at_risk[known], axis=-1) < 0.0).all()
    assert (np.diff(shortfall[known], axis=-1) <= 0.0).all()


@pytest.mark.parametrize("seed", range(5))
def test_no_weights_whatever_make_the_tails_cross(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = ModuleShape(n_members=3, n_inputs=6, n_hidden=8, n_horizons=2, n_tails=3, dropout=0.0)
    module = RegimeModule(shape, generator=generator).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(2.0 * torch.randn(parameter.shape, generator=generator))
        out = module(3.0 * torch.randn(3, 200, 6, generator=generator, dtype=torch.float64))
    quantile, shortfall = out.quantile.numpy(), out.shortfall.numpy()
    # softplus of a very negative number is zero in double precision: equal, but never crossed
    assert (quantile >= 0.0).all()
    assert (shortfall >= quantile).all()
    assert (np.diff(quantile, axis=-1) <= 0.0).all()
    assert (np.diff(shortfall, axis=-1) <= 0.0).all()


def test_probabilities_are_probabilities_and_none_is_given_without_volume(
    forecast: Forecast,
) -> None:
    for name in ("stress_probability", "liquidity_stress_probability"):
        probability = given_array(getattr(forecast, name))
        known = np.isfinite(probability)
        assert known.any()
        assert ((probability[known] >= 0.0) & (probability[known] <= 1.0)).all()
    liquidity = given_array(forecast.liquidity_stress_probability)
    assert np.isnan(liquidity[:, forecast.instruments.index("CLOSE")]).all()


def spied_training(
    history: History, monkeypatch: pytest.MonkeyPatch, plan: TrainingPlan
) -> tuple[list[tuple[History, NDArray[np.bool_]]], list[Rows]]:
    """Fit; return what rows were made of (training, then validation) and what came of it."""
    asked: list[tuple[History, NDArray[np.bool_]]] = []
    made: list[Rows] = []

    def spy(history: History, *, skip: PooledRegression, rows: NDArray[np.bool_]) -> Rows:
        asked.append((history, rows))
        made.append(make_rows(history, skip=skip, rows=rows))
        return made[-1]

    monkeypatch.setattr(network_module, "make_rows", spy)
    RegimeNetwork(plan=plan).fit(history, rng=rng())
    return asked, made


def test_no_training_outcome_was_known_after_the_stopping_days_began(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    (training, held_out), (train_rows, _) = spied_training(history, monkeypatch, TINY)
    block, rows = training
    stop = block.panel.n_periods
    assert history.panel.time[-1] - block.panel.time[-1] == np.timedelta64(120, "D")
    # The embargo: an outcome in use was complete at the close of the block's last row.
    in_use = np.isfinite(block.targets.variance[rows])
    assert (history.targets.known_at[:stop][rows][in_use] < stop).all()
    np.testing.assert_array_equal(torch.isfinite(train_rows.log_ratio).numpy(), in_use)
    last = np.flatnonzero(rows[:, 0])[-5:]
    assert np.isnan(block.targets.variance[last, 0, 1]).all()  # five periods ahead
    # And the rows it stops on all lie after it.
    assert not held_out[1][:stop].any()
    assert held_out[1][stop:].any()


def test_what_happens_in_the_stopping_days_changes_no_training_row(
    history: History, shock_after: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (base, _) = spied_training(history, monkeypatch, TINY)
    shocked_panel = shock_after(history.panel, 900 - 120 - 1)
    shocked_history = build_history(shocked_panel, horizons=(1, 5))
    _, (shocked, held_out) = spied_training(shocked_history, monkeypatch, TINY)
    for name in ("x", "log_ratio", "scaled_return", "stress", "liquidity_stress"):
        torch.testing.assert_close(
            getattr(shocked, name), getattr(base, name), rtol=0, atol=0, equal_nan=True
        )
    assert len(held_out.x)


def test_training_without_a_pass_is_the_pooled_regression_on_everything_known(
    history: History,
) -> None:
    known = history.upto(780)
    plan = replace(TINY, max_epochs=1, learning_rate=0.0, weight_decay=0.0)
    got = RegimeNetwork(plan=plan).fit(known, rng=rng()).forecast(history, origins=slice(600, 900))
    wanted = PooledHar().fit(known, rng=rng()).forecast(history, origins=slice(600, 900))
    # The weights pass through single precision: 24 bits, times the size of the logs.
    np.testing.assert_allclose(got.variance, wanted.variance, rtol=1e-5)


def test_every_member_keeps_its_best_weights_and_never_ends_worse_than_it_started(
    history: History,
) -> None:
    rows = usable_rows(history)
    late = np.arange(900)[:, None] >= 700
    block = history.upto(700)
    skip = fit_pooled(block, rows=rows[:700], penalty=20.0)
    training = make_rows(block, skip=skip, rows=rows[:700])
    validation = make_rows(history, skip=skip, rows=rows & late)
    # A rate this high ruins the weights; stopping must still hand back the start.
    plan = replace(TINY, learning_rate=1.0, max_epochs=3)

    def loss_after(learning_rate: float) -> torch.Tensor:
        with_rate = replace(plan, learning_rate=learning_rate, weight_decay=0.0)
        generator = torch.Generator().manual_seed(1)
        with single_thread():
            module = train(training, validation, skip=skip, plan=with_rate, generator=generator)
        with single_thread(), torch.no_grad():
            return _losses(module(validation.x.expand(2, *validation.x.shape)), validation, plan)

    start, stopped, ruined = loss_after(0.0), loss_after(2e-3), loss_after(plan.learning_rate)
    assert (ruined <= start).all()
    assert (stopped < start).any()


def test_the_tail_loss_is_smallest_at_the_true_value_at_risk_and_shortfall() -> None:
    n = 100_000
    z = torch.as_tensor(np.random.default_rng(3).normal(size=(n, 1)), dtype=torch.float64)
    nothing = torch.full((n, 1), torch.nan, dtype=torch.float64)
    rows = Rows(
        x=torch.zeros(n, 1),
        log_ratio=nothing,
        scaled_return=z,
        stress=nothing,
        liquidity_stress=nothing,
    )
    tails = np.array(TAIL_PROBABILITIES)
    value_at_risk = stats.norm.isf(tails)
    shortfall = stats.norm.pdf(value_at_risk) / tails  # mean of a normal beyond its quantile

    def loss(q_factor: float, e_factor: float) -> float:
        shape = (1, n, 2, 1, 3)
        zero = torch.zeros(1, n, 1, dtype=torch.float64)
        outputs = HeadOutputs(
            log_variance=zero,
            quantile=torch.as_tensor(q_factor * value_at_risk).expand(shape),
            shortfall=torch.as_tensor(e_factor * shortfall).expand(shape),
            stress_logit=zero,
            liquidity_logit=zero,
        )
        with single_thread():
            return float(_losses(outputs, rows, TINY)[0])

    at_truth = loss(1.0, 1.0)
    for wrong in ((0.9, 1.0), (1.1, 1.0), (1.0, 0.85), (1.0, 1.15)):
        assert loss(*wrong) > at_truth + 1e-4


def test_too_little_history_before_the_stopping_days_is_refused(make_panel: MakePanel) -> None:
    history = build_history(make_panel(n_periods=260), horizons=(1,))
    with pytest.raises(NotEnoughHistoryError, match="needs 500 rows before the 120 days it stops"):
        RegimeNetwork(plan=TINY).fit(history, rng=rng())


def qlike(realized: Array, forecast: Array) -> float:
    u = realized / forecast
    return float(np.mean(u - np.log(u) - 1.0))


def with_planted_signal(panel: Panel, *, strength: float) -> History:
    """Make the next variance a V-shaped function of an input that no regression line fits."""
    rng = np.random.default_rng(77)
    history = build_history(panel, horizons=(1,))
    signal = rng.normal(size=panel.close.shape)
    log_next = strength * (np.abs(signal) - np.sqrt(2 / np.pi))
    noise = rng.gamma(6.0, 1.0 / 6.0, size=signal.shape)
    next_variance = 4e-4 * np.exp(log_next) * noise
    own = np.full(panel.close.shape, np.nan)
    own[1:] = next_variance[:-1]
    own[~panel.present] = np.nan
    level = np.full(panel.close.shape, np.log(4e-4))
    values = np.concatenate([history.features.values, signal[..., None]], axis=-1)
    features = Features(
        time=panel.time,
        instruments=panel.instruments,
        names=(*history.features.names, "planted"),
        values=values,
        variance=own,
        level=np.where(panel.present, level, np.nan),
    )
    known = np.isfinite(history.targets.variance[:, :, 0])
    target = np.where(known, next_variance, np.nan)[..., None]
    targets = replace(history.targets, variance=target)
    return History(panel=panel, features=features, targets=targets)


@pytest.mark.slow
def test_a_signal_that_is_not_linear_is_learnt_better_than_by_the_ridge(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=1_600, clustered=False)
    history = with_planted_signal(panel, strength=1.0)
    plan = TrainingPlan(n_members=2, n_hidden=16, batch_size=128, max_epochs=15, learning_rate=1e-2)
    origins = slice(1_300, 1_599)
    past = history.upto(1_300)
    rows = np.isfinite(history.targets.variance[origins, :, 0])
    rows &= usable_rows(history)[origins]
    realized = history.targets.variance[origins, :, 0][rows]
    network = RegimeNetwork(plan=plan).fit(past, rng=rng()).forecast(history, origins=origins)
    ridge = PooledHar().fit(past, rng=rng()).forecast(history, origins=origins)
    by_network = qlike(realized, network.variance[..., 0][rows])
    by_ridge = qlike(realized, ridge.variance[..., 0][rows])
    # The best possible QLIKE is that of the gamma noise; the line sees nothing of the V, which
    # costs it about half the variance of its log, 0.36 / 2. A third of that is learnt at least.
    assert by_network < by_ridge - 0.06


@pytest.mark.slow
def test_on_pure_noise_the_network_is_no_better_than_the_mean_of_the_past(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=1_600, clustered=False)
    history = build_history(panel, horizons=(1,))
    origins = slice(1_300, 1_599)
    plan = TrainingPlan(n_members=3, n_hidden=16, batch_size=256, max_epochs=10)
    fitted = RegimeNetwork(plan=plan).fit(history.upto(1_300), rng=rng())
    variance = fitted.forecast(history, origins=origins).variance[..., 0]
    realized = history.targets.variance[origins, :, 0]
    past = np.nanmean(history.features.variance[:1_300], axis=0)
    known = np.isfinite(variance) & np.isfinite(realized) & (realized > 0.0)
    u, v = (realized / variance)[known], (realized / past)[known]
    gain = (v - np.log(v)) - (u - np.log(u))
    # No skill: a mean gain within 3 standard errors above zero (one false alarm in 740), and
    # a loss of no more than a tenth of what a doubled variance would cost, ln 2 - 1/2.
    assert gain.mean() < 3.0 * gain.std() / np.sqrt(len(gain))
    assert gain.mean() > -0.1 * (np.log(2.0) - 0.5)
