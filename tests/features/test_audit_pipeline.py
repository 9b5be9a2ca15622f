"""The audit of a pipeline: what looks ahead is named, what does not passes."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError, ShapeError
from foremargin.features import (
    ALL_FEATURES,
    LeakTest,
    LeakVerdict,
    audit_pipeline,
    build_features,
    build_targets,
)
from foremargin.features.audit.shock import shocked_after
from foremargin.markets import Panel

MakePanel = Callable[..., Panel]


def frame(panel: Panel) -> pd.DataFrame:
    return pd.DataFrame(panel.log_return**2)


def smoothed_states(panel: Panel) -> np.ndarray:
    """Probability of the wilder of two states, given all periods: forwards and backwards."""
    likelihood = np.ones((panel.n_periods, 2))
    squared = np.nan_to_num(panel.log_return[:, 0] ** 2) / 4e-4
    for state, variance in enumerate((0.5, 3.0)):
        likelihood[:, state] = np.exp(-0.5 * squared / variance) / np.sqrt(variance)
    stay = np.array([[0.95, 0.05], [0.1, 0.9]])
    forward, backward = likelihood.copy(), np.ones_like(likelihood)
    for t in range(1, panel.n_periods):
        forward[t] = forward[t - 1] @ stay * likelihood[t]
        forward[t] /= forward[t].sum()
    for t in range(panel.n_periods - 2, -1, -1):
        backward[t] = stay @ (likelihood[t + 1] * backward[t + 1])
        backward[t] /= backward[t].sum()
    both = forward * backward
    return np.repeat((both[:, 1] / both.sum(axis=1))[:, None], panel.n_instruments, axis=1)


LEAKS: dict[str, Callable[[Panel], np.ndarray]] = {
    "standardised on the whole sample": lambda p: (
        (frame(p) - frame(p).mean()) / frame(p).std()
    ).to_numpy(),
    "centred window": lambda p: frame(p).rolling(5, center=True, min_periods=1).mean().to_numpy(),
    "filled backwards": lambda p: frame(p).iloc[6::7].reindex(frame(p).index).bfill().to_numpy(),
    "global quantile": lambda p: (frame(p) > frame(p).quantile(0.8)).to_numpy(dtype=np.float64),
    "smoothed states": smoothed_states,
    "next period": lambda p: frame(p).shift(-1).to_numpy(),
    "targets": lambda p: build_targets(p, horizons=[1]).variance,
}
CAUSAL: dict[str, Callable[[Panel], np.ndarray]] = {
    "expanding mean": lambda p: frame(p).expanding().mean().to_numpy(),
    "exponential mean": lambda p: frame(p).ewm(alpha=0.1).mean().to_numpy(),
    "lag": lambda p: frame(p).shift(3).to_numpy(),
}


@pytest.fixture(scope="module")
def panel(make_panel: MakePanel) -> Panel:
    return make_panel(n_periods=600)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize("name", list(LEAKS))
def test_a_pipeline_that_looks_ahead_is_a_leak(
    name: str, panel: Panel, rng: np.random.Generator
) -> None:
    report = audit_pipeline(LEAKS[name], panel, rng=rng)
    assert report.flagged == ("pipeline",)
    assert report.verdict("pipeline").verdict is LeakVerdict.LEAK
    changed = report.evidence[report.evidence["rejected"]]
    assert set(changed["test"]) == {LeakTest.TRUNCATION.value, LeakTest.SHOCK.value}
    first = changed.iloc[0]
    assert first["instrument"] in panel.instruments
    assert first["first_changed"] <= first["cut"]


@pytest.mark.parametrize("name", list(CAUSAL))
def test_a_causal_pipeline_is_clean(name: str, panel: Panel, rng: np.random.Generator) -> None:
    report = audit_pipeline(CAUSAL[name], panel, rng=rng)
    assert report.clean
    assert set(report.evidence["test"]) == {LeakTest.TRUNCATION.value, LeakTest.SHOCK.value}
    assert "saw the shocks afterwards" in report.verdict("pipeline").sentence


@pytest.mark.slow
@pytest.mark.parametrize("period", ["1D", "4h"])
def test_every_registered_feature_is_causal(
    period: str, make_panel: MakePanel, rng: np.random.Generator
) -> None:
    panel = make_panel(n_periods=700, period=period)
    names = [feature.name for feature in ALL_FEATURES]
    report = audit_pipeline(lambda p: build_features(p, names=names), panel, rng=rng, n_cuts=2)
    assert report.clean, report.verdict("pipeline").sentence


def test_the_first_value_that_changed_is_named(panel: Panel, rng: np.random.Generator) -> None:
    def leaky(p: Panel) -> np.ndarray:
        values = np.repeat(frame(p).expanding().mean().to_numpy()[:, :, None], 3, axis=2)
        values[:-1, 1, 2] = p.log_return[1:, 1]  # one column of one instrument sees tomorrow
        return values

    report = audit_pipeline(leaky, panel, rng=rng, n_cuts=8)
    found = report.evidence[report.evidence["rejected"]]
    assert set(found["instrument"]) == {panel.instruments[1]}
    assert set(found["column"]) == {"2"}
    assert (found["first_changed"] == found["cut"]).all()
    assert panel.instruments[1] in report.verdict("pipeline").sentence


def test_a_pipeline_that_sees_nothing_proves_nothing(
    panel: Panel, rng: np.random.Generator
) -> None:
    report = audit_pipeline(lambda p: np.ones((p.n_periods, 4)), panel, rng=rng)
    assert report.verdict("pipeline").verdict is LeakVerdict.NOT_ENOUGH
    assert not report.clean
    assert report.flagged == ()


def test_a_column_that_saw_no_shock_is_named(panel: Panel, rng: np.random.Generator) -> None:
    def half(p: Panel) -> np.ndarray:
        return np.stack([np.ones((p.n_periods, 4)), frame(p).to_numpy()], axis=2)

    assert "nothing is proved of 0" in audit_pipeline(half, panel, rng=rng).verdicts[0].sentence


def forecasts(p: Panel) -> pd.DataFrame:
    tables = []
    for i, name in enumerate(p.instruments):
        squared = pd.Series(p.log_return[:, i] ** 2)
        tables.append(
            pd.DataFrame(
                {
                    "model": "ewma",
                    "instrument": name,
                    "origin": pd.DatetimeIndex(p.time, tz="UTC"),
                    "horizon": 1,
                    "variance": squared.ewm(alpha=0.06).mean(),
                    "realized_variance": squared.shift(-1),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def test_outcomes_in_a_table_of_forecasts_may_know_the_future_and_forecasts_may_not(
    panel: Panel, rng: np.random.Generator
) -> None:
    assert audit_pipeline(forecasts, panel, rng=rng).clean

    def early(p: Panel) -> pd.DataFrame:
        table = forecasts(p)
        return table.assign(variance=table.groupby("instrument")["variance"].shift(-1))

    report = audit_pipeline(early, panel, rng=rng)
    assert report.flagged == ("pipeline",)
    assert "variance model=ewma horizon=1" in report.verdict("pipeline").sentence


def test_arithmetic_that_differs_in_the_last_digits_needs_a_tolerance(
    panel: Panel, rng: np.random.Generator
) -> None:
    def untidy(p: Panel) -> np.ndarray:
        values = frame(p).expanding().mean().to_numpy()
        return values * (1.0 + 1e-13 * p.n_periods)

    assert audit_pipeline(untidy, panel, rng=rng).flagged == ("pipeline",)
    assert audit_pipeline(untidy, panel, rng=rng, tolerance=1e-9).clean


def test_a_pipeline_that_draws_is_refused(panel: Panel, rng: np.random.Generator) -> None:
    noise = np.random.default_rng(0)
    with pytest.raises(InputError, match="two runs differed; seed it"):
        audit_pipeline(lambda p: noise.normal(size=(p.n_periods, 4)), panel, rng=rng)


def test_what_does_not_lie_on_the_panel_is_refused(panel: Panel, rng: np.random.Generator) -> None:
    with pytest.raises(ShapeError, match=r"build must return shape \(600, 4\)"):
        audit_pipeline(lambda p: np.ones((3, 4)), panel, rng=rng)
    with pytest.raises(InputError, match=r"without \['origin'\]"):
        audit_pipeline(lambda p: forecasts(p).drop(columns="origin"), panel, rng=rng)
    with pytest.raises(ShapeError, match="must be those of the panel, found 2400 rows"):
        audit_pipeline(lambda p: forecasts(p).assign(instrument="other"), panel, rng=rng)
    with pytest.raises(InputError, match="must have rows and numeric columns"):
        audit_pipeline(lambda p: forecasts(p).iloc[:0], panel, rng=rng)
    with pytest.raises(InputError, match="n_cuts must be at least 1"):
        audit_pipeline(CAUSAL["lag"], panel, rng=rng, n_cuts=0)
    with pytest.raises(InputError, match="panel must have periods for 5 cuts, had 5"):
        audit_pipeline(CAUSAL["lag"], panel.upto(5), rng=rng)


def test_a_shocked_panel_is_the_same_up_to_the_row_and_another_one_after_it(
    panel: Panel, rng: np.random.Generator
) -> None:
    other = shocked_after(panel, 300, rng=rng)
    assert other.upto(301).fingerprint() == panel.upto(301).fingerprint()
    np.testing.assert_array_equal(other.missing, panel.missing)
    for name in ("log_return", "close"):
        after = panel.present[302:]
        assert (getattr(other, name)[302:][after] != getattr(panel, name)[302:][after]).all()
    rows = np.flatnonzero(panel.present[:, 0])
    moves = np.diff(np.log(other.close[rows, 0]))
    # Logs of prices are rounded.
    np.testing.assert_allclose(other.log_return[rows[1:], 0], moves, atol=1e-12)
    assert (other.values("high")[rows, 0] >= other.close[rows, 0] * (1 - 1e-12)).all()
