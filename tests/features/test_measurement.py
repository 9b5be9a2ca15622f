"""Features of sign, jumps and noise against hand-made measures."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from foremargin.features import build_features
from foremargin.markets import Panel

MakePanel = Callable[..., Panel]
COIN = 0


def with_fields(panel: Panel, **fields: float) -> Panel:
    """Replace measures of all instruments by multiples of their realised variance."""
    variance = panel.values("realized_variance")
    made = {name: factor * variance for name, factor in fields.items()}
    return replace(panel, fields={**panel.fields, **made})


def test_a_signed_jump_is_the_balance_of_rises_and_falls(make_panel: MakePanel) -> None:
    panel = with_fields(
        make_panel(n_periods=60), semivariance_negative=0.75, semivariance_positive=0.25
    )
    features = build_features(panel, names=["measurement"])
    for name in ("signed_jump_last", "signed_jump_fall", "signed_jump_week", "signed_jump_month"):
        np.testing.assert_allclose(features.column(name)[-1, COIN], -0.5)
    turned = with_fields(panel, semivariance_negative=0.25, semivariance_positive=0.75)
    features = build_features(turned, names=["signed_jump_last", "signed_jump_fall"])
    np.testing.assert_allclose(features.values[-1, COIN], [0.5, 0.0])


def test_ratios_to_realised_variance_have_no_unit(make_panel: MakePanel) -> None:
    panel = with_fields(make_panel(n_periods=60), bipower_variance=0.8, realized_kernel=1.1)
    names = ["bipower_ratio_last", "bipower_ratio_month", "kernel_ratio_week", "median_ratio_last"]
    values = build_features(panel, names=names).values[-1, COIN]
    np.testing.assert_allclose(values[:3], np.log([0.8, 0.8, 1.1]))
    assert np.isnan(values[3])  # this panel has no median variance


def test_noise_does_not_depend_on_the_unit_of_quarticity(make_panel: MakePanel) -> None:
    panel = make_panel(n_periods=80)
    scaled = replace(
        panel,
        fields={**panel.fields, "realized_quarticity": 1e6 * panel.values("realized_quarticity")},
    )
    names = ["noise_last", "noise_of_news"]
    base, other = (build_features(p, names=names).values[:, COIN] for p in (panel, scaled))
    # A mean of logs near ten is subtracted from a log near ten.
    np.testing.assert_allclose(other, base, atol=1e-12)
    assert np.ptp(base[20:, 0]) > 0.5


def test_variance_without_prices_is_known_from_the_first_period(make_panel: MakePanel) -> None:
    panel = make_panel(n_periods=60)
    unknown = np.full(panel.close.shape, np.nan)
    bare = replace(panel, close=unknown, log_return=unknown)
    got = build_features(bare, names=["log_variance_last"]).variance[:, COIN]
    np.testing.assert_array_equal(got, panel.values("realized_variance")[:, COIN])
    # With prices the first period may be half a period.
    assert np.isnan(build_features(panel, names=["log_variance_last"]).variance[0, COIN])
