"""The stress model: densities that are true where the truth is known, and where they are silent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from foremargin.backtest import pr_auc
from foremargin.errors import NotEnoughHistoryError
from foremargin.features import FEATURE_SETS, History, build_history
from foremargin.markets import Panel, load_panel
from foremargin.models import Forecast, PooledStress
from foremargin.models.stress.density import DensityRegression, fit_density
from foremargin.models.stress.inputs import make_inputs

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]

NAMES = ("A", "B")
ORIGINS = slice(700, 900)


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def fit(x: Array, y: Array, column: NDArray[np.intp], *, horizon: int = 1) -> DensityRegression:
    return fit_density(
        x, y, column, instruments=NAMES, horizon=horizon, penalty=1.0, size_penalty=1.0
    )


def normal(draw: np.random.Generator, n: int) -> Array:
    return draw.normal(size=n)


def skewed(draw: np.random.Generator, n: int) -> Array:
    return draw.exponential(size=n) - 1.0


def simulated(
    n: int, error: Callable[[np.random.Generator, int], Array]
) -> tuple[Array, Array, NDArray[np.intp], Array]:
    """Outcomes of which everything differs: the mean by term 0, the size by term 1 and by name."""
    draw = rng()
    x, column = draw.normal(size=(n, 2)), draw.integers(2, size=n)
    size = 0.4 * np.exp(0.3 * x[:, 1]) * np.where(column == 1, 1.8, 1.0)
    y = 0.8 * x[:, 0] + np.where(column == 1, 0.5, 0.0) + size * error(draw, n)
    return x, y, column, size


@pytest.mark.parametrize(
    ("error", "survival"),
    [(normal, stats.norm.sf), (skewed, lambda x: stats.expon.sf(x + 1.0))],
    ids=["normal", "skewed"],
)
def test_the_probability_to_exceed_a_threshold_is_the_true_one(
    error: Callable[[np.random.Generator, int], Array], survival: Callable[[Array], Array]
) -> None:
    x, y, column, size = simulated(40_000, error)
    density = fit(x, y, column)
    for threshold in (0.0, 0.5, 1.5):
        mean = 0.8 * x[:, 0] + np.where(column == 1, 0.5, 0.0)
        truth = survival((threshold - mean) / size)
        got = density.exceedance(x, column, NAMES, threshold=np.full(len(x), threshold))
        # 40,000 rows leave errors of 1 % in means and sizes; a fortieth of a skewed law is the
        # normal one; the density of a skewed law is steep at its end.
        assert np.abs(got - truth).mean() < 0.012
        assert abs(got.mean() - truth.mean()) < 0.01


def test_noise_gives_everyone_the_base_rate_and_a_planted_signal_is_found() -> None:
    draw = rng()
    x, column = draw.normal(size=(4_000, 5)), draw.integers(2, size=4_000)
    noise = draw.normal(size=4_000)
    train, test = slice(2_000), slice(2_000, None)
    said = {}
    for name, y in (("noise", noise), ("signal", noise + x[:, 2])):
        density = fit(x[train], y[train], column[train])
        threshold = np.full(2_000, np.quantile(y[train], 0.8))
        said[name] = density.exceedance(x[test], column[test], NAMES, threshold=threshold)
        event = y[test] > threshold
        rate = float(event.mean())
        gain = pr_auc(event, said[name]) / rate
        assert (gain > 2.0) == (name == "signal")
        assert abs(said[name].mean() - rate) < 4.0 * np.sqrt(0.2 * 0.8 / 2_000)
    assert said["noise"].std() < 0.05 < 0.2 < said["signal"].std()


def test_a_probability_falls_with_the_threshold_and_few_errors_are_taken_for_normal() -> None:
    x, y, column, _ = simulated(400, skewed)
    density = fit(x, y, column, horizon=5)
    assert density.normal_share == pytest.approx(1_000 / (1_000 + 400 / 5))
    said = [
        density.exceedance(x[:1], column[:1], NAMES, threshold=np.array([t]))[0]
        for t in np.linspace(-9.0, 9.0, 400)
    ]
    assert (np.diff(said) <= 0.0).all()
    uncertain = (np.array(said) > 1e-4) & (np.array(said) < 1.0 - 1e-4)
    assert (np.diff(np.array(said)[uncertain]) < 0.0).all()
    assert (said[0], said[-1]) == (1.0 - 1e-4, 1e-4)  # and never certain
    unknown = density.exceedance(x[:1], column[:1], NAMES, threshold=np.array([np.nan]))
    assert np.isnan(unknown).all()


@pytest.fixture(scope="module")
def history(make_panel: MakePanel) -> History:
    return build_history(make_panel(n_periods=900), horizons=(1, 5))


@pytest.fixture(scope="module")
def forecast(history: History) -> Forecast:
    fitted = PooledStress().fit(history.upto(ORIGINS.start), rng=rng())
    return fitted.forecast(history, origins=ORIGINS)


def known(array: Array | None) -> Array:
    assert array is not None
    return array


def test_both_probabilities_are_known_where_there_is_a_threshold(
    forecast: Forecast, history: History
) -> None:
    usable = np.isfinite(forecast.variance)
    for name, threshold in (
        ("stress_probability", history.targets.stress_threshold),
        ("liquidity_stress_probability", history.targets.illiquidity_threshold),
    ):
        said = known(getattr(forecast, name))
        np.testing.assert_array_equal(
            np.isfinite(said), usable & np.isfinite(threshold[ORIGINS]), err_msg=name
        )
        assert np.nanmin(said) > 0.0
        assert np.nanmax(said) < 1.0
    no_volume = forecast.instruments.index("CLOSE")
    assert np.isnan(known(forecast.liquidity_stress_probability)[:, no_volume]).all()


def test_what_the_experiment_has_not_prepared_is_computed_alike(
    forecast: Forecast, history: History
) -> None:
    sets = ["core", "news", "illiquidity"]
    prepared = build_history(history.panel, horizons=(1, 5), features=sets)
    fitted = PooledStress().fit(prepared.upto(ORIGINS.start), rng=rng())
    again = fitted.forecast(prepared, origins=ORIGINS)
    for name in ("variance", "stress_probability", "liquidity_stress_probability"):
        np.testing.assert_array_equal(getattr(again, name), getattr(forecast, name))


def test_the_inputs_end_with_the_weekday_of_the_period_that_follows(history: History) -> None:
    weekday = make_inputs(history, ("log_variance_last",))[:, 0, 1:]  # COIN: every day
    opens = (history.panel.time.astype("datetime64[D]").astype(int) + 3) % 7  # 1970-01-01: Thursday
    wanted = (opens[:, None] == np.arange(1, 7)).astype(float)
    np.testing.assert_array_equal(weekday, wanted)


def test_without_any_volume_there_is_no_probability_of_liquidity_stress(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=700).select(["CLOSE"])
    history = build_history(panel, horizons=(1,))
    fitted = PooledStress().fit(history.upto(650), rng=rng())
    forecast = fitted.forecast(history, origins=slice(650, 700))
    assert fitted.illiquidity is None
    assert np.isnan(known(forecast.liquidity_stress_probability)).all()
    assert np.isfinite(known(forecast.stress_probability)).all()


def test_too_little_history_is_an_error_that_says_how_much_is_needed(
    make_panel: MakePanel,
) -> None:
    history = build_history(make_panel(n_periods=120), horizons=(1,))
    with pytest.raises(NotEnoughHistoryError, match="stress-pooled needs 500 rows"):
        PooledStress().fit(history, rng=rng())


def test_the_forecast_depends_on_every_set_it_names(history: History, forecast: Forecast) -> None:
    for group in ("news", "illiquidity"):
        names = {feature.name for feature in FEATURE_SETS[group]}
        spec = PooledStress()
        less = replace(
            spec,
            variance_features=tuple(n for n in spec.variance_features if n not in names),
            illiquidity_features=("illiquidity_last",),
        )
        fitted = less.fit(history.upto(ORIGINS.start), rng=rng())
        other = fitted.forecast(history, origins=ORIGINS)
        for name in ("stress_probability", "liquidity_stress_probability"):
            moved = np.abs(known(getattr(other, name)) - known(getattr(forecast, name)))
            if (name == "stress_probability") == (group == "news") or name != "stress_probability":
                assert np.nanmax(moved) > 0.01


def test_onsets_of_illiquidity_are_found_on_eight_perpetuals(market_data: Path) -> None:
    panel = load_panel(market_data / "perp_klines_1h", period="1D")
    history = build_history(panel, horizons=(1,), features=["core", "news", "illiquidity"])
    start, stop = np.searchsorted(
        panel.time, [np.datetime64("2024-01-02"), np.datetime64("2025-06-30")]
    )
    fitted = PooledStress().fit(history.upto(int(start)), rng=rng())
    said = known(
        fitted.forecast(history, origins=slice(int(start), int(stop))).liquidity_stress_probability
    )[..., 0]
    event = history.targets.liquidity_stress[start:stop, :, 0]
    calm = np.isfinite(said) & (history.targets.liquidity_stress_now[start:stop, :, 0] == 0.0)
    calm &= np.isfinite(event)
    # One fit for the whole year and a half; the guide has the walk-forward figure.
    assert calm.sum() > 3_500
    assert pr_auc(event[calm], said[calm]) > 4.0 * event[calm].mean()
