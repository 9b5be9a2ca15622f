"""What limits on the movement of margins cost, and whether they hold.

Three tables. The worst excess over any limit in 10,000 random problems. The online rule beside the
offline optimum, which knows the whole target, on simulated GARCH margins, the S&P 500 and Bitcoin.
Coverage, mean margin and rises before and after the limits, on the S&P 500 (1999 to 2018, data set
of `arch`) and eight perpetuals, constants chosen on the first half of each. The target is always
the 99 % one-day margin of filtered historical simulation on an EWMA of 0.97. The folder of market
data is the one that FOREMARGIN_DATA names; with it the picture of the page is drawn too.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from arch.data import sp500
from matplotlib.figure import Figure
from numpy.typing import NDArray

from foremargin.backtest import largest_increase, peak_to_trough
from foremargin.calibrate.empirical import rolling_tails
from foremargin.calibrate.path import (
    Bound,
    Buffer,
    Headroom,
    Lift,
    Maintenance,
    MarginLimits,
    Notice,
    Precedence,
    SpeedLimit,
    limit_excess,
    margin_path,
    offline_path,
    path_cost,
)

Array = NDArray[np.float64]

TAIL = 0.01
DECAY = 0.97
SPEED = (SpeedLimit(rise=0.3, periods=5), SpeedLimit(rise=0.5, periods=20))
SIZES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
RATES = (0.0, 0.002, 0.005)
IMAGES = Path(__file__).parents[1] / "docs" / "images"


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Target of one side of one instrument and the losses it should cover, fractions."""

    name: str
    time: pd.DatetimeIndex
    target: Array
    loss: Array


# ---------------------------------------------------------------- targets


def sides(name: str, close: pd.Series) -> Iterator[Series]:
    """Yield the margin targets of a long and of a short position."""
    log_return = np.log(close).diff().dropna()
    sigma = np.sqrt((log_return**2).ewm(alpha=1.0 - DECAY, adjust=False).mean().to_numpy())
    for side, sign in (("long", -1.0), ("short", 1.0)):
        log_loss = np.append(sign * log_return.to_numpy()[1:], np.nan)
        quantile = rolling_tails(log_loss / sigma, np.array([TAIL]), 1, 1_000, 250)[0][:, 0]
        known = np.isfinite(quantile) & np.isfinite(log_loss)
        yield Series(
            name=f"{name} {side}",
            time=pd.DatetimeIndex(log_return.index[known]),
            target=sign * np.expm1(sign * quantile * sigma)[known],
            loss=sign * np.expm1(sign * log_loss)[known],
        )


def sp500_sides() -> list[Series]:
    """Return both sides of the S&P 500, 1999 to 2018."""
    return list(sides("S&P 500", sp500.load()["Adj Close"]))


def perpetual_sides(folder: Path) -> list[Series]:
    """Return both sides of eight perpetuals, closes at midnight UTC."""
    out: list[Series] = []
    for path in sorted((folder / "perp_klines_1h").glob("*.parquet")):
        bars = pd.read_parquet(path, columns=["open_time", "close"]).set_index("open_time")
        out += sides(path.stem, bars["close"].resample("1D").last())
    return out


def bitcoin_sides(folder: Path) -> list[Series]:
    """Return both sides of Bitcoin, daily from 2015."""
    table = pd.read_parquet(folder / "btc_daily_context.parquet")
    time = next(name for name in table if "time" in str(name) or "date" in str(name))
    price = next(name for name in table if "price" in str(name) or "close" in str(name))
    return list(sides("Bitcoin", table.set_index(time)[price].dropna()))


def garch_target(rng: np.random.Generator, n: int, k: int) -> tuple[Array, Array]:
    """Simulate the margin of a GARCH(1,1) with t(5) shocks and its expectation k periods on."""
    alpha, beta, warm = 0.09, 0.90, 500
    shock = rng.standard_t(5, n + warm) / np.sqrt(5 / 3)
    variance = np.ones(n + warm)
    for t in range(1, n + warm):
        variance[t] = 1 - alpha - beta + (alpha * shock[t - 1] ** 2 + beta) * variance[t - 1]
    now = variance[warm:]
    ahead = 1.0 + (alpha + beta) ** np.arange(1, k + 1) * (now[:, None] - 1.0)
    return 0.03 * np.sqrt(now), 0.03 * np.sqrt(ahead)


# ---------------------------------------------------------------- bounds


def random_limits(rng: np.random.Generator) -> MarginLimits:
    """Draw limits that often conflict."""
    speed = tuple(
        SpeedLimit(
            rise=float(rng.choice([0.05, 0.2, 0.5])),
            fall=float(rng.choice([0.05, 0.2, 1.0])),
            periods=int(rng.choice([1, 3, 5, 20])),
        )
        for _ in range(rng.integers(0, 4))
    )
    return MarginLimits(
        floor=float(rng.choice([0.0, 0.03])),
        cap=float(rng.choice([0.12, np.inf])),
        speed=speed,
        notice=Notice(periods=int(rng.choice([0, 1, 4])), falls=bool(rng.random() < 0.5)),
        threshold=float(rng.choice([0.0, 0.02, 0.05])),
        lift=Lift(buffer=Buffer(window=60, needed=20), headroom=Headroom(size=0.1)),
        maintenance=Maintenance(wait=int(rng.integers(0, 4))),
        precedence=Precedence.COVERAGE_FIRST if rng.random() < 0.5 else Precedence.LIMITS_FIRST,
    )


def random_problems(count: int = 10_000) -> pd.Series:
    """Return the worst excess over each limit in so many problems, relative."""
    rng = np.random.default_rng(20)
    worst: dict[str, float] = {}
    for _ in range(count):
        limits, n = random_limits(rng), int(rng.integers(2, 150))
        step = rng.normal(0.0, rng.choice([0.01, 0.05, 0.2]), n)
        target = 0.05 * np.exp(np.cumsum(step + (rng.random(n) < 0.03) * rng.normal(0, 0.4, n)))
        required = target * rng.uniform(0.0, 1.0, n)
        expected = target[:, None] * np.exp(rng.normal(0.0, 0.2, (n, 10)))
        path = margin_path(target, limits=limits, required=required, expected=expected)
        found = vars(limit_excess(path, limits=limits, required=required))
        worst = {name: max(worst.get(name, 0.0), found[name]) for name in found}
    return pd.Series(worst)


# ---------------------------------------------------------------- against the optimum


def foresight(target: Array, k: int) -> Array:
    """Return the true targets of the next k periods."""
    ahead = np.concatenate([target, np.full(k, target[-1])])
    return np.lib.stride_tricks.sliding_window_view(ahead[1:], k)[: len(target)]


def against_optimum(target: Array, forecast: Array | None) -> dict[str, dict[str, float]]:
    """Compare the rule blind, with a forecast and with foresight to the offline optimum."""
    limits = MarginLimits(speed=SPEED)
    best = offline_path(target, limits=limits)
    lifted = replace(limits, lift=Lift(headroom=Headroom(size=0.1, rate=0.0)))
    ways = {
        "blind": (limits, None),
        "blind, headroom 10 %": (lifted, None),
        "forecast": (limits, forecast),
        "foresight of 20": (limits, foresight(target, 20)),
        "foresight of 100": (limits, foresight(target, 100)),
    }
    out = {
        "optimum": {
            "margin ratio": 1.0,
            "cost ratio": 1.0,
            "below target": float(np.mean(best.margin < target * (1 - 1e-6))),
        }
    }
    for name, (held, expected) in ways.items():
        if name == "forecast" and expected is None:
            continue
        margin = margin_path(target, limits=held, expected=expected).initial_margin
        out[name] = {
            "margin ratio": float(margin.mean() / best.margin.mean()),
            "cost ratio": path_cost(margin, target) / best.cost,
            "below target": float(np.mean(margin < target * (1 - 1e-6))),
        }
    return out


def ratios(targets: Mapping[str, list[tuple[Array, Array | None]]]) -> pd.DataFrame:
    """Return quantiles over paths of each ratio."""
    rows = {}
    for name, paths in targets.items():
        found = [against_optimum(*each) for each in paths]
        for way in found[0]:
            table = pd.DataFrame([each[way] for each in found])
            margin = table["margin ratio"]
            rows[name, way] = {
                "paths": len(table),
                "margin 5 %": margin.quantile(0.05),
                "margin median": margin.median(),
                "margin 95 %": margin.quantile(0.95),
                "margin max": margin.max(),
                "cost median": table["cost ratio"].median(),
                "below target": table["below target"].mean(),
            }
    return pd.DataFrame(rows).T


# ---------------------------------------------------------------- before and after


def measures(series: list[Series], margins: list[Array], half: int) -> dict[str, float]:
    """Measure one half of every series: means, but the worst series for rises."""
    parts = []
    for each, whole in zip(series, margins, strict=True):
        middle = len(each.target) // 2
        part = slice(0, middle) if half == 0 else slice(middle, None)
        margin, target = whole[part], each.target[part]
        parts.append(
            {
                "coverage": np.mean(each.loss[part] <= margin),
                "mean margin": margin.mean(),
                "p2t": peak_to_trough(margin),
                "5-rise": largest_increase(margin, periods=5),
                "20-rise": largest_increase(margin, periods=20),
                "below target": np.mean(margin < target * (1 - 1e-12)),
            }
        )
    table = pd.DataFrame(parts)
    return {**table.mean(), "5-rise": table["5-rise"].max(), "20-rise": table["20-rise"].max()}


def candidates() -> Iterator[tuple[str, MarginLimits]]:
    """Yield the rules among which the first half chooses, all with the speed limits."""
    for buffer, size, rate in product((None, Buffer()), SIZES, RATES):
        headroom = Headroom(size=size, rate=rate)
        kind = "buffer 25 %, " if buffer is not None else ""
        name = f"limits, {kind}headroom {size:.0%} at {rate}"
        yield name, MarginLimits(speed=SPEED, lift=Lift(buffer=buffer, headroom=headroom))


def follow(series: list[Series], limits: MarginLimits) -> list[Array]:
    """Apply the rule to every series."""
    return [margin_path(each.target, limits=limits).initial_margin for each in series]


def before_and_after(series: list[Series]) -> tuple[pd.DataFrame, MarginLimits]:
    """Choose the cheapest rule that covers in the first half and measure both halves."""
    plain = [each.target for each in series]
    wanted = max(1.0 - TAIL, measures(series, plain, 0)["coverage"])
    rules = dict(candidates())
    tried = {name: measures(series, follow(series, held), 0) for name, held in rules.items()}
    enough = [name for name, found in tried.items() if found["coverage"] >= wanted]
    chosen = min(enough, key=lambda name: tried[name]["mean margin"])
    scales = (c for c in np.arange(1.0, 2.0, 0.01) if _covers(series, float(c), wanted))
    scale = float(next(scales))
    rows = {
        "target": plain,
        f"target x {scale:.2f}": [scale * each for each in plain],
        "buffer 25 % alone": follow(series, MarginLimits(lift=Lift(buffer=Buffer()))),
        "limits alone": follow(series, MarginLimits(speed=SPEED)),
        f"chosen: {chosen}": follow(series, rules[chosen]),
        "chosen, floor of the first half": _with_floor(series, rules[chosen]),
        "limits, buffer 25 %": follow(
            series, MarginLimits(speed=SPEED, lift=Lift(buffer=Buffer()))
        ),
    }
    table = {
        (name, part): measures(series, margins, half)
        for name, margins in rows.items()
        for half, part in enumerate(("first", "second"))
    }
    return pd.DataFrame(table).T, rules[chosen]


def _with_floor(series: list[Series], limits: MarginLimits) -> list[Array]:
    """Add a floor for each series: the quartile of its own targets in the first half."""
    floors = [float(np.quantile(s.target[: len(s.target) // 2], 0.25)) for s in series]
    return [
        margin_path(each.target, limits=replace(limits, floor=floor)).initial_margin
        for each, floor in zip(series, floors, strict=True)
    ]


def _covers(series: list[Series], scale: float, wanted: float) -> bool:
    margins = [scale * each.target for each in series]
    return measures(series, margins, 0)["coverage"] >= wanted


# ---------------------------------------------------------------- picture


def draw_episode(series: Series, first: str, last: str) -> Figure:
    """Draw target and margin over a stress episode, and below what bound in each period."""
    limits = MarginLimits(
        speed=(SpeedLimit(rise=0.08), *SPEED, SpeedLimit(fall=0.02)),
        notice=Notice(periods=1),
        threshold=0.02,
        lift=Lift(buffer=Buffer(), headroom=Headroom(size=0.1)),
    )
    path = margin_path(series.target, limits=limits)
    rows = {
        "buffer": (Bound.BUFFER, "C0"),
        "headroom": (Bound.HEADROOM, "C9"),
        "rise, 1 day": (Bound.RISE_PERIOD, "C1"),
        "rise, 5 or 20 days": (Bound.RISE_WINDOW, "C3"),
        "notice": (Bound.NOTICE, "C4"),
        "fall, 1 day": (Bound.FALL_PERIOD, "C2"),
        "threshold": (Bound.THRESHOLD, "0.5"),
    }
    shown = (series.time >= pd.Timestamp(first)) & (series.time < pd.Timestamp(last))
    time = series.time[shown]
    figure = Figure(figsize=(8, 5), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=[3, 1.6])
    above.plot(time, 100 * path.target[shown], "k-", lw=1.0, label="target")
    above.plot(time, 100 * path.initial_margin[shown], "C3-", lw=1.6, label="initial margin")
    above.plot(
        time, 100 * path.maintenance_margin[shown], "C0-", lw=1.0, label="maintenance margin"
    )
    above.plot(
        time,
        100 * series.loss[shown].clip(0.0),
        ".",
        color="0.6",
        ms=3,
        label="loss of the next day",
    )
    above.set(ylabel="% of notional")
    above.set_title(f"{series.name}: target, margin, and what bound", loc="left", fontsize=10)
    above.legend(fontsize=8, frameon=False, loc="upper right")
    for y, (bound, color) in enumerate(rows.values()):
        at = time[path.binds(bound)[shown]]
        below.plot(at, np.full(len(at), y), "|", color=color, ms=9, mew=2.2)
    below.set_yticks(range(len(rows)), list(rows), fontsize=8)
    below.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def main() -> None:
    """Print the tables and draw the picture."""
    pd.set_option("display.width", 250, "display.max_columns", 30, "display.max_rows", 100)
    show("worst excess, 10,000 random problems", random_problems().to_frame("relative").T, 20)
    index = sp500_sides()
    rng = np.random.default_rng(1)
    targets: dict[str, list[tuple[Array, Array | None]]] = {
        "GARCH, 1,000 days": [garch_target(rng, 1_000, 20) for _ in range(100)],
        "S&P 500": [(each.target, None) for each in index],
    }
    name = os.environ.get("FOREMARGIN_DATA")
    folder = Path(name) if name and Path(name).is_dir() else None
    if folder is not None:
        targets["Bitcoin"] = [(each.target, None) for each in bitcoin_sides(folder)]
    show("online rule over offline optimum", ratios(targets))
    show("S&P 500, before and after", before_and_after(index)[0])
    IMAGES.mkdir(exist_ok=True)
    picture = draw_episode(index[0], "2008-07-01", "2009-07-01")
    picture.savefig(IMAGES / "margin-path.png", dpi=110)
    if folder is None:
        print("\nFOREMARGIN_DATA names no folder of market data: the rest is left out")
        return
    show("eight perpetuals, before and after", before_and_after(perpetual_sides(folder))[0])


def show(title: str, table: pd.DataFrame, digits: int = 4) -> None:
    """Print a table under its title."""
    print(f"\n{title}\n{table.round(digits).to_string()}")


if __name__ == "__main__":
    main()
