"""The three anti-procyclicality tools of EMIR, each as the regulation words it."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.calibrate import EMIR_TOOLS, Filtered, Historical, MarginMarket, Policy, WithTool
from foremargin.markets import Panel

Array = NDArray[np.float64]

BUFFER, STRESS, FLOOR = EMIR_TOOLS
by_policy = pytest.mark.parametrize(
    "policy", [Filtered(model="ewma-0.94"), Historical(sessions=250)], ids=lambda p: p.name
)


@pytest.fixture(scope="module")
def market(
    make_panel: Callable[..., Panel], make_market: Callable[..., MarginMarket]
) -> MarginMarket:
    return make_market(make_panel(n_periods=1_100))


def both(policy: Policy, market: MarginMarket, tool: int) -> tuple[Array, Array]:
    """Return margins without and with a tool, where both are known."""
    plain = policy.margin(market)
    tooled = WithTool(policy=policy, tool=EMIR_TOOLS[tool]).margin(market)
    known = np.isfinite(plain)
    np.testing.assert_array_equal(np.isfinite(tooled), known)
    return plain[known], tooled[known]


def test_the_tools_are_those_of_the_regulation_in_its_order() -> None:
    assert [tool.name for tool in EMIR_TOOLS] == ["buffer", "stress", "floor"]
    policy = WithTool(policy=Historical(), tool=BUFFER)
    assert policy.name == "hs-500+buffer"
    assert policy.models == ()
    assert policy.generation == Historical().generation


@by_policy
def test_the_buffer_is_between_nothing_and_a_quarter_and_used_up_at_the_top(
    policy: Policy, market: MarginMarket
) -> None:
    plain, buffered = both(policy, market, 0)
    assert (buffered >= plain).all()
    assert (buffered <= 1.25 * plain * (1 + 1e-12)).all()
    assert (np.isclose(buffered, 1.25 * plain)).mean() > 0.3
    margin = policy.margin(market)[:, 0, 0]
    tooled = BUFFER.apply(policy.margin(market), market)[:, 0, 0]
    # At a margin above the 99 % quantile of its own past nothing of the buffer is left.
    for at in np.flatnonzero(np.isfinite(margin))[200::50]:
        past = margin[: at + 1]
        release = np.quantile(past[np.isfinite(past)], 0.99)
        expected = max(margin[at], min(1.25 * margin[at], release))
        np.testing.assert_allclose(tooled[at], expected)
    top = np.nanargmax(margin)
    assert tooled[top] == margin[top]


@by_policy
def test_the_stressed_margin_has_a_weight_of_one_quarter(
    policy: Policy, market: MarginMarket
) -> None:
    plain = policy.margin(market)
    weighted = STRESS.apply(plain, market)
    recent = Historical(sessions=250).margin(market)
    for i, s in np.ndindex(plain.shape[1:]):
        known = np.flatnonzero(np.isfinite(plain[:, i, s]))
        for at in known[::90]:
            highest = np.nanmax(recent[: at + 1, i, s])
            expected = 0.75 * plain[at, i, s] + 0.25 * highest
            np.testing.assert_allclose(weighted[at, i, s], expected)


@by_policy
def test_the_floor_is_the_margin_of_a_ten_year_look_back(
    policy: Policy, market: MarginMarket
) -> None:
    plain, floored = both(policy, market, 2)
    ten_years = Historical(sessions=2_520).margin(market)
    known = np.isfinite(policy.margin(market))
    assert (floored >= plain).all()
    assert (floored >= ten_years[known]).all()
    np.testing.assert_array_equal(floored, np.maximum(plain, ten_years[known]))
    assert 0.2 < (floored > plain).mean() < 1.0


def test_the_tools_calm_the_margin(market: MarginMarket) -> None:
    plain = Filtered(model="ewma-0.94")
    known = slice(600, None)

    def peak_to_trough(policy: Policy) -> float:
        margin = policy.margin(market)[known, 0, 0]
        return float(np.nanmax(margin) / np.nanmin(margin))

    for tool in EMIR_TOOLS:
        assert peak_to_trough(WithTool(policy=plain, tool=tool)) < peak_to_trough(plain)
