"""What price-based spreads recover where the true spread is known: simulations, and one day.

Two sections of the guide's page on liquidity. The day is read from the folder of market data that
FOREMARGIN_DATA names; without it only the simulations are run. Draws two pictures into
docs/images.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from foremargin.features.liquidity import (
    ABDI_RANALDO,
    CORWIN_SCHULTZ,
    EDGE,
    ROLL,
    LogBars,
    NegativeSpread,
    SpreadEstimator,
    corwin_schultz,
    quoted_spread_bps,
)

Array = NDArray[np.float64]

IMAGES = Path(__file__).parents[1] / "docs" / "images"
DRAWS = 500  # of each bootstrap
SEEDS = 5  # of the random sides of trades
_PRICES = ["open", "high", "low", "close"]


def _estimator(estimator: SpreadEstimator) -> Callable[[pd.DataFrame], float]:
    def estimate(bars: pd.DataFrame) -> float:
        logs = LogBars.of(**{name: bars[name].to_numpy() for name in _PRICES})
        return estimator.bps(logs, negative=NegativeSpread.SIGNED)

    return estimate


def _range(bars: pd.DataFrame) -> float:
    return float(1e4 * np.log(bars["high"] / bars["low"]).mean())


def _volatility(bars: pd.DataFrame) -> float:
    return float(1e4 * np.log(bars["close"]).diff().std())


PROXIES: Mapping[str, Callable[[pd.DataFrame], float]] = {
    "EDGE": _estimator(EDGE),
    "Abdi-Ranaldo": _estimator(ABDI_RANALDO),
    "Corwin-Schultz": _estimator(CORWIN_SCHULTZ),
    "Corwin-Schultz, signed": _estimator(corwin_schultz(NegativeSpread.SIGNED)),
    "Roll": _estimator(ROLL),
    "range of a bar": _range,
    "volatility of a bar": _volatility,
}
"""From bars of one sample to basis points; the last two are no spreads, but what any proxy has to
beat."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A rank correlation with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def spearman(x: Array, y: Array) -> float:
    """Return the rank correlation of the pairs in which both are known; NaN on fewer than 3."""
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 3:
        return float("nan")
    ranks = np.vstack([rankdata(x[known]), rankdata(y[known])])
    if (ranks.std(axis=1) == 0.0).any():
        return float("nan")
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def interval(value: float, draws: list[float]) -> Interval:
    """Return a value with the 2.5 % and 97.5 % quantiles of its bootstrap draws."""
    low, high = (float(np.nanquantile(draws, share)) for share in (0.025, 0.975))
    return Interval(value=value, low=low, high=high)


def block_rows(n: int, *, block: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw rows of a circular block bootstrap."""
    starts = rng.integers(n, size=-(-n // block))
    return ((starts[:, None] + np.arange(block)) % n).ravel()[:n]


# ---------------------------------------------------------------- known truth


@dataclass(frozen=True, kw_only=True)
class Design:
    """A simulated market: random walk of the middle, sides of trades by a fair coin."""

    spread: float  # decimal
    seen: float  # probability that a trade is observed
    n_bars: int
    sigma: float = 0.03  # of a bar, decimal
    trades: int = 390  # per bar, before thinning


def simulate(design: Design, rng: np.random.Generator) -> pd.DataFrame:
    """Return bars of observed trades; bars without a trade are left out."""
    shape = (design.n_bars, design.trades)
    walk = np.cumsum(design.sigma / np.sqrt(design.trades) * rng.normal(size=shape[0] * shape[1]))
    price = walk.reshape(shape) + 0.5 * design.spread * rng.choice([-1.0, 1.0], size=shape)
    trades = pd.Series(price.ravel()).groupby(np.repeat(np.arange(shape[0]), shape[1]))
    seen = rng.random(price.size) < design.seen
    logs = pd.Series(price.ravel())[seen].groupby(trades.ngroup()[seen]).ohlc()
    return logs.apply(np.exp)


def known_truth(*, samples: int = 60, n_bars: int = 250) -> pd.DataFrame:
    """Return estimates of simulated samples, bps, by true spread and trades per bar.

    Each is the root of the mean signed square over the samples, so that noise cancels; the error
    is that of EDGE, from the scatter of its squares.
    """
    rows = []
    for spread in (0.005, 0.01, 0.03):
        for seen in (1.0, 0.1, 0.01):
            design = Design(spread=spread, seen=seen, n_bars=n_bars)
            rng = np.random.default_rng([7, round(1e4 * spread), round(100 * seen)])
            estimates = pd.DataFrame(
                [
                    {name: proxy(bars) for name, proxy in list(PROXIES.items())[:5]}
                    for bars in (simulate(design, rng) for _ in range(samples))
                ]
            )
            squares = np.sign(estimates) * estimates**2
            mean = squares.mean()
            error = squares["EDGE"].std() / np.sqrt(samples) / (2.0 * np.sqrt(mean["EDGE"]))
            row = {"spread, bps": 1e4 * spread, "trades per bar": 390 * seen}
            roots = np.sign(mean) * np.sqrt(mean.abs())
            rows.append({**row, **roots.to_dict(), "error of EDGE": error})
    return pd.DataFrame(rows)


def noise_factor(*, n_bars: int = 400_000) -> float:
    """Return the standard deviation of EDGE's squared spread times sqrt(n) / variance of a bar.

    Without any spread: from the scatter over samples of 100 bars with 39 trades each.
    """
    design = Design(spread=0.0, seen=1.0, trades=39, n_bars=n_bars // 10)
    bars = simulate(design, np.random.default_rng(3))
    squares = []
    for first in range(0, len(bars), 100):
        estimate = PROXIES["EDGE"](bars.iloc[first : first + 100]) / 1e4
        squares.append(np.sign(estimate) * estimate**2)
    return float(np.std(squares) * np.sqrt(100) / design.sigma**2)


# ---------------------------------------------------------------- one venue, one day, every second


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a day is cut: length of bars and of the windows that are estimated from them."""

    bar: str
    window: str

    def __str__(self) -> str:
        return f"{self.bar} bars, {self.window} windows"


CUTS = (
    Cut(bar="1min", window="15min"),
    Cut(bar="1min", window="1h"),
    Cut(bar="5min", window="1h"),
)
KINDS = {"mids": None, "a trade a row": 1.0, "a trade in 20 rows": 0.05}
"""Prices of bars: mids, or simulated trades at the recorded touch with this probability a row."""


def read_seconds(folder: Path) -> pd.DataFrame:
    """Return quotes by time, with mid, quoted spread and slippage in bps."""
    raw = pd.read_parquet(folder / "btcusdt_binanceus_spread_slippage_1s_20250225.parquet")
    raw = raw.set_index("timestamp").sort_index()
    mid = 0.5 * (raw["best_bid"] + raw["best_ask"])
    return pd.DataFrame(
        {
            "bid": raw["best_bid"],
            "ask": raw["best_ask"],
            "mid": mid,
            "quoted": quoted_spread_bps(raw["best_bid"], raw["best_ask"]),
            # Recorded from the touch on: it is far below half the spread.
            "slippage": 1e4 * raw["estimated_slippage"] / mid,
        }
    )


def prices(quotes: pd.DataFrame, seen: float | None, rng: np.random.Generator) -> pd.Series:
    """Return mids, or trades at the touch on random sides in a random part of the rows."""
    if seen is None:
        return quotes["mid"]
    buys = rng.random(len(quotes)) < 0.5
    trades = quotes["ask"].where(buys, quotes["bid"])
    return trades[rng.random(len(quotes)) < seen]


def window_estimates(series: pd.Series, cut: Cut) -> pd.DataFrame:
    """Return every proxy per window, bps, from bars of a price series."""
    bars = series.resample(cut.bar).ohlc().dropna()
    grouped = bars.groupby(pd.DatetimeIndex(bars.index).floor(cut.window))
    return pd.DataFrame(
        {
            start: {name: proxy(sample) for name, proxy in PROXIES.items()}
            for start, sample in grouped
        }
    ).T


def day_study(quotes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of levels and rank correlations, and 15-minute series of one draw."""
    rows, series = [], pd.DataFrame()
    for cut in CUTS:
        start = pd.DatetimeIndex(quotes.index).floor(cut.window)
        truth = quotes[["quoted", "slippage"]].groupby(start).mean()
        whole = quotes["mid"].groupby(start).size()
        truth = truth[whole > 0.5 * whole.median()]  # the first and the last window are cut off
        for kind, seen in KINDS.items():
            draws = []
            for seed in range(1 if seen is None else SEEDS):
                rng = np.random.default_rng([11, seed])
                draws.append(window_estimates(prices(quotes, seen, rng), cut).reindex(truth.index))
            if cut == CUTS[0] and kind == "a trade in 20 rows":
                series = truth.join(draws[0])
            rows += [
                {"cut": str(cut), "prices": kind, "n": len(truth), "proxy": name}
                | _against(truth, [draw[name].to_numpy() for draw in draws])
                for name in PROXIES
            ]
    return pd.DataFrame(rows), series


def _against(truth: pd.DataFrame, draws: list[Array]) -> dict[str, object]:
    rng = np.random.default_rng(5)
    quoted, slippage = truth["quoted"].to_numpy(), truth["slippage"].to_numpy()
    resampled: list[tuple[float, float]] = []
    for _ in range(DRAWS):
        rows = block_rows(len(truth), block=4, rng=rng)
        one = draws[rng.integers(len(draws))][rows]
        resampled.append((spearman(one, quoted[rows]), spearman(one, slippage[rows])))
    to_quoted, to_slippage = (list(x) for x in zip(*resampled, strict=True))
    return {
        "mean / true": np.nanmean(draws) / quoted.mean(),
        "negative": float(np.mean(np.array(draws) < 0.0)),
        "rank, quoted": interval(float(np.mean([spearman(d, quoted) for d in draws])), to_quoted),
        "rank, slippage": interval(
            float(np.mean([spearman(d, slippage) for d in draws])), to_slippage
        ),
    }


# ---------------------------------------------------------------- pictures


def draw_day(series: pd.DataFrame) -> Figure:
    """Draw quoted spread and estimates of one draw of thin trades, a point a quarter of an hour."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    ax = figure.subplots()
    for name, style in (("EDGE", "C0-"), ("Abdi-Ranaldo", "C2-"), ("Corwin-Schultz", "C1-")):
        ax.plot(series.index, series[name], style, lw=1.0, label=name)
    ax.plot(series.index, series["quoted"], "k-", lw=2.0, label="quoted spread, mean of the window")
    ax.axhline(0.0, color="0.7", lw=0.8)
    ax.set(ylabel="basis points of mid", xlabel="2025-02-25, UTC")
    ax.set_title("15 one-minute bars from a simulated trade in 20 rows", loc="left", fontsize=10)
    ax.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    ax.legend(ncols=2, fontsize=8, frameon=False)
    return figure


def draw_ranks(table: pd.DataFrame) -> Figure:
    """Draw rank correlations with the quoted spread and their intervals, by prices of the bars."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    ax = figure.subplots()
    one = table[table["cut"] == str(CUTS[0])]
    names = list(PROXIES)
    for shift, (kind, color) in enumerate(zip(KINDS, ("0.6", "C0", "C3"), strict=True)):
        rows = one[one["prices"] == kind].set_index("proxy").loc[names, "rank, quoted"]
        y = np.arange(len(names)) + 0.2 * (shift - 1)
        ax.hlines(y, [r.low for r in rows], [r.high for r in rows], color=color, lw=1.5)
        ax.plot([r.value for r in rows], y, "o", color=color, label=f"bars of {kind}", ms=4)
    ax.axvline(0.0, color="0.7", lw=0.8)
    ax.set_yticks(np.arange(len(names)), names, fontsize=8)
    ax.invert_yaxis()
    ax.set(xlabel="rank correlation with the quoted spread, 71 windows of 15 min, 95 % interval")
    figure.legend(fontsize=8, frameon=False, loc="outside upper center", ncols=3)
    return figure


def main() -> None:
    """Print the tables and draw the pictures."""
    pd.set_option("display.width", 250, "display.max_columns", 30, "display.max_rows", 100)
    show("known truth: estimates, bps", known_truth())
    print(f"\nnoise of EDGE: sd of squared spread = {noise_factor():.2f} variance / sqrt(n)")
    name = os.environ.get("FOREMARGIN_DATA")
    if not name or not Path(name).is_dir():
        print("\nFOREMARGIN_DATA names no folder of market data: the rest is left out")
        return
    table, series = day_study(read_seconds(Path(name)))
    show("one day of Binance.US, against recorded quotes", table)
    IMAGES.mkdir(exist_ok=True)
    for picture, figure in (("day", draw_day(series)), ("ranks", draw_ranks(table))):
        figure.savefig(IMAGES / f"liquidity-{picture}.png", dpi=110)


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table under its title."""
    print(f"\n{title}\n{table.round(3).to_string()}")


if __name__ == "__main__":
    main()
