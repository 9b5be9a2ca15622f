"""Synthetic markets for the tests: small, seeded, with the holes that real panels have.

The builders are fixtures that return functions, since test files cannot import each other.
"""

import os
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.markets import Missing, Panel

Array = NDArray[np.float64]

_RECURSION = sys.getrecursionlimit()
_STEPS = 24  # moves inside a period, from which its bar and its realised measures are made
_DAILY_SIGMA = 0.02  # decimal, before `scale`
_FIELDS = (
    *("open", "high", "low", "volume", "quote_volume", "realized_variance"),
    *("bipower_variance", "semivariance_negative", "semivariance_positive"),
    *("realized_quarticity", "realized_range", "late_range", "implied_vol"),
    *("bar_amihud", "range_illiquidity", "late_range_illiquidity"),
)
_BESIDE_THE_PRICE = ("bid", "ask", "index_price")  # they move with it


@pytest.fixture(autouse=True)
def usual_recursion_limit() -> None:
    """Take back what libraries of Ethereum do when they are imported: nested JSON ended workers."""
    sys.setrecursionlimit(_RECURSION)


@dataclass(frozen=True)
class Listing:
    """How an instrument trades: `first` as a fraction of the panel."""

    name: str
    weekends: bool = True
    bars: bool = True
    intraday: bool = False
    implied: bool = False
    first: float = 0.0
    halted: bool = False


LISTINGS = (
    Listing("COIN", intraday=True),
    Listing("INDEX", weekends=False, implied=True),
    Listing("LATE", intraday=True, first=0.4, halted=True),
    Listing("CLOSE", bars=False),
)


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Folder of real market data; a test that asks for it is skipped where there is none."""
    folder = os.environ.get("FOREMARGIN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FOREMARGIN_DATA names no folder of market data")
    return Path(folder)


@pytest.fixture(scope="session")
def make_panel() -> Callable[..., Panel]:
    """Return a function that builds a panel of COIN, INDEX, LATE and CLOSE."""
    return _make_panel


@pytest.fixture(scope="session")
def shock_after() -> Callable[..., Panel]:
    """Return a function that replaces everything after a row, and nothing up to it."""
    return _shock_after


def _make_panel(
    *,
    n_periods: int = 900,
    period: str = "1D",
    seed: int = 5,
    scale: float = 1.0,
    intraday: bool = True,
    clustered: bool = True,
    late_periods: int | None = None,
) -> Panel:
    """Build the panel.

    `scale` multiplies every log return and what goes with it; `late_periods` lists LATE that many
    periods before the end; `clustered` False makes returns independent with one variance.
    """
    length = pd.Timedelta(period)
    opens = pd.date_range("2018-01-01", periods=n_periods, freq=length)
    shape = (n_periods, len(LISTINGS))
    close, log_return = np.full(shape, np.nan), np.full(shape, np.nan)
    missing = np.full(shape, Missing.NOT_LISTED, dtype=np.int8)
    fields = {name: np.full(shape, np.nan) for name in _FIELDS}
    per_day = float(pd.Timedelta(days=1) / length)
    for i, listing in enumerate(LISTINGS):
        first = int(listing.first * n_periods)
        if late_periods is not None and listing.name == "LATE":
            first = n_periods - late_periods
        state = np.where(np.arange(n_periods) < first, Missing.NOT_LISTED, Missing.PRESENT)
        if listing.halted and late_periods is None:
            state[(first + n_periods) // 2 :][:10] = Missing.HALTED
        if not listing.weekends:
            state[opens.day_of_week >= 5] = Missing.CLOSED
        missing[:, i] = state
        rows = np.flatnonzero(state == Missing.PRESENT)
        rng = np.random.default_rng([seed, i])
        own = _simulate(rng, len(rows), clustered=clustered, gaps=not listing.weekends)
        sigma = _DAILY_SIGMA * scale / np.sqrt(per_day)
        log_close = own.close * sigma
        close[rows, i] = 100.0 * np.exp(log_close)
        log_return[rows[1:], i] = np.diff(np.log(close[rows, i]))
        if listing.bars:
            for name, array in (("open", own.open), ("high", own.high), ("low", own.low)):
                fields[name][rows, i] = 100.0 * np.exp(array * sigma)
            fields["volume"][rows, i] = own.volume
            fields["quote_volume"][rows, i] = own.volume * 100.0
        if listing.intraday and intraday:
            fields["realized_variance"][rows, i] = (own.steps**2).sum(1) * sigma**2
            pairs = np.abs(own.steps[:, 1:] * own.steps[:, :-1]).sum(1)
            fields["bipower_variance"][rows, i] = 0.5 * np.pi * pairs * sigma**2
            for name, sign in (("negative", -1.0), ("positive", 1.0)):
                side = np.maximum(sign * own.steps, 0.0)
                fields[f"semivariance_{name}"][rows, i] = (side**2).sum(1) * sigma**2
            pairs_moved = (own.steps[:, ::2] + own.steps[:, 1::2]) ** 2
            fields["realized_range"][rows, i] = pairs_moved.sum(1) * sigma**2
            fields["late_range"][rows, i] = 4.0 * (own.steps[:, 18:] ** 2).sum(1) * sigma**2
            # Books thin out when prices move, beyond what volume shows: illiquidity lasts.
            impact = np.abs(own.steps).mean(1) * own.sigma * sigma / own.volume
            fields["bar_amihud"][rows, i] = impact
            fields["range_illiquidity"][rows, i] = 1.5 * impact * np.exp(own.steps[:, 0])
            fields["late_range_illiquidity"][rows, i] = (
                1.5 * np.abs(own.steps[:, 18:]).mean(1) * sigma / own.volume
            )
            fields["realized_quarticity"][rows, i] = (own.steps**4).sum(1) * _STEPS / 3 * sigma**4
        if listing.implied:
            noise = np.exp(0.1 * rng.normal(size=len(rows)))
            fields["implied_vol"][rows, i] = own.sigma * sigma * np.sqrt(252 * per_day) * noise
    return Panel(
        time=np.asarray(opens + length, dtype="datetime64[ns]"),
        period=length,
        instruments=tuple(listing.name for listing in LISTINGS),
        close=close,
        log_return=log_return,
        missing=missing,
        periods_per_year=np.array([365.0 if x.weekends else 252.0 for x in LISTINGS]) * per_day,
        fields=fields,
        source="synthetic",
    )


@dataclass(frozen=True)
class _Own:
    """One instrument in own time, in units of its usual volatility; prices are logs."""

    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    sigma: Array
    steps: Array


def _simulate(rng: np.random.Generator, n: int, *, clustered: bool, gaps: bool) -> _Own:
    """Simulate GJR variance with heavy tails, each period a walk of small moves."""
    heavy = np.sqrt(4.0 / rng.chisquare(6, size=n))  # t with 6 degrees, variance one
    moves = rng.normal(size=(n, _STEPS)) / np.sqrt(_STEPS) * heavy[:, None]
    jump = 0.3 * rng.normal(size=n) if gaps else np.zeros(n)
    variance = np.ones(n)
    for t in range(1, n if clustered else 0):
        last = np.sqrt(variance[t - 1]) * moves[t - 1].sum()
        news = 0.12 * last**2 + (0.06 * last**2 if last < 0.0 else 0.0)
        variance[t] = 0.03 + news + 0.82 * variance[t - 1]
    sigma = np.sqrt(variance)
    steps = moves * sigma[:, None]
    gap = jump * sigma
    gap[0] = 0.0
    close = np.cumsum(gap + steps.sum(1))
    start = close - steps.sum(1)
    path = start[:, None] + np.cumsum(steps, axis=1)
    return _Own(
        open=start,
        high=np.maximum(start, path.max(1)),
        low=np.minimum(start, path.min(1)),
        close=close,
        volume=np.exp(3.0 + 0.6 * np.log(sigma) + 0.4 * rng.normal(size=n)),
        sigma=sigma,
        steps=steps,
    )


def _shock_after(panel: Panel, row: int, *, seed: int = 99) -> Panel:
    """Replace every value after `row`: prices, volumes, measures, and who still trades."""
    rng = np.random.default_rng(seed)
    after = np.arange(panel.n_periods) > row
    missing = panel.missing.copy()
    # One instrument disappears for good a while later; that must change nothing before either.
    missing[(row + 1 + panel.n_periods) // 2 :, -1] = Missing.NOT_LISTED
    log_return = panel.log_return.copy()
    log_return[after] *= -4.0 * rng.uniform(0.5, 2.0, size=log_return[after].shape)
    close = panel.close.copy()
    fields = {name: array.copy() for name, array in panel.fields.items()}
    for name in sorted(set(fields) - {"open", "high", "low", *_BESIDE_THE_PRICE}):
        # A stream for each: one more field leaves the shocks of the others as they were.
        own = np.random.default_rng([seed, zlib.crc32(name.encode())])
        fields[name][after] *= own.uniform(0.1, 30.0, size=close[after].shape)
    for i in range(panel.n_instruments):
        rows = np.flatnonzero(panel.present[:, i])
        # Logs of prices are anchored at the last price before the shock.
        later = rows[rows > row]
        before = rows[rows <= row]
        if len(before) and len(later):
            move = np.cumsum(log_return[later, i])
            close[later, i] = close[before[-1], i] * np.exp(np.clip(move, -60.0, 60.0))
            anchored = np.log(close[np.r_[before[-1], later], i])
            log_return[later, i] = np.diff(anchored)
        for name in _BESIDE_THE_PRICE:
            if name in fields:
                fields[name][later, i] *= close[later, i] / panel.close[later, i]
        if "open" in fields:
            fields["open"][later, i] *= close[later, i] / panel.close[later, i]
            highest = np.maximum(fields["open"][later, i], close[later, i])
            lowest = np.minimum(fields["open"][later, i], close[later, i])
            fields["high"][later, i] = highest * rng.uniform(1.0, 1.5, size=len(later))
            fields["low"][later, i] = lowest * rng.uniform(0.7, 1.0, size=len(later))
    gone = missing != Missing.PRESENT
    for array in (close, log_return, *fields.values()):
        array[gone] = np.nan
    context = {name: series.copy() for name, series in panel.context.items()}
    for series in context.values():
        series[after] *= rng.uniform(0.5, 2.0, size=int(after.sum()))
    return replace(
        panel,
        close=close,
        log_return=log_return,
        missing=missing,
        fields=fields,
        context=context,
    )
