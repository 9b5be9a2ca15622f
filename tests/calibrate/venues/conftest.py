"""Rules of one market, with numbers of our own where the venue publishes none; books of options."""

from collections.abc import Callable

import numpy as np
import pytest

from foremargin.calibrate.options import Book, Kind, Marks, SpotVolForecast
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


@pytest.fixture(scope="session")
def make_option_book() -> Callable[..., tuple[Book, Marks]]:
    """Return a function that draws options and perpetuals in one underlying, and their marks."""
    return _make_option_book


@pytest.fixture(scope="session")
def make_law() -> Callable[[float], SpotVolForecast]:
    """Return a function that gives a normal law of the spot's standard deviation."""
    return _make_law


def _make_law(sigma: float) -> SpotVolForecast:
    return SpotVolForecast(
        variance=np.array([sigma**2]),
        probability=np.ones(1),
        vol_sigma=np.array([2.5 * sigma]),
        vol_mean=np.zeros(1),
        correlation=np.array([-0.5]),
    )


def _make_option_book(seed: int, *, n: int = 10, sign: float = 0.0) -> tuple[Book, Marks]:
    rng = np.random.default_rng(seed)
    kind = rng.choice([Kind.CALL, Kind.PUT, Kind.PERP], size=n)
    option = kind <= Kind.PUT
    quantity = rng.normal(size=n)
    if sign:
        quantity = np.where(option, sign * np.abs(quantity), quantity)
    book = Book(
        kind=kind,
        strike=np.where(option, np.round(1500 * np.exp(0.2 * rng.normal(size=n))), np.nan),
        expiry=np.where(option, rng.choice([3, 21, 90], size=n) / 365, np.nan),
        quantity=quantity,
        underlying=("ETH",) * n,
    )
    marks = Marks(
        spot=np.full(n, 1500.0),
        forward=1500.0 * (1 + 0.04 * np.nan_to_num(book.expiry)),
        sigma_ann=np.where(option, rng.uniform(0.5, 1.2, n), np.nan),
        rate=np.full(n, 0.03),
    )
    return book, marks
