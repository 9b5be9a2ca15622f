"""A market in which every field and every market-wide series that a feature reads is known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from foremargin.markets import Panel

CONTEXT = {
    **{"SP500": 100.0, "DTWEXBGS": 100.0, "VIX": 20.0, "VIX3M": 22.0, "DVOL": 60.0},
    **{"DGS2": 4.0, "DGS10": 4.5, "T10Y2Y": 0.5, "BAMLH0A0HYM2": 4.0},
}
"""Market-wide series and where they start."""


@pytest.fixture(scope="session")
def with_context() -> Callable[..., Panel]:
    """Return a function that adds market-wide series to a panel."""
    return _with_context


@pytest.fixture(scope="session")
def make_full_panel(make_panel: Callable[..., Panel]) -> Callable[..., Panel]:
    """Return a function that builds a panel with every field that a feature reads."""

    def make(**options: object) -> Panel:
        return _with_context(_with_microstructure(make_panel(**options)))

    return make


def _with_context(panel: Panel, *, scale: float = 1.0) -> Panel:
    """Add market-wide series that rest on weekends and, once, are too old to be known.

    Volatility indices, being quotes of volatility, are multiplied by `scale` like the returns.
    """
    weekday = (panel.time.astype("datetime64[D]").astype(int) + 3) % 7
    context = {}
    for k, (name, start) in enumerate(CONTEXT.items()):
        rng = np.random.default_rng(100 + k)
        moves = np.where(weekday < 5, rng.normal(size=panel.n_periods), 0.0)
        if name.startswith(("DGS", "T10")):
            series = start + np.cumsum(0.02 * moves)
        else:
            series = start * np.exp(np.cumsum((scale if name == "SP500" else 1.0) * 0.02 * moves))
        if name.startswith(("VIX", "DVOL")):
            series = series * scale
        series[500:505] = np.nan
        context[name] = series
    return replace(panel, context=context)


def _with_microstructure(panel: Panel) -> Panel:
    """Add quotes, books, flow and crowding."""
    rng = np.random.default_rng(7)
    shape, close = panel.close.shape, panel.close
    noise = lambda low, high: rng.uniform(low, high, size=shape)  # noqa: E731
    fields = {
        **panel.fields,
        "bid": close * (1.0 - 1e-4 * noise(1.0, 3.0)),
        "ask": close * (1.0 + 1e-4 * noise(1.0, 3.0)),
        "index_price": close * np.exp(1e-3 * rng.normal(size=shape)),
        "open_interest": 1e4 * np.exp(np.cumsum(0.01 * rng.normal(size=shape), axis=0)),
        "funding_rate": 1e-4 * (1.0 + rng.normal(size=shape)),
        "taker_buy_volume": panel.values("volume") * noise(0.3, 0.7),
        "median_variance": panel.values("realized_variance") * noise(0.5, 1.1),
        "realized_kernel": panel.values("realized_variance") * noise(0.8, 1.2),
    }
    for name in ("liquidation_long", "liquidation_short"):
        fields[name] = 0.01 * rng.exponential(size=shape) * panel.values("quote_volume")
    for side in ("bid", "ask"):
        for bps in (5, 25):
            fields[f"depth_{side}_{bps}bps"] = bps * 1e5 * noise(0.5, 2.0)
    for side in ("buy", "sell"):
        for size, cost in ((1_000, 1.0), (100_000, 3.0), (1_000_000, 9.0)):
            fields[f"slippage_{side}_{size}"] = cost * noise(0.5, 2.0)
    return replace(
        panel,
        fields={name: np.where(panel.present, values, np.nan) for name, values in fields.items()},
    )
