"""The limits around a policy."""

from collections.abc import Callable

import numpy as np

from foremargin.calibrate import Filtered, MarginMarket, WithTool
from foremargin.calibrate.path import MarginLimits, SpeedLimit, limits_tool, margin_path
from foremargin.markets import Panel

LIMITS = MarginLimits(speed=(SpeedLimit(rise=0.02), SpeedLimit(rise=0.1, fall=0.1, periods=20)))


def test_the_tool_holds_every_side_to_the_limits_and_keeps_gaps(
    make_panel: Callable[..., Panel], make_market: Callable[..., MarginMarket]
) -> None:
    market = make_market(make_panel(n_periods=500))
    policy = WithTool(policy=Filtered(model="ewma-0.94"), tool=limits_tool(LIMITS))
    assert policy.name == "ewma-0.94-fhs+limits"
    plain, held = policy.policy.margin(market), policy.margin(market)
    np.testing.assert_array_equal(np.isnan(plain), np.isnan(held))
    compared = 0
    for i, s in np.ndindex(plain.shape[1:]):
        known = np.isfinite(plain[:, i, s])
        path = margin_path(plain[known, i, s], limits=LIMITS)
        np.testing.assert_array_equal(held[known, i, s], path.initial_margin)
        compared += (path.initial_margin != path.target).sum()
    assert compared > 100
    assert np.isnan(plain).any()


def test_an_instrument_without_any_margin_stays_without() -> None:
    nothing = np.full((5, 1, 2), np.nan)
    out = limits_tool(LIMITS, name="slow").apply(nothing, None)  # type: ignore[arg-type]
    assert np.isnan(out).all()
