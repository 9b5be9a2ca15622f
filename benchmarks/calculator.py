"""The calculator: one tick, one closed row, a replay of bars, and memory.

A synthetic market by the day whose volatility wanders: log-HAR and GJR with plausible numbers, not
estimated, scores of 300 rows behind them, limits on movement, 1 % tails over one day. Fourteen and
5,000 instruments (another number as argument); a minute or two on one core. Times are those of the
processor, so that they mean the same on a machine that does other things as well.
"""

import resource
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foremargin.calibrate.coverage import AdaptiveConformal
from foremargin.calibrate.path import MarginLimits, SpeedLimit
from foremargin.calibrate.policies import (
    ChosenMargins,
    ErrorInterval,
    OnlinePolicy,
    OnlinePredictive,
)
from foremargin.calibrate.regime import RegimeStream
from foremargin.calibrate.served import ServedRung, ServingState, write_serving_state
from foremargin.features import FeatureStream
from foremargin.markets import Listing, Panel
from foremargin.models import OnlineGarch, OnlineLogHar
from foremargin.serving.calculator import Calculator
from foremargin.serving.observations import Bar, Tick

Array = NDArray[np.float64]

ROWS, WARM = 460, 300  # of the market; of those that the scores come from
DAY_NS = 86_400_000_000_000
START_NS = 20_000 * DAY_NS
LIMITS = MarginLimits(floor=0.005, speed=(SpeedLimit(rise=0.5, fall=0.1),))
TERMS = ("log_variance_last", "log_variance_week", "log_variance_month")


class Market:
    """Closes and ranges of `n` instruments over :data:`ROWS` days."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(n)
        log_sigma = np.zeros((ROWS, n))
        for t in range(1, ROWS):
            log_sigma[t] = 0.97 * log_sigma[t - 1] + 0.1 * rng.normal(size=n)
        self.sigma = 0.02 * np.exp(log_sigma)
        moves = self.sigma * rng.standard_t(6, size=(ROWS, n)) / np.sqrt(1.5)
        most = np.minimum(4.0 * self.sigma, 0.12)  # what admission believes of a single source
        moves = np.clip(moves, -most, most)
        self.close = 100.0 * np.exp(np.cumsum(moves, axis=0))
        self.log_return = np.diff(np.log(self.close), axis=0, prepend=np.nan)
        self.open = np.concatenate([self.close[:1], self.close[:-1]])
        spread = 1.0 + 0.5 * self.sigma
        self.high = np.maximum(self.open, self.close) * spread
        self.low = np.minimum(self.open, self.close) / spread
        self.time = START_NS + DAY_NS * np.arange(1, ROWS + 1)
        self.names = tuple(f"I{i:04d}" for i in range(n))

    def panel(self, start: int, stop: int) -> Panel:
        """Return some rows."""
        rows = slice(start, stop)
        n = len(self.names)
        return Panel(
            time=self.time[rows].view("datetime64[ns]"),
            period=pd.Timedelta(days=1),
            instruments=self.names,
            close=self.close[rows],
            log_return=self.log_return[rows],
            missing=np.zeros((stop - start, n), dtype=np.int8),
            periods_per_year=np.full(n, 365.0),
            fields={"open": self.open[rows], "high": self.high[rows], "low": self.low[rows]},
            listings=tuple(map(Listing.unknown, self.names)),
        )

    def bars(self, row: int) -> list[Bar]:
        """Return the bars of one row."""
        columns = (self.open[row], self.high[row], self.low[row], self.close[row])
        return [
            Bar(instrument=name, time=int(self.time[row]), open=o, high=h, low=low, close=c)
            for name, o, h, low, c in zip(
                self.names, *(column.tolist() for column in columns), strict=True
            )
        ]


def served(market: Market) -> dict[str, bytes]:
    """Return serving files whose scores come from the first rows of a market."""
    n, panel = len(market.names), market.panel(0, WARM)
    ones = np.ones((n, 1))
    linear = OnlineLogHar(
        terms=TERMS,
        horizons=(1,),
        intercept=0.0 * ones,
        correction=1.1 * ones,
        low=-4.0 * ones,
        high=4.0 * ones,
        coefficient=np.tile([0.2, 0.3, 0.4], (n, 1, 1)),
    )
    numbers = {"mu": 0.0, "scale": 0.02, "omega": 0.02, "alpha": 0.03, "gamma": 0.06, "beta": 0.92}
    garch = OnlineGarch(
        horizons=(1,),
        persistence=np.full(n, 0.98),
        level=np.ones(n),
        **{name: np.full(n, value) for name, value in numbers.items()},
    )
    policy = OnlinePolicy(
        horizon=1,
        tail_probability=0.01,
        exponents=(0.75, 0.5),
        coverage=AdaptiveConformal(),
        pooled_sessions=500.0,
    )
    one = OnlinePredictive.fresh(policy, panel)
    interval = ErrorInterval.fresh(one.session, horizon=1)
    chosen, regime = ChosenMargins.fresh(LIMITS, n_instruments=n), RegimeStream.fresh(n)
    present = np.ones(n, dtype=np.bool_)
    for row in range(WARM):
        variance = market.sigma[row] ** 2
        margin = one.advance(market.log_return[row], present=present, variance=variance)
        interval.advance(market.log_return[row] ** 2, present=present, variance=variance)
        chosen.advance(margin[None])
        regime.advance(np.log(variance))
    rungs = tuple(
        ServedRung(
            model=model,
            basis=basis,
            policy=policy,
            forecaster=forecaster,
            predictive=one.state(),
            interval=interval.state(),
        )
        for model, basis, forecaster in (("log-har", "linear", linear), ("gjr-t", "garch", garch))
    )
    last = market.panel(WARM, WARM + 1)
    state = ServingState(
        instruments=market.names,
        period_ns=DAY_NS,
        periods_per_year=panel.periods_per_year,
        listings=panel.listings,
        expiry_ns=(None,) * n,
        horizons=(1,),
        limits=LIMITS,
        rungs=rungs,
        stream=FeatureStream.after(panel).state(),
        regime=regime.state(),
        chosen=chosen.state(),
        last_close=market.close[WARM - 1],
        last_seen=np.full(n, market.time[WARM - 1]),
        row={
            "time_ns": int(market.time[WARM]),
            "close": last.close[0],
            "log_return": last.log_return[0],
            "missing": last.missing[0],
            "fields": {name: values[0] for name, values in last.fields.items()},
        },
    )
    return write_serving_state(state)


def timed(run: Callable[[], object]) -> float:
    """Return how long a call keeps the processor, ms."""
    before = time.process_time()
    run()
    return 1e3 * (time.process_time() - before)


def table(name: str, ms: list[float]) -> None:
    """Print the middle and the worst of some times."""
    print(f"  {name:<34}{np.median(ms):10.3f} ms   worst of {len(ms)}: {max(ms):.3f} ms")


def ticks(calculator: Calculator, market: Market, row: int) -> None:
    """Time single ticks: quiet ones, ones that raise, and ones of four venues."""
    name, price, at = market.names[0], float(market.close[row, 0]), int(market.time[row])
    quiet = [Tick(instrument=name, time=at + i, price=price) for i in range(1, 501)]
    rising = [
        Tick(instrument=name, time=at + 1000 + i, price=price * (1.0 - 1e-4 * i))
        for i in range(1, 501)
    ]
    venues = [
        Tick(instrument=name, time=at + 2000 + i, price=price * (1 + 1e-4 * (i % 5)), venue=venue)
        for i, venue in enumerate("abcd" * 125)
    ]
    for label, some in (("quiet", quiet), ("rising", rising), ("of one of four venues", venues)):
        table(f"one tick, {label}", [timed(partial(calculator.apply, [t])) for t in some])


def run(n: int) -> None:
    """Print the figures of a market of `n` instruments."""
    market = Market(n)
    files = served(market)
    size = sum(map(len, files.values())) / 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    loading = time.process_time()
    calculator = Calculator.load(files)
    loaded_s = time.process_time() - loading
    print(f"{n} instruments; files of {size:.1f} MiB, loaded in {loaded_s:.2f} s")
    rows = range(WARM + 1, min(ROWS, WARM + 1 + (140 if n < 1000 else 20)))
    feed = [market.bars(row) for row in rows]
    answers = 0
    begun, ms = time.process_time(), []
    for bars in feed:
        calculator.apply(bars[:-1])
        ms.append(timed(partial(calculator.apply, bars[-1:])))
        answers += len(calculator.current())
    total_s = time.process_time() - begun
    table("one closed row", ms[2:])
    print(f"  replay {len(feed) * n / total_s:,.0f} bars/s, {answers:,} margins")
    ticks(calculator, market, rows[-1])
    snapshot = timed(calculator.snapshot)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"  snapshot {snapshot:.0f} ms; peak memory {before:.0f} MiB before it was loaded, then "
        f"{after:.0f} MiB"
    )


def main() -> None:
    """Run a small and a large market."""
    for n in [int(argument) for argument in sys.argv[1:]] or [14, 5_000]:
        run(n)


if __name__ == "__main__":
    main()
