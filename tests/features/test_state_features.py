"""Laws of the features of the market's state and of its regimes, at two period lengths."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.features import Measures
from foremargin.features.audit import audit_pipeline
from foremargin.features.features import Features, compute_features
from foremargin.features.regimes import REGIME_FEATURES, filtered_probabilities, fit_switching
from foremargin.features.state import STATE_FEATURES
from foremargin.markets import Panel

MakePanel = Callable[..., Panel]

FEATURES = (*STATE_FEATURES, *REGIME_FEATURES)


def run(panel: Panel) -> Features:
    return compute_features(Measures(panel=panel), FEATURES)


@pytest.fixture(scope="module")
def panels(make_panel: MakePanel, with_context: MakePanel) -> dict[str, Panel]:
    return {p: with_context(make_panel(n_periods=900, period=p)) for p in ("1D", "4h")}


@pytest.fixture(scope="module")
def full(panels: dict[str, Panel]) -> dict[str, Features]:
    return {period: run(panel) for period, panel in panels.items()}


def test_features_do_not_depend_on_the_scale_of_returns(
    make_panel: MakePanel, with_context: MakePanel, full: dict[str, Features]
) -> None:
    # Levels of volatility indices are what they are; all else is free of the unit.
    levels = [k for k, f in enumerate(FEATURES) if f.name in ("vix_level", "dvol_level")]
    levels += [k for k, f in enumerate(FEATURES) if f.name == "equity_change_week"]
    scaled = run(with_context(make_panel(scale=7.0), scale=7.0)).values
    # Prices are exponentials of scaled logs: both they and the logs taken of them are rounded,
    # and moves of 1e-4 lose four digits of the sixteen; a unit slip would be of order one.
    np.testing.assert_allclose(
        np.delete(scaled, levels, axis=2),
        np.delete(full["1D"].values, levels, axis=2),
        rtol=1e-6,
        atol=1e-6,
    )


def test_a_panel_without_market_wide_series_has_no_macro_features_and_no_error(
    make_panel: MakePanel,
) -> None:
    features = run(make_panel())
    macro = [f.name for f in FEATURES if f.name.startswith(("vix", "dvol", "credit", "dollar"))]
    assert len(macro) > 10
    for name in macro:
        assert np.isnan(features.column(name)).all()
    assert np.isfinite(features.column("turbulence")[:, 0]).any()


def test_the_slope_of_the_curve_comes_from_the_yields_where_no_source_gives_it(
    panels: dict[str, Panel],
) -> None:
    panel = panels["1D"]
    context = {name: s for name, s in panel.context.items() if name != "T10Y2Y"}
    slope = run(replace(panel, context=context)).column("curve_slope_level")[:, 0]
    wanted = panel.context["DGS10"] - panel.context["DGS2"]
    np.testing.assert_array_equal(slope[panel.present[:, 0]], wanted[panel.present[:, 0]])


@pytest.mark.parametrize("column", [0, 1])
def test_the_regime_of_an_instrument_is_its_own_whoever_is_beside_it(
    column: int, panels: dict[str, Panel], full: dict[str, Features]
) -> None:
    panel = panels["1D"]
    rows = panel.present[:, column]
    alone = run(panel.select([panel.instruments[column]]))
    for feature in REGIME_FEATURES:
        own = alone.column(feature.name)[:, 0]
        joined = full["1D"].column(feature.name)[:, column]
        np.testing.assert_array_equal(
            own[np.isfinite(own)], joined[rows][np.isfinite(joined[rows])]
        )
        assert np.isfinite(own).sum() > 200


def test_premia_compare_quotes_in_percent_with_trailing_variance(
    panels: dict[str, Panel], full: dict[str, Features]
) -> None:
    panel, at = panels["1D"], 450
    changes = np.diff(np.log(panel.context["SP500"]))[at - 30 : at]
    wanted = np.log((panel.context["VIX"][at] / 100.0) ** 2 / (np.mean(changes**2) * 365.0))
    np.testing.assert_allclose(full["1D"].column("vix_premium")[at, 0], wanted, rtol=1e-9)
    realized = Measures(panel=panel).variance[at - 29 : at + 1, 0].mean() * 365.0
    wanted = np.log((panel.context["DVOL"][at] / 100.0) ** 2 / realized)
    np.testing.assert_allclose(full["1D"].column("dvol_premium")[at, 0], wanted, rtol=1e-9)


def test_volatility_in_percent_and_as_a_decimal_is_the_same(
    panels: dict[str, Panel], full: dict[str, Features]
) -> None:
    panel = panels["1D"]
    decimal = {
        name: series / 100.0 if name.startswith(("VIX", "DVOL")) else series
        for name, series in panel.context.items()
    }
    # Dividing before or after rounds differently.
    np.testing.assert_allclose(
        run(replace(panel, context=decimal)).values, full["1D"].values, rtol=1e-9, atol=1e-9
    )


def test_a_series_that_is_too_old_gives_no_feature(full: dict[str, Features]) -> None:
    assert np.isnan(full["1D"].column("vix_level")[500:505]).all()
    assert np.isfinite(full["1D"].column("vix_level")[505, 0])


@pytest.mark.slow
def test_the_leak_audit_passes_filtered_regimes_and_flags_smoothed_ones(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=500)

    def smoothed(of: Panel) -> NDArray[np.float64]:
        """Fit on everything, and look at it backwards: what a regime feature must never be."""
        out = np.full((of.n_periods, of.n_instruments), np.nan)
        for i in range(of.n_instruments):
            rows = np.flatnonzero(np.isfinite(of.log_return[:, i]))
            if len(rows) < 100:
                continue
            p = fit_switching(of.log_return[rows, i])
            filtered = filtered_probabilities(of.log_return[rows, i], p)
            smooth = filtered.copy()
            for t in range(len(rows) - 2, -1, -1):
                ahead = smooth[t + 1] / (filtered[t] @ p.transition)
                smooth[t] = filtered[t] * (p.transition @ ahead)
            out[rows, i] = smooth[:, 1]
        return out

    def honest(of: Panel) -> Features:
        return compute_features(Measures(panel=of), REGIME_FEATURES)

    rng = np.random.default_rng(0)
    assert audit_pipeline(smoothed, panel, rng=rng, n_cuts=2).flagged
    assert not audit_pipeline(honest, panel, rng=rng, n_cuts=2).flagged
