"""What impact costs in recorded books, and whether a forecast of liquidity knows it before.

The tables of the guide's page on liquidity in margin. Books of six venues, a day of Binance.US, and
bars of eight perpetuals and six spot pairs are read from the folder of market data that
FOREMARGIN_DATA names; without it nothing is run. `--books` leaves the forecasts out, which take
some minutes on one core: the network is trained on the way.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from foremargin.backtest import bootstrap_interval, diebold_mariano
from foremargin.calibrate import with_stress_probability
from foremargin.calibrate.liquidity import (
    LiquidityOutlook,
    StressedLiquidity,
    fit_impact,
    liquidity_margin,
    volume_from_cost,
)
from foremargin.features import History, build_history
from foremargin.markets import load_panel
from foremargin.models import Forecast, PooledStress, RegimeNetwork
from foremargin.training.walk_forward import walk_forward

Array = NDArray[np.float64]

SIZES = {"10k": 1e4, "100k": 1e5, "1m": 1e6}
FIRST, LAST = "2024-01-02", "2025-06-29"  # of the origins that are judged
USUAL_DAYS = 90
POSITION = 0.05  # of the usual volume
LAGS = 20
QUIET_DAYS, WARNED = 10, 0.05
SEED = 20


def recorded(folder: Path) -> pd.DataFrame:
    """Read one row per snapshot; `cost_*` is beyond half the spread, fraction of the price."""
    books = pd.read_parquet(folder / "perp_spread_depth_1m.parquet")
    books = books[books["error"].isna()].copy()
    for size in SIZES:
        fill = 0.5 * (books[f"ask_slip_{size}"] + books[f"bid_slip_{size}"])
        books[f"cost_{size}"] = 1e-4 * (fill - 0.5 * books["spread_bps"])
    return books.sort_values("ts_minute_utc")


def exponent(cell: pd.DataFrame) -> float:
    """Slope of the log of the mean cost in the log of the size; NaN if a mean is not positive."""
    cost = np.array([cell[f"cost_{size}"].mean() for size in SIZES])
    if not np.all(cost > 0.0):
        return np.nan
    return float(np.polyfit(np.log(list(SIZES.values())), np.log(cost), 1)[0])


def daily_sigma(cell: pd.DataFrame) -> float:
    """Volatility of a day from mids that are at most five minutes apart."""
    mid = np.log(cell["mid_price"].to_numpy())
    seconds = np.diff(cell["ts_minute_utc"].to_numpy()).astype("timedelta64[s]").astype(float)
    near = seconds <= 300.0
    return float(np.sqrt((np.diff(mid)[near] ** 2).sum() / seconds[near].sum() * 86_400.0))


def daily_volume(folder: Path, coin: str) -> float:
    """Mean volume of a day of June 2025, USD."""
    bars = pd.read_parquet(folder / "perp_klines_1m" / f"{coin}USDT.parquet")
    bars = bars.set_index("open_time")
    traded = (bars["volume"] * bars["close"]).resample("1D").sum()
    return float(traded.loc["2025-06-01":"2025-06-23"].mean())


def books(folder: Path) -> None:
    """Print what the square-root law makes of recorded books."""
    table = recorded(folder)
    print("Binance, Y of the mean cost of one order")
    print(f"{'coin':<6}{'n':>5}{'sigma':>8}{'10,000':>9}{'100,000':>9}{'1,000,000':>11}", end="")
    print(f"{'exponent':>10}{'log error':>11}")
    for coin in ("BTC", "ETH", "SOL"):
        cell = table[(table["exchange"] == "binance") & (table["ticker"] == coin)]
        sigma, volume = daily_sigma(cell), daily_volume(folder, coin)
        y = [
            1.5 * cell[f"cost_{name}"].mean() / (sigma * np.sqrt(size / volume))
            for name, size in SIZES.items()
        ]
        cost = np.concatenate([cell[f"cost_{name}"].to_numpy() for name in SIZES])
        size = np.repeat(list(SIZES.values()), len(cell))
        used = cost > 0.0
        ones = np.ones(used.sum())
        fit = fit_impact(cost[used], size[used], volume * ones, sigma=sigma * ones)
        cells = "".join(f"{v:>{w}.2f}" for v, w in zip(y, (9, 9, 11), strict=True))
        print(f"{coin:<6}{len(cell):>5}{sigma:>8.3f}{cells}{exponent(cell):>10.2f}", end="")
        print(f"{fit.log_error:>11.2f}")
    slopes = [exponent(cell) for _, cell in table.groupby(["exchange", "ticker"])]
    known = np.array([value for value in slopes if np.isfinite(value)])
    print(
        f"{len(known)} venue-coin cells of {len(slopes)} with positive costs: median exponent "
        f"{np.median(known):.2f}; Y at a million over Y at ten thousand, from it: "
        f"{100.0 ** (np.median(known) - 0.5):.1f}"
    )


def one_day(folder: Path) -> None:
    """Print whether recorded slippage followed volatility, by the quarter hour."""
    name = "btcusdt_binanceus_spread_slippage_1s_20250225.parquet"
    rows = pd.read_parquet(folder / name).set_index("timestamp").sort_index()
    mid = 0.5 * (rows["best_bid"] + rows["best_ask"])
    minute = np.log(mid.resample("1min").last()).diff()
    sigma = np.sqrt((minute**2).resample("15min").sum(min_count=14))
    slip = (rows["estimated_slippage"] / mid).resample("15min").mean()
    both = pd.DataFrame({"sigma": sigma, "slip": slip}).dropna()
    both = both[(both["sigma"] > 0.0) & (both["slip"] > 0.0)]

    def slope(*columns: Array) -> float:
        x, y = (np.asarray(column) for column in columns)
        return float(np.polyfit(x, y, 1)[0])

    x, y = np.log(both["sigma"].to_numpy()), np.log(both["slip"].to_numpy())
    interval = bootstrap_interval(
        slope,
        x,
        y,
        confidence_level=0.95,
        mean_block=4.0,
        n_resamples=2_000,
        rng=np.random.default_rng(SEED),
    )
    print(
        f"\nBinance.US BTC/USDT, 2025-02-25, {len(both)} quarter hours: elasticity of slippage to "
        f"volatility {slope(x, y):.2f} ({interval.low:.2f} .. {interval.high:.2f}); scatter in "
        f"logs {y.std():.2f}, over volatility {(y - x).std():.2f}"
    )


def fourteen(folder: Path) -> History:
    """Eight perpetuals and six spot markets by the day; those of one coin under two names."""
    with tempfile.TemporaryDirectory() as both:
        for market in ("perp", "spot"):
            for path in sorted((folder / f"{market}_klines_1h").glob("*.parquet")):
                (Path(both) / f"{path.stem}-{market}.parquet").symlink_to(path.resolve())
        return build_history(load_panel(both, period="1D"), horizons=[1, 5])


@dataclass(frozen=True, kw_only=True, eq=False)
class Market:
    """What was, and what was usual; arrays of shape (n_periods, n_instruments), one day each."""

    history: History

    @property
    def sigma(self) -> Array:
        """Volatility of the day that ends at the origin."""
        variance: Array = self.history.targets.variance[..., 0]
        before = np.vstack([np.full((1, variance.shape[1]), np.nan), variance[:-1]])
        return np.asarray(np.sqrt(before))

    @property
    def cost(self) -> Array:
        """Relative cost of the day that ends at the origin."""
        values: Array = self.history.targets.liquidity_cost_now[..., 0]
        return values

    @property
    def usual_cost(self) -> Array:
        """Geometric mean of ninety days."""
        values: Array = self.history.targets.liquidity_cost_level[..., 0]
        return values

    @property
    def usual_sigma(self) -> Array:
        """Root of the mean variance of ninety days."""
        return np.sqrt(mean(self.sigma**2, USUAL_DAYS))

    def usual(self) -> dict[str, Array]:
        """Return the arguments of :func:`volume_from_cost` that say what was usual."""
        ones = np.ones(self.cost.shape)
        return {
            "usual_cost": self.usual_cost,
            "usual_sigma": self.usual_sigma,
            "usual_volume": ones,
        }

    def impact(self, sigma: Array, cost: Array) -> Array:
        """Return the component of margin at a volatility and a cost."""
        volume = volume_from_cost(cost, sigma, **self.usual())
        outlook = LiquidityOutlook(sigma=sigma, volume=volume, spread=0.0, stress_probability=0.0)
        return impact(outlook)


def impact(outlook: LiquidityOutlook) -> Array:
    """Return the impact component of a margin for the position."""
    return np.array(liquidity_margin(POSITION, 0.1, outlook).impact)


def mean(values: Array, days: int) -> Array:
    """Return trailing means of that many days, all of them known."""
    return np.asarray(pd.DataFrame(values).rolling(days).mean())


def predictors(market: Market, first_row: int) -> dict[str, Array]:
    """Return the component as every predictor has it, shape (n_origins, n_instruments)."""
    out = {
        "the last 90 days (usual)": market.impact(market.usual_sigma, market.usual_cost),
        "today": market.impact(market.sigma, market.cost),
    }
    for name, days in (("the last three days", 3), ("the last week", 7)):
        out[name] = market.impact(np.sqrt(mean(market.sigma**2, days)), mean(market.cost, days))
    out = {name: values[first_row:] for name, values in out.items()}
    usual = {name: values[first_row:] for name, values in market.usual().items()}
    spread = np.zeros(usual["usual_sigma"].shape)
    pooled, network = (
        forecast(market.history, model, first_row) for model in (PooledStress(), RegimeNetwork())
    )
    volume = {name: usual[name] for name in ("usual_sigma", "usual_volume")}
    stress = LiquidityOutlook.from_stress(pooled, horizon=1, spread=spread, **volume)
    cost = LiquidityOutlook.from_cost(network, horizon=1, spread=spread, **usual)
    said = network.liquidity_stress_probability
    out["stress-pooled, from_stress"] = impact(stress)
    out["the same without its stress probability"] = impact(replace(stress, stress_probability=0.0))
    out["the same with volume that does not follow volatility"] = impact(
        replace(stress, volume=usual["usual_volume"])
    )
    out["network, from_cost"] = impact(cost)
    if said is not None:
        out["the same with its stress probability on top"] = impact(
            replace(cost, stress_probability=said[..., 0])
        )
    return out


def forecast(history: History, model: PooledStress | RegimeNetwork, first_row: int) -> Forecast:
    """Walk forward from the first row on."""
    walked = walk_forward(history, [model], first_row=first_row, seed=SEED)
    return with_stress_probability(walked.forecasts[model.name], history, first_row=first_row)


def forecasts(folder: Path) -> None:
    """Print how well forecasts know the impact component of the day after."""
    market = Market(history=fourteen(folder))
    time = market.history.panel.time
    first_row = int(np.searchsorted(time, np.datetime64(FIRST) + np.timedelta64(1, "D")))
    last = int(np.searchsorted(time, np.datetime64(LAST) + np.timedelta64(1, "D"))) + 1
    # The usual is that of the origin, as for every predictor.
    targets = market.history.targets
    ahead = market.impact(np.sqrt(targets.variance[..., 0]), targets.liquidity_cost[..., 0])
    said = predictors(market, first_row)
    rows = slice(0, last - first_row)
    outcome, said = ahead[first_row:last], {name: v[rows] for name, v in said.items()}
    sigma = market.usual_sigma[first_row:last]
    known = np.isfinite(outcome) & (outcome > 0.0)
    for values in said.values():
        known &= np.isfinite(values)
    print(f"\nImpact component of the day after, {known.sum():,} rows from {FIRST} to {LAST}")
    scores(outcome, said, sigma=sigma, known=known)
    onsets(
        ahead,
        usual=market.impact(market.usual_sigma, market.usual_cost),
        said=said,
        first_row=first_row,
    )
    crash(time[first_row:last], outcome, said)
    stressed_volume(market)


def scores(
    outcome: Array, said: Mapping[str, Array], *, sigma: Array, known: NDArray[np.bool_]
) -> None:
    """Print one line per predictor; all of them have the mean of the outcome."""
    losses = {}
    for name, values in said.items():
        scaled = values * (outcome[known].mean() / values[known].mean())
        ratio = np.where(known, outcome / scaled, np.nan)
        qlike = np.nanmean(ratio - np.log(ratio) - 1.0, axis=1)
        short = np.nanmean(np.where(known, np.maximum(outcome - scaled, 0.0), np.nan), axis=1)
        rank = spearmanr((scaled / sigma)[known], (outcome / sigma)[known]).statistic
        losses[name] = (qlike, short / outcome[known].mean(), float(rank))
    week = losses["the last week"]
    print(f"{'':<54}{'QLIKE':>8}{'t':>7}{'short %':>9}{'t':>7}{'rank':>7}")
    for name, (qlike, short, rank) in losses.items():
        t = ["", ""]
        if name != "the last week":
            t = [
                f"{diebold_mariano(ours, theirs, horizon=LAGS + 1).statistic:.1f}"
                for ours, theirs in ((qlike, week[0]), (short, week[1]))
            ]
        print(
            f"{name:<54}{qlike.mean():>8.4f}{t[0]:>7}{100 * short.mean():>9.1f}{t[1]:>7}"
            f"{rank:>7.2f}"
        )


def onsets(ahead: Array, *, usual: Array, said: Mapping[str, Array], first_row: int) -> None:
    """Print how many rises each predictor warned of on the eve, at as many false warnings."""
    above = pd.DataFrame(ahead / usual)
    # Known at the origin: the outcome of the origin before it, and those of a year.
    threshold = above.shift(1).rolling(365, min_periods=180).quantile(0.95)
    event = (above > threshold).to_numpy() & threshold.notna().to_numpy()
    before = pd.DataFrame(event).shift(1).rolling(QUIET_DAYS).sum().to_numpy()
    n = len(next(iter(said.values())))
    part = slice(first_row, first_row + n)
    quiet = before[part] == 0.0
    onset, calm = event[part] & quiet, ~event[part] & quiet
    print(f"\nonsets: {onset.sum()} on {onset.any(axis=1).sum()} days")
    for name in ("today", "stress-pooled, from_stress", "network, from_cost"):
        rise = said[name] / usual[part]
        limit = np.nanquantile(rise[calm], 1.0 - WARNED)
        print(f"{name:<32}warned of {100.0 * np.mean(rise[onset] > limit):.0f} %")


def crash(time: NDArray[np.datetime64], outcome: Array, said: Mapping[str, Array]) -> None:
    """Print the days around 5 August 2024 in multiples of the second half of July."""
    days = time.astype("datetime64[D]") - np.timedelta64(1, "D")  # a day ends at the next midnight
    july = (days >= np.datetime64("2024-07-10")) & (days <= np.datetime64("2024-07-30"))
    names = ("today", "stress-pooled, from_stress", "network, from_cost")
    series = {name: said[name] for name in names} | {"the day after": outcome}
    print("\nclose of            " + "".join(f"{name:>30}" for name in series))
    for row in np.flatnonzero(
        (days >= np.datetime64("2024-08-01")) & (days <= np.datetime64("2024-08-05"))
    ):
        cells = [
            np.nanmedian(values[row] / np.nanmedian(values[july], axis=0))
            for values in series.values()
        ]
        print(f"{days[row]}          " + "".join(f"{cell:>30.2f}" for cell in cells))


def stressed_volume(market: Market) -> None:
    """Print the volume that costs stand for in liquidity stress, over that in calm."""
    volume = volume_from_cost(market.cost, market.sigma, **market.usual())
    stress = market.history.targets.liquidity_stress_now[..., 0]
    late = np.asarray(market.history.panel.time >= np.datetime64("2022-01-01"))[:, None]
    known = late & np.isfinite(volume) & np.isfinite(stress)
    inside, calm = volume[known & (stress == 1.0)], volume[known & (stress == 0.0)]
    ratio = np.exp(np.log(inside).mean() - np.log(calm).mean())
    print(
        f"\nvolume in liquidity stress over that in calm {ratio:.2f} (geometric means); its 5 % "
        f"quantile {np.quantile(inside, 0.05):.2f} of the usual; the default is "
        f"{StressedLiquidity().volume}"
    )


def main(arguments: list[str]) -> None:
    """Print all tables."""
    name = os.environ.get("FOREMARGIN_DATA")
    if not name:
        print("FOREMARGIN_DATA names no folder of market data; nothing to measure")
        return
    books(Path(name))
    one_day(Path(name))
    if "--books" not in arguments:
        forecasts(Path(name))


if __name__ == "__main__":
    main(sys.argv[1:])
