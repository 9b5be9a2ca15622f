"""Coverage control on real data: every rule, with the raw quantile beside it.

Eight perpetuals by the hour and by the day, one and five days ahead, from hourly bars in the folder
that FOREMARGIN_DATA names, and the S&P 500 and the Nasdaq by the day from `arch`. The scale is a
regression of log range variances on exponential averages of past ones, fitted before 2024 (coins)
or 2006 (indices) like every constant of the rules; what is shown is after, unless `--before` is
given, and with tails pooled over instruments and sides, unless `--own` is. Two or three minutes on
one core.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from arch.data import nasdaq, sp500
from numpy.typing import NDArray

from foremargin.backtest import quantile_loss
from foremargin.calibrate.coverage import (
    AdaptiveConformal,
    AggregatedConformal,
    ConformalPid,
    CoverageRule,
    Guard,
    QuantileTracking,
    RegimeWeightedConformal,
    SlidingConformal,
    TimeWeightedConformal,
)
from foremargin.calibrate.pooling import PooledTail, pooled_tail
from foremargin.markets import DAYS_PER_YEAR

Array = NDArray[np.float64]

TAIL = 0.01
WINDOW_DAYS, NEEDED, POOL_DAYS, POOL_WEIGHT_DAYS = 1_000, 250, 7, 500
HALF_LIVES = {"1h": (3, 24, 168), "1D": (1, 5, 22)}  # of the averages in the scale, periods
SPLIT = {"coins": "2024-01-01", "indices": "2006-01-01"}
WARM_UP_DAYS = 400


@dataclass(frozen=True, kw_only=True, eq=False)
class Market:
    """Losses over a scale, shape (n, instruments, 2); longs first."""

    name: str
    time: pd.DatetimeIndex
    instruments: tuple[str, ...]
    loss: Array
    sigma: Array
    lag: int
    session: int
    split: str

    def pooled(self) -> PooledTail:
        """Tail of all instruments and both sides, as the predictive margin reads it."""
        n = len(self.loss)
        known_at = np.repeat(np.arange(n)[:, None] + self.lag, self.loss.shape[1], axis=1)
        return pooled_tail(
            self.loss / self.sigma[..., None],
            known_at,
            tail_probability=TAIL,
            window=WINDOW_DAYS * self.session,
            step=POOL_DAYS * self.session,
            weight=float(POOL_WEIGHT_DAYS * self.session),
        )

    def judged(self, *, before: bool) -> NDArray[np.bool_]:
        """Rows after the split, or those before it that are warm, shape (n, instruments)."""
        late = np.asarray(self.time >= pd.Timestamp(self.split))
        started = np.isfinite(self.sigma).argmax(axis=0) + WARM_UP_DAYS * self.session
        warm = np.arange(len(late))[:, None] >= started
        side: NDArray[np.bool_] = ~late if before else late
        return np.asarray(side[:, None] & warm)


def rules(market: Market) -> Mapping[str, CoverageRule]:
    """Return the rules compared, with the constants chosen before the split."""
    window = WINDOW_DAYS * market.session
    day = float(market.session)
    plain = SlidingConformal(window=window, needed=NEEDED, guard=None, name="raw quantile")
    adaptive = AdaptiveConformal(window=window, needed=NEEDED)
    pid = ConformalPid(window=window, needed=NEEDED)
    time = TimeWeightedConformal(window=window, needed=NEEDED, half_life=500 * day)
    # By the hour the window of the kernel is shorter: its cost is that of the window.
    near = min(window, 1_000)
    regime = RegimeWeightedConformal(window=near, needed=NEEDED, half_life=near / 2)
    chosen = (
        plain,
        replace(plain, guard=adaptive.guard, name="sliding + guard"),
        replace(adaptive, guard=None, name="aci, no guard"),
        adaptive,
        replace(adaptive, gain=0.1, guard=Guard(excess=7.5, shortfall=20.0), name="aci, gain .1"),
        QuantileTracking(needed=NEEDED, window=NEEDED),
        replace(pid, scorecaster=False, name="pi"),
        pid,
        AggregatedConformal(window=window, needed=NEEDED, interval=window),
        replace(time, guard=None, name="time-weighted, no guard"),
        time,
        replace(regime, guard=None, name="regime-weighted, no guard"),
        regime,
    )
    return {rule.name: rule for rule in chosen}


def margins(market: Market, rule: CoverageRule, pooled: PooledTail | None) -> tuple[Array, Array]:
    """Run one controller per instrument and side; margins and corrections, shape of the losses."""
    margin, added = np.full(market.loss.shape, np.nan), np.full(market.loss.shape, np.nan)
    for i, s in np.ndindex(market.loss.shape[1:]):
        rows = np.flatnonzero(np.isfinite(market.sigma[:, i]))
        sigma = market.sigma[rows, i]
        run = rule.run(
            market.loss[rows, i, s] / sigma,
            tail_probability=TAIL,
            lag=market.lag,
            pooled=None if pooled is None else pooled.at(rows),
            regime=relative_level(sigma, market.session) if rule.n_regimes else None,
        )
        margin[rows, i, s] = run.quantile * sigma
        added[rows, i, s] = run.correction
    return margin, added


def relative_level(sigma: Array, session: int) -> Array:
    """Log of the scale against its own average of a year, in its own spread so far: the regime."""
    log = pd.Series(np.log(sigma))
    usual = log.rolling(int(DAYS_PER_YEAR) * session, min_periods=1).mean()
    spread = (log - usual).expanding(min_periods=50).std()
    return np.asarray((log - usual) / spread)[:, None]


def row(market: Market, margin: Array, added: Array, *, before: bool) -> dict[str, float]:
    """Figures of one rule; those "at 1 %" after one factor has made all breaches together so."""
    judged = market.judged(before=before)[..., None]
    known = judged & np.isfinite(margin) & np.isfinite(market.loss)
    breach = np.where(known, market.loss > margin, np.nan)
    rate = np.nanmean(breach, axis=0).ravel()
    quintile = np.stack(
        [
            market.sigma[:, i] >= np.quantile(market.sigma[judged[:, i, 0], i], 0.8)
            for i in range(market.sigma.shape[1])
        ],
        axis=1,
    )
    ratio = (market.loss / margin)[known]
    factor = np.quantile(ratio[np.isfinite(ratio)], 1.0 - TAIL)
    usual = market.sigma[judged[..., 0]].mean()

    def loss(scale: float) -> float:
        losses = quantile_loss(market.loss[known], scale * margin[known], tail_probability=TAIL)
        return float(losses.mean() / usual)

    return {
        "breach %": 100 * float(np.nanmean(breach)),
        "least": 100 * rate.min(),
        "most": 100 * rate.max(),
        "within .8-1.2": float(np.mean((rate >= 0.008) & (rate <= 0.012))),
        "top fifth %": 100 * float(np.nanmean(breach[quintile & judged[..., 0]])),
        "margin": float(margin[known].mean() / usual),
        "loss": 1e2 * loss(1.0),
        "margin at 1 %": float(factor * margin[known].mean() / usual),
        "loss at 1 %": 1e2 * loss(factor),
        "guard %": 100 * float(np.mean(added[known] != 0.0)),
        "lowest": float((margin / market.sigma[..., None])[known].min()),
    }


def table(market: Market, *, before: bool, with_pool: bool) -> pd.DataFrame:
    """One row per rule."""
    pooled = market.pooled() if with_pool else None
    rows = {}
    for name, rule in rules(market).items():
        rows[name] = row(market, *margins(market, rule, pooled), before=before)
    return pd.DataFrame(rows).T


def scale(variance: pd.DataFrame, *, half_lives: tuple[int, ...], split: str, lag: int) -> Array:
    """Volatility over `lag` periods: log variances regressed on past ones before the split."""
    tiny = variance[variance > 0.0].quantile(0.001)
    averages = [variance.ewm(halflife=h).mean().clip(lower=tiny, axis=1) for h in half_lives]
    past = [np.log(average.to_numpy()) for average in averages]
    total = variance.rolling(lag).sum().shift(-lag).clip(lower=tiny, axis=1)
    ahead = np.log(total.to_numpy())
    out = np.full(variance.shape, np.nan)
    early = np.asarray(variance.index < pd.Timestamp(split))
    early &= np.arange(len(early)) < early.sum() - lag
    known = variance.notna().to_numpy()
    for i in range(variance.shape[1]):
        x = np.column_stack([np.ones(len(early))] + [p[:, i] for p in past])
        y = ahead[:, i]
        use = early & np.isfinite(x).all(axis=1) & np.isfinite(y)
        coefficient = np.linalg.lstsq(x[use], y[use], rcond=None)[0]
        # The first week of averages is no average yet.
        warm = known[:, i] & (np.cumsum(known[:, i]) > max(half_lives))
        out[warm, i] = np.exp(0.5 * x[warm] @ coefficient)
    return out


def market_of(
    close: pd.DataFrame, variance: pd.DataFrame, *, name: str, kind: str, lag: int, session: int
) -> Market:
    """Build losses and scale from closes and variances."""
    log_close = pd.DataFrame(np.log(close.to_numpy()), index=close.index)
    ahead = log_close.diff(lag).shift(-lag).to_numpy()
    sigma = scale(
        variance,
        half_lives=HALF_LIVES["1h" if session > 1 else "1D"],
        split=SPLIT[kind],
        lag=lag,
    )
    return Market(
        name=name,
        time=pd.DatetimeIndex(close.index),
        instruments=tuple(close.columns),
        loss=np.stack([-ahead, ahead], axis=-1),
        sigma=sigma,
        lag=lag,
        session=session,
        split=SPLIT[kind],
    )


def coins(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read closes and range variances of eight perpetuals by the hour."""
    close, variance = {}, {}
    for path in sorted((folder / "perp_klines_1h").glob("*.parquet")):
        bars = pd.read_parquet(path).set_index("open_time").tz_localize(None)
        close[path.stem] = bars["close"]
        variance[path.stem] = np.log(bars["high"] / bars["low"]) ** 2 / (4.0 * np.log(2.0))
    return pd.DataFrame(close), pd.DataFrame(variance)


def indices() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read closes and range variances, with the night, of two indices by the day."""
    close, variance = {}, {}
    for name, load in {"SPX": sp500.load, "NDX": nasdaq.load}.items():
        bars = load()
        night = np.log(bars["Open"] / bars["Close"].shift())
        close[name] = bars["Adj Close"]
        day = np.log(bars["High"] / bars["Low"]) ** 2 / (4.0 * np.log(2.0))
        variance[name] = (day + night**2).fillna(day)
    return pd.DataFrame(close), pd.DataFrame(variance)


def markets(folder: Path | None) -> Iterator[Market]:
    """Yield the markets for which there is data."""
    build: Callable[..., Market] = market_of
    close, variance = indices()
    yield build(close, variance, name="indices, one day", kind="indices", lag=1, session=1)
    if folder is None:
        return
    close, variance = coins(folder)
    day, day_variance = close.resample("1D").last(), variance.resample("1D").sum(min_count=20)
    for lag in (1, 5):
        name = f"coins, {lag} days"
        yield build(day, day_variance, name=name, kind="coins", lag=lag, session=1)
    yield build(close, variance, name="coins, one hour", kind="coins", lag=1, session=24)


def main(arguments: list[str]) -> None:
    """Print one table per market."""
    name = os.environ.get("FOREMARGIN_DATA")
    before, with_pool = "--before" in arguments, "--own" not in arguments
    if not name:
        print("FOREMARGIN_DATA names no folder of market data: indices alone")
    for market in markets(Path(name) if name else None):
        print(f"\n{market.name}, {'own and pooled' if with_pool else 'own'} scores")
        shown = table(market, before=before, with_pool=with_pool)
        print(shown.to_string(float_format="{:.3f}".format), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
