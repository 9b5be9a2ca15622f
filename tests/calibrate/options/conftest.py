"""Books of random options, and a law of spot and volatility to stress them with."""

from collections.abc import Callable

import numpy as np
import pytest

from foremargin.calibrate.options import Book, Kind, Marks, SpotVolForecast


@pytest.fixture(scope="session")
def make_book() -> Callable[..., tuple[Book, Marks]]:
    """Return a function that draws a book and its marks."""
    return _make_book


@pytest.fixture(scope="session")
def two_regimes() -> SpotVolForecast:
    """A calm regime and a stressed one, one day ahead, with the leverage effect in both."""
    return SpotVolForecast(
        variance=np.array([0.03**2, 0.08**2]),
        probability=np.array([0.85, 0.15]),
        vol_sigma=np.array([0.06, 0.18]),
        vol_mean=np.array([0.0, 0.12]),
        correlation=np.array([-0.4, -0.6]),
        degrees_of_freedom=5.0,
    )


def _make_book(
    seed: int, *, n: int = 12, sign: float = 0.0, linear: bool = True, underlyings: int = 1
) -> tuple[Book, Marks]:
    """Draw n positions; `sign` -1 sells all options, 1 buys them, 0 mixes."""
    rng = np.random.default_rng(seed)
    kinds = [Kind.CALL, Kind.PUT, *([Kind.FUTURE, Kind.PERP] if linear else [])]
    kind = rng.choice([k.value for k in kinds], size=n)
    option = kind <= Kind.PUT
    quantity = rng.normal(size=n)
    if sign:
        quantity = np.where(option, sign * np.abs(quantity), quantity)
    book = Book(
        kind=kind,
        strike=np.where(option, np.round(100 * np.exp(0.2 * rng.normal(size=n))), np.nan),
        expiry=np.where(kind == Kind.PERP, np.nan, rng.choice([2, 9, 44, 180], size=n) / 365),
        quantity=quantity,
        underlying=tuple(f"U{i}" for i in rng.integers(underlyings, size=n)),
    )
    marks = Marks(
        spot=np.full(n, 100.0),
        forward=100.0 * (1 + 0.05 * np.nan_to_num(book.expiry)),
        sigma_ann=np.where(option, rng.uniform(0.4, 1.2, n), np.nan),
        rate=np.zeros(n),
    )
    return book, marks
