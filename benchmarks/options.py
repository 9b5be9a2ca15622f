"""Options: implied volatility there and back, beside a root finder and a chain; grids' coverage.

The tables of the guide's page on options. The chain is read from the folder of market data that
FOREMARGIN_DATA names; without it all else is printed. A minute on one core.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from math import exp
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from foremargin.calibrate.options import (
    Book,
    Kind,
    Marks,
    ScenarioGrid,
    SpotVolForecast,
    black76,
    book_greeks,
    fitted_grid,
    forecast_grid,
    implied_volatility,
    inverse_implied_volatility,
    scenario_pnl,
    simulated_grid,
)
from foremargin.calibrate.options.black import normalised_value
from foremargin.calibrate.options.implied import normalised_implied

Array = NDArray[np.float64]

DAY = 1 / 365
LEVEL = 0.99
N_PRICES, N_ROOTS, N_TIMED = 300_000, 3_000, 5_000
N_FITTED, N_JUDGED = 20_000, 40_000
CHAIN = "deribit_btc_option_chain_20200521.parquet"


def prices() -> tuple[Array, Array, Array]:
    """Log-moneyness, total volatility and normalised price over three hundred orders of size."""
    rng = np.random.default_rng(1)
    x = -(10.0 ** rng.uniform(-9.0, 1.0, N_PRICES))
    s = 10.0 ** rng.uniform(-6.0, np.log10(8.0), N_PRICES)
    b = normalised_value(x, s)
    held = (b > 1e-300) & (b < np.exp(x / 2) * (1.0 - 1e-3))
    return x[held], s[held], b[held]


def plain(x: float, s: float) -> float:
    """Return the formula as it is printed: a difference of two nearly equal numbers far out."""
    d1, d2 = x / s + 0.5 * s, x / s - 0.5 * s
    return float(exp(0.5 * x) * ndtr(d1) - exp(-0.5 * x) * ndtr(d2))


def by_root(x: float, b: float) -> float:
    """Find the total volatility by `brentq` on the plain formula."""

    def gap(s: float) -> float:
        return plain(x, s) - b

    return float(brentq(gap, 1e-7, 40.0, xtol=1e-15, rtol=1e-15, maxiter=500))


def there_and_back() -> None:
    """Print the errors of normalised prices."""
    x, s, b = prices()
    error = np.abs(normalised_implied(b, x) / s - 1.0)
    print(f"there and back, {len(b):,} normalised prices: largest relative error {error.max():.1e}")
    some = np.random.default_rng(2).choice(len(b), N_ROOTS, replace=False)
    errors, failed = [], 0
    for i in some:
        try:
            errors.append(abs(by_root(x[i], b[i]) / s[i] - 1.0))
        except ValueError:  # no change of sign: the plain formula has lost the price
            failed += 1
    roots = np.array(errors)
    print(
        f"brentq on the plain formula, {N_ROOTS:,} of them: {failed} without a root, largest error "
        f"of the others {roots.max():.1e}, {int((roots > 1e-10).sum())} above 1e-10; here "
        f"{error[some].max():.0e}"
    )


def timed() -> None:
    """Print microseconds of an ordinary option."""
    rng = np.random.default_rng(3)
    strike, sigma = rng.uniform(70.0, 140.0, N_TIMED), rng.uniform(0.3, 1.5, N_TIMED)
    expiry, call = rng.uniform(0.02, 1.0, N_TIMED), rng.uniform(size=N_TIMED) < 0.5
    price = black76(100.0, strike, expiry=expiry, sigma_ann=sigma, call=call).value
    start = time.process_time()
    got = implied_volatility(price, 100.0, strike, expiry=expiry, call=call)
    ours = time.process_time() - start
    start = time.process_time()
    for k, t, v, is_call in zip(strike, expiry, price, call, strict=True):
        # Out of the money by parity, as `implied_volatility` does.
        other = v if is_call == (k >= 100.0) else v - (100.0 - k) * (1.0 if is_call else -1.0)
        by_root(-abs(np.log(100.0 / k)), other / np.sqrt(100.0 * k)) / np.sqrt(t)
    theirs = time.process_time() - start
    print(
        f"{N_TIMED:,} ordinary options, processor time of each: a loop of brentq "
        f"{1e6 * theirs / N_TIMED:.0f} us, here {1e6 * ours / N_TIMED:.1f} us; largest error "
        f"{np.abs(got / sigma - 1.0).max():.0e}"
    )


def chain(folder: Path) -> None:
    """Print how far volatilities from marks in coins are from the recorded ones."""
    table = pd.read_parquet(folder / CHAIN)
    years = (table.expiration_timestamp - table.timestamp).dt.total_seconds() / (365 * 86_400)
    forward, strike = table.underlying_price.to_numpy(), table.strike.to_numpy()
    call = (table.option_type == "call").to_numpy()
    out_of_the_money = np.where(call, strike >= forward, strike <= forward)
    used = out_of_the_money & (years.to_numpy() > 7 * DAY)
    got = inverse_implied_volatility(
        table.mark_price.to_numpy()[used],
        forward[used],
        strike[used],
        expiry=years.to_numpy()[used],
        call=call[used],
    )
    points = np.abs(100.0 * got - table.mark_iv.to_numpy()[used])
    print(
        f"Deribit BTC chain of 2020-05-21, {used.sum()} options out of the money with more than a "
        f"week left: median difference {np.median(points):.4f} points, 95 % within "
        f"{np.quantile(points, 0.95):.3f}, all within {points.max():.3f}"
    )


def book(*, hedged: bool) -> tuple[Book, Marks]:
    """Strangle and two near options sold, with perpetuals that make delta zero if `hedged`."""
    sold = Book.of(
        [
            (Kind.CALL, 115.0, 20 * DAY, -3.0),
            (Kind.PUT, 88.0, 20 * DAY, -2.0),
            (Kind.CALL, 101.0, 4 * DAY, -1.0),
            (Kind.PUT, 99.0, 70 * DAY, -1.0),
            (Kind.PERP, np.nan, np.nan, 0.0),
        ]
    )
    marks = Marks.flat(sold, spot=100.0, sigma_ann=0.8)
    if not hedged:
        return sold, marks
    quantity = sold.quantity.copy()
    quantity[-1] = -book_greeks(sold, marks)["delta"].sum()
    return sold.with_quantity(quantity), marks


def laws() -> Iterator[tuple[str, SpotVolForecast]]:
    """Yield one regime and two, normal and with four degrees of freedom."""
    one = SpotVolForecast(
        variance=np.array([0.042**2]),  # a day of 80 % a year
        probability=np.ones(1),
        vol_sigma=np.array([0.1]),
        vol_mean=np.array([0.02]),
        correlation=np.array([-0.5]),
    )
    two = SpotVolForecast(
        variance=np.array([0.03**2, 0.08**2]),
        probability=np.array([0.85, 0.15]),
        vol_sigma=np.array([0.06, 0.18]),
        vol_mean=np.array([0.0, 0.12]),
        correlation=np.array([-0.4, -0.6]),
    )
    for name, law in (("one", one), ("two", two)):
        yield f"{name:<9}{'normal':<8}", law
        yield f"{name:<9}{'t, 4':<8}", replace(law, degrees_of_freedom=4.0)


def coverage() -> None:
    """Print coverage and cost of both grids on outcomes that the fit has not seen."""
    print(
        f"\n{'regimes':<9}{'law':<8}{'hedged':<8}{'every':>9}{'ratio':>7}{'fitted':>9}{'ratio':>7}"
    )
    rng = np.random.default_rng(15)
    for name, law in laws():
        for hedged in (False, True):
            held, marks = book(hedged=hedged)
            every = forecast_grid(law, confidence_level=LEVEL, horizon=DAY)
            fitted = fitted_grid(
                held, marks, law, confidence_level=LEVEL, horizon=DAY, n=N_FITTED, rng=rng
            )
            outcome = simulated_grid(law, N_JUDGED, rng=rng, horizon=DAY)
            loss = -scenario_pnl(held, marks, outcome).total()
            cells = [_cell(grid, held, marks, loss) for grid in (every, fitted)]
            print(f"{name}{'yes' if hedged else 'no':<8}{''.join(cells)}")


def _cell(grid: ScenarioGrid, held: Book, marks: Marks, loss: Array) -> str:
    margin = scenario_pnl(held, marks, grid).loss()
    return f"{(loss <= margin).mean():>9.4f}{margin / np.quantile(loss, LEVEL):>7.2f}"


def main() -> None:
    """Print all tables."""
    there_and_back()
    timed()
    folder = os.environ.get("FOREMARGIN_DATA")
    if folder and (Path(folder) / CHAIN).is_file():
        chain(Path(folder))
    else:
        print(f"FOREMARGIN_DATA names no folder with {CHAIN}; the chain is left out")
    coverage()


if __name__ == "__main__":
    main()
