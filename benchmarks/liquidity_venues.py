"""What price-based proxies say across venues, coins and pairs, beside real spreads.

Three sections of the guide's page on liquidity. Reads the market data in the folder that
FOREMARGIN_DATA names and draws one picture into docs/images.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
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
    amihud,
    bulk_imbalance,
    corwin_schultz,
    fit_power_law,
    kyle_lambda,
    taker_imbalance,
)

Array = NDArray[np.float64]

IMAGES = Path(__file__).parents[1] / "docs" / "images"
DRAWS = 500  # of the bootstrap
COINS = ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE")
EDGE_NOISE = 0.27
"""Standard deviation of the squared spread in units of variance / sqrt(n), without any spread; as
liquidity_proxies.py prints it."""
_PRICES = ["open", "high", "low", "close"]


def _estimator(estimator: SpreadEstimator) -> Callable[[pd.DataFrame], float]:
    def estimate(bars: pd.DataFrame) -> float:
        logs = LogBars.of(**{name: bars[name].to_numpy() for name in _PRICES})
        return estimator.bps(logs, negative=NegativeSpread.SIGNED)

    return estimate


PROXIES: Mapping[str, Callable[[pd.DataFrame], float]] = {
    "EDGE": _estimator(EDGE),
    "Abdi-Ranaldo": _estimator(ABDI_RANALDO),
    "Corwin-Schultz": _estimator(CORWIN_SCHULTZ),
    "Corwin-Schultz, signed": _estimator(corwin_schultz(NegativeSpread.SIGNED)),
    "Roll": _estimator(ROLL),
}
"""From bars of one sample to basis points, negative estimates kept."""


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


# ---------------------------------------------------------------- six venues, five coins, a day


def read_minutes(folder: Path) -> pd.DataFrame:
    """Return one row per sampled minute, venue and coin, with its burst and five-minute bar."""
    raw = pd.read_parquet(folder / "perp_spread_depth_1m.parquet")
    raw = raw[raw["error"].isna() & (raw["mid_price"] > 0.0)]
    raw = raw[~((raw["exchange"] == "dydx") & (raw["ticker"] == "BONK"))]  # spread rounded to 0
    minutes = raw["ts_minute_utc"].drop_duplicates().sort_values()
    burst = (minutes.diff() != pd.Timedelta(minutes=1)).cumsum()
    position = burst.groupby(burst).cumcount()
    keys = pd.DataFrame({"ts_minute_utc": minutes, "burst": burst, "bar": position // 5})
    table = raw.merge(keys, on="ts_minute_utc").sort_values("ts_minute_utc")
    table["cell"] = table["exchange"] + " " + table["ticker"]
    for size in ("1k", "10k", "100k", "1m"):
        sides = table[[f"ask_slip_{size}", f"bid_slip_{size}"]]
        table[f"slip_{size}"] = sides.mean(axis=1, skipna=False)
    return table


def burst_terms(table: pd.DataFrame, estimator: SpreadEstimator, *, bar: str) -> pd.DataFrame:
    """Return the mean terms of an estimator per cell and burst, from bars of mids.

    A five-minute bar needs its five mids, and a burst of fifteen minutes holds three bars. Pairs
    of bars never span two bursts.
    """
    mids = table.groupby(["cell", "burst", bar])["mid_price"]
    bars = mids.ohlc()[mids.size() == mids.size().max()]
    rows = {}
    for key, sample in bars.groupby(level=["cell", "burst"]):
        logs = LogBars.of(**{name: sample[name].to_numpy() for name in _PRICES})
        terms = np.array(estimator.known_terms(logs))
        if np.isfinite(terms).any():
            rows[key] = np.nanmean(terms, axis=1)
    return pd.DataFrame(rows).T.rename_axis(["cell", "burst"])


def cross_section(table: pd.DataFrame) -> pd.DataFrame:
    """Return rank correlations over venue-coin cells, bootstrapped over bursts."""
    truth = table.groupby(["cell", "burst"])[["spread_bps", "slip_100k"]].mean()
    full = table.groupby("burst")["ts_minute_utc"].nunique() == 15
    bursts, cells = full.index[full], pd.Index(sorted(table["cell"].unique()), name="cell")
    coin = np.array([cell.split()[1] for cell in cells])

    def cube(frame: pd.DataFrame) -> Array:
        wide = pd.MultiIndex.from_product([cells, bursts], names=["cell", "burst"])
        return frame.reindex(wide).to_numpy().T.reshape(-1, len(cells), len(bursts))

    reals = cube(truth)
    sources: dict[str, tuple[Array, SpreadEstimator | None]] = {
        name: (cube(burst_terms(table, estimator, bar=bar)), estimator)
        for name, (estimator, bar) in FROM_MIDS.items()
    }
    log_mid = np.log(table["mid_price"]).groupby([table["cell"], table["burst"]])
    sources["volatility"] = cube(log_mid.agg(lambda x: x.diff().std()).to_frame()), None
    sources["quoted spread itself"] = reals[:1], None
    rng = np.random.default_rng(6)
    n = len(bursts)
    picks = [np.arange(n), *(rng.integers(n, size=n) for _ in range(DRAWS))]
    rows = []
    for name, (terms, estimator) in sources.items():
        draws = [_ranks(terms, estimator, reals, pick, coin) for pick in picks]
        row: dict[str, object] = {"proxy": name, "cells": len(cells), "bursts": n}
        for k, what in enumerate(RANKED):
            row[what] = interval(draws[0][k], [draw[k] for draw in draws[1:]])
        rows.append(row)
    return pd.DataFrame(rows)


FROM_MIDS = {
    "EDGE": (EDGE, "bar"),
    "Abdi-Ranaldo": (ABDI_RANALDO, "bar"),
    "Corwin-Schultz": (CORWIN_SCHULTZ, "bar"),
    "Roll, one-minute": (ROLL, "ts_minute_utc"),
}
RANKED = ("quoted, all", "quoted, within coin", "slippage, all", "slippage, within coin")


def _ranks(
    terms: Array,
    estimator: SpreadEstimator | None,
    reals: Array,
    pick: NDArray[np.int64],
    coin: NDArray[np.str_],
) -> list[float]:
    means = _mean_of_known(terms[:, :, pick])
    proxy = means[0]
    if estimator is not None:
        proxy = estimator.bps_from_means(list(means), negative=NegativeSpread.SIGNED)
    out = []
    for real in _mean_of_known(reals[:, :, pick]):
        within = [spearman(proxy[coin == one], real[coin == one]) for one in np.unique(coin)]
        out += [spearman(proxy, real), float(np.mean(within))]
    return out


def _mean_of_known(values: Array) -> Array:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.asarray(total / np.where(known.any(axis=-1), known.sum(axis=-1), np.nan))


def impact_exponents(table: pd.DataFrame) -> pd.DataFrame:
    """Return the power law of the mean slippage beyond the half-spread, per coin and venue."""
    sizes = {"10k": 1e4, "100k": 1e5, "1m": 1e6}
    rows = []
    for (coin, venue), sample in table.groupby(["ticker", "exchange"]):
        held = sample.dropna(subset=[f"slip_{name}" for name in sizes])
        cost = held[[f"slip_{name}" for name in sizes]].mean().to_numpy()
        if len(held) < 100:
            continue
        law = fit_power_law(
            np.array(list(sizes.values())),
            cost,
            half_spread_bps=0.5 * float(held["spread_bps"].mean()),
        )
        rows.append({"coin": coin, "venue": venue, "exponent": law.exponent, "n": len(held)})
    return pd.DataFrame(rows).pivot(index="coin", columns="venue", values="exponent")


# ---------------------------------------------------------------- six coins, klines


def kline_study(folder: Path, minutes: pd.DataFrame) -> pd.DataFrame:
    """Return what hourly spot bars of 2025 say of six coins, beside the quotes of 2026."""
    binance = minutes[minutes["exchange"] == "binance"].groupby("ticker")
    quoted, slippage = binance["spread_bps"].mean(), binance["slip_1m"].mean()
    rows = []
    for coin in COINS:
        bars = pd.read_parquet(folder / "spot_klines_1h" / f"{coin}USDT.parquet")
        bars = bars[bars["open_time"] >= "2025-01-01"].reset_index(drop=True)
        move = np.log(bars["close"]).diff().to_numpy()
        value = bars["quote_asset_volume"].to_numpy()
        taken = taker_imbalance(
            bars["taker_buy_base_asset_volume"].to_numpy(), bars["volume"].to_numpy()
        )
        sigma = pd.Series(move).rolling(168).std().shift(1).to_numpy()
        fit = kyle_lambda(move, taken * value, window=len(bars))
        rows.append(
            {"coin": coin}
            | {name: proxy(bars) for name, proxy in PROXIES.items()}
            | {
                "range": 1e4 * float(np.log(bars["high"] / bars["low"]).mean()),
                "Amihud, bps per m": 1e10 * float(np.nanmean(amihud(move, value))),
                "Kyle, bps per m": 1e10 * fit.impact[-1],
                "t": fit.t_statistic[-1],
                "bulk vs taker": spearman(bulk_imbalance(move, sigma), taken),
                "quoted 2026": quoted.get(coin, np.nan),
                "1m slippage 2026": slippage.get(coin, np.nan),
            }
        )
    return pd.DataFrame(rows)


def minute_study(folder: Path, minutes: pd.DataFrame) -> pd.DataFrame:
    """Return EDGE of a month of one-minute perpetual bars, beside the quotes of 2026."""
    binance = minutes[minutes["exchange"] == "binance"].groupby("ticker")["spread_bps"].mean()
    rows = []
    for coin in ("BTC", "ETH", "SOL", "DOGE"):
        bars = pd.read_parquet(folder / "perp_klines_1m" / f"{coin}USDT.parquet")
        day = bars.groupby(bars["open_time"].dt.floor("D"))
        estimates = pd.DataFrame(
            [{name: PROXIES[name](sample) for name in PROXIES} for _, sample in day]
        )
        steps = bars["close"].diff().abs()
        tick = 1e4 * float(steps[steps > 1e-9].min() / bars["close"].mean())
        rows.append(
            {"coin": coin, "n": len(bars), "volatility": _volatility(bars["close"])}
            | {f"{name} < 0": float((estimates[name] < 0.0).mean()) for name in estimates}
            | {"EDGE, month": PROXIES["EDGE"](bars), "one tick": tick}
            | {"quoted 2026": binance.get(coin, np.nan)}
        )
    return pd.DataFrame(rows)


def thin_study(folder: Path) -> pd.DataFrame:
    """Return estimates from real one-minute trades of three thin pairs, bps, 21 days of 2023."""
    rows = []
    for pair in ("BTCUSD", "BTCUSDT", "BTCUSDC"):
        bars = pd.read_parquet(folder / "usdc_depeg_202303_1m" / f"binanceus_{pair}.parquet")
        traded = bars[bars["volume"] > 0.0]
        day = traded.groupby(traded["open_time"].dt.floor("D"))
        squares = [PROXIES["EDGE"](sample) for _, sample in day]
        rows.append(
            {"pair": pair, "minutes with trades": len(traded) / len(bars)}
            | {"BTC a day": float(bars["volume"].sum() / len(squares))}
            | {name: proxy(traded) for name, proxy in PROXIES.items()}
            | {"days EDGE < 0": int((np.array(squares) < 0.0).sum()), "days": len(squares)}
        )
    return pd.DataFrame(rows)


def draw_limit(points: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the smallest spread that EDGE can tell from zero, and where markets lie."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    ax = figure.subplots()
    volatility = np.geomspace(1.0, 300.0, 50)
    for label, n in (("15 bars", 15), ("a week of hours", 168), ("a week of minutes", 10_080)):
        # Two standard deviations of the squared spread.
        smallest = np.sqrt(2.0 * EDGE_NOISE) * volatility / n**0.25
        ax.plot(volatility, smallest, lw=1.2, label=f"visible above, {label}")
    for name, (x, y) in points.items():
        ax.plot(x, y, "ko", ms=4)
        ax.annotate(name, (x, y), xytext=(5, -3), textcoords="offset points", fontsize=8)
    ax.set(
        xscale="log", yscale="log", xlabel="volatility of a bar (dots: of a minute), basis points"
    )
    ax.set(xlabel="volatility of a bar (dots: of a minute), basis points")
    ax.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def market_points(folder: Path, klines: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return volatility of a minute and quoted spread, bps, of markets where both are known."""
    name = "btcusdt_binanceus_spread_slippage_1s_20250225.parquet"
    quotes = pd.read_parquet(folder / name).set_index("timestamp").sort_index()
    mid = 0.5 * (quotes["best_bid"] + quotes["best_ask"])
    spread = 1e4 * float(((quotes["best_ask"] - quotes["best_bid"]) / mid).mean())
    minute = mid.resample("1min").last().dropna()
    points = {"Binance.US BTC/USDT": (_volatility(minute), spread)}
    for row in klines.dropna().to_dict("records"):
        points[f"Binance {row['coin']} perpetual"] = (row["volatility"], row["quoted 2026"])
    return points


def _volatility(close: pd.Series) -> float:
    return float(1e4 * np.log(close).diff().std())


def main() -> None:
    """Print the tables and draw the picture."""
    pd.set_option("display.width", 250, "display.max_columns", 30, "display.max_rows", 100)
    name = os.environ.get("FOREMARGIN_DATA")
    if not name or not Path(name).is_dir():
        print("FOREMARGIN_DATA names no folder of market data: there is nothing to compare")
        return
    folder = Path(name)
    minutes = read_minutes(folder)
    show("six venues, five coins, bars of mids", cross_section(minutes))
    show("exponent of impact beyond the half-spread", impact_exponents(minutes))
    show("hourly spot bars, 2025 H1", kline_study(folder, minutes))
    klines = minute_study(folder, minutes)
    show("one-minute perpetual bars, June 2025", klines)
    show("one-minute bars of Binance.US, March 2023", thin_study(folder))
    IMAGES.mkdir(exist_ok=True)
    figure = draw_limit(market_points(folder, klines))
    figure.savefig(IMAGES / "liquidity-limit.png", dpi=110)


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table under its title."""
    print(f"\n{title}\n{table.round(3).to_string()}")


if __name__ == "__main__":
    main()
