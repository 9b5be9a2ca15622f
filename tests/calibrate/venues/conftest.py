"""One rule per venue, with numbers of our own where the venue publishes none."""

import pytest

from foremargin.calibrate.venues import (
    VenueRule,
    binance_tiers,
    drift,
    dydx,
    hyperliquid,
    vega,
)

BRACKETS = binance_tiers.Brackets(
    floor=(0.0, 1e5, 1e6),
    cap=(1e5, 1e6, 1e7),
    rate=(0.01, 0.025, 0.05),
    leverage=(50.0, 20.0, 10.0),
    cumulative=(0.0, 1_500.0, 26_500.0),
)

RULES: dict[str, VenueRule] = {
    "binance": BRACKETS,
    "drift": drift.PerpMarket(initial_ratio=500, maintenance_ratio=300, imf=150),
    "dydx": dydx.GENESIS_TIERS[1],
    "dydx-uncapped": dydx.GENESIS_TIERS[0],
    "hyperliquid": hyperliquid.TIERS["BTC"],
    "vega": vega.MarginRule(model=vega.RiskModel(sigma_ann=0.8), slippage=0.005),
}


@pytest.fixture(params=RULES)
def rule(request: pytest.FixtureRequest) -> VenueRule:
    """Return each venue's rule in turn."""
    return RULES[request.param]
