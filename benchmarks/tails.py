"""One per cent tails of the S&P 500: value at risk and expected shortfall of every family.

Close-to-close returns and ten-minute realised variances of the Oxford-Man library with the VIX,
in the folder that FOREMARGIN_DATA names. FZ0 in percent returns, lower side, one period ahead, and
the share of days with a larger loss. Two periods: 2006-02 to 2018-04, and 2018-05 to 2021-09.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foremargin.backtest import diebold_mariano, fz0_loss
from foremargin.calibrate import with_tails
from foremargin.features import History, build_history
from foremargin.markets import load_panel
from foremargin.models import (
    Distribution,
    Ewma,
    Forecast,
    Forecaster,
    Garch,
    RealizedGarch,
    TailHar,
    TailLaw,
    TailRecursion,
    Volatility,
)
from foremargin.training import walk_forward

Array = NDArray[np.float64]

TAIL = 0.01
FIRST_ROW = 500  # two years of history, and two of errors, before the first test period
WINDOW = 2_500  # past standardised returns of plain filtered historical simulation
MOST_HISTORY = 250  # of the historical simulation
REFIT = 21  # own periods between two fits of the plain regressions
PERIODS = (("2006-02-01", "2018-05-01"), ("2018-05-01", "2021-10-01"))

HAR = ("log_variance_last", "log_variance_week", "log_variance_month")
LEVERAGE = ("fall_last", "return_week")
IMPLIED = ("log_implied_variance",)
LINEAR = {
    "log-HAR": HAR,
    "log-HAR + leverage": (*HAR, *LEVERAGE),
    "log-HAR + VIX": (*HAR, *IMPLIED),
    "log-HAR + leverage + VIX": (*HAR, *LEVERAGE, *IMPLIED),
}
"""The best linear family: least squares on log variances, plain filtered historical simulation."""

FORECASTERS: tuple[Forecaster, ...] = (
    Ewma(decay=0.94),
    Garch(volatility=Volatility.GARCH, distribution=Distribution.NORMAL),
    Garch(volatility=Volatility.GJR, distribution=Distribution.T),
    RealizedGarch(),
    TailHar(),
    *(TailRecursion(law=law) for law in TailLaw),
)


@dataclass(frozen=True, kw_only=True)
class Tails:
    """Value at risk and expected shortfall of one method, percent, per own period."""

    value_at_risk: Array
    shortfall: Array


def load(folder: Path) -> History:
    """Join the VIX to the realised measures, and compute features and targets."""
    realized = pd.read_parquet(folder / "realized" / "spx_oxfordman_rv10_bv_2000_2021.parquet")
    vix = pd.read_parquet(folder / "vix_daily.parquet")[["date", "close"]]
    vix = vix.assign(implied_vol=vix.pop("close") / 100.0)
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "SPX.parquet"
        realized.merge(vix, on="date", how="left").to_parquet(path)
        panel = load_panel(str(path), period="1D")
    return build_history(panel, horizons=(1,))


def linear_sigma(history: History, rows: NDArray[np.intp], terms: Sequence[str]) -> Array:
    """Volatility of the next period by an expanding regression of its log variance, percent."""
    x = np.stack([history.features.column(term)[rows, 0] for term in terms], axis=1)
    x = np.column_stack([np.ones(len(x)), x])
    level = history.features.level[rows, 0]
    log_variance = history.features.column("log_variance_last")[rows, 0] + level
    y = np.append(log_variance[1:], np.nan) - level
    out = np.full(len(x), np.nan)
    start = int(np.searchsorted(rows, FIRST_ROW))
    for at in range(start, len(x), REFIT):
        known = np.arange(len(x)) < at  # the outcome of the last of them came at `at`
        known &= np.isfinite(x).all(axis=1) & np.isfinite(y)
        coefficient = np.linalg.lstsq(x[known], y[known], rcond=None)[0]
        block = slice(at, at + REFIT)
        out[block] = np.exp(0.5 * (x[block] @ coefficient + level[block]))
    return 100.0 * out


def plain_simulation(loss: Array, sigma: Array, *, window: int = WINDOW) -> Tails:
    """Return the empirical tail of the last known scores, times today's volatility."""
    score = loss / sigma
    tails = np.full((2, len(loss)), np.nan)
    for at in range(len(loss)):
        past = score[max(0, at - window) : at]
        past = past[np.isfinite(past)]
        if len(past) >= min(MOST_HISTORY, window):
            quantile = np.quantile(past, 1.0 - TAIL)
            tails[:, at] = sigma[at] * np.array([quantile, past[past >= quantile].mean()])
    return Tails(value_at_risk=tails[0], shortfall=tails[1])


def lower_tails(forecast: Forecast, rows: NDArray[np.intp]) -> Tails:
    """Take the rarest lower tail of a forecast of one instrument, in percent."""
    out = []
    for array in (forecast.value_at_risk_lower, forecast.expected_shortfall_lower):
        assert array is not None
        whole = np.full(FIRST_ROW + len(forecast.origin), np.nan)
        whole[FIRST_ROW:] = 100.0 * array[:, 0, 0, 0]
        out.append(whole[rows])
    return Tails(value_at_risk=out[0], shortfall=out[1])


def as_forecast(sigma: Array, history: History, rows: NDArray[np.intp]) -> Forecast:
    """Give a volatility the shape that the calibration takes."""
    whole = np.full(history.panel.n_periods, np.nan)
    whole[rows] = (sigma / 100.0) ** 2
    return Forecast(
        model="linear",
        origin=history.panel.time[FIRST_ROW:],
        instruments=history.panel.instruments,
        horizons=(1,),
        variance=whole[FIRST_ROW:, None, None],
    )


def all_tails(history: History, rows: NDArray[np.intp], loss: Array) -> dict[str, Tails]:
    """Compute the tails of every family; plain ones first."""
    out = {"HS-250": plain_simulation(loss, np.ones(len(loss)), window=MOST_HISTORY)}
    ours: dict[str, Tails] = {}
    for name, terms in LINEAR.items():
        sigma = linear_sigma(history, rows, terms)
        out[f"{name}, FHS"] = plain_simulation(loss, sigma)
        smooth = with_tails(as_forecast(sigma, history, rows), history, first_row=FIRST_ROW)
        ours[f"{name}, Pareto"] = lower_tails(smooth, rows)
    walked = walk_forward(history, FORECASTERS, first_row=FIRST_ROW, seed=0)
    for name, forecast in walked.forecasts.items():
        if forecast.value_at_risk_lower is None:
            whole = np.full(history.panel.n_periods, np.nan)
            whole[FIRST_ROW:] = 100.0 * forecast.sigma_horizon()[:, 0, 0]
            out[f"{name}, FHS"] = plain_simulation(loss, whole[rows])
        else:
            out[f"{name}, own"] = lower_tails(forecast, rows)
        smooth = with_tails(forecast, history, first_row=FIRST_ROW)
        ours[f"{name}, Pareto"] = lower_tails(smooth, rows)
    return {**out, **ours}


def table(tails: dict[str, Tails], loss: Array, used: NDArray[np.bool_]) -> pd.DataFrame:
    """Score the methods on the same days; ratio and test against the best linear with plain FHS."""
    used = used & np.isfinite(loss)
    for one in tails.values():
        used &= np.isfinite(one.value_at_risk)
    losses = {
        name: fz0_loss(
            loss[used], one.value_at_risk[used], one.shortfall[used], tail_probability=TAIL
        )
        for name, one in tails.items()
    }
    linear = [f"{name}, FHS" for name in LINEAR]
    best = min(linear, key=lambda name: float(losses[name].mean()))
    records = [
        {
            "method": name + (" *" if name == best else ""),
            "FZ0": values.mean(),
            "ratio": values.mean() / losses[best].mean(),
            "hits, %": 100.0 * (loss[used] > tails[name].value_at_risk[used]).mean(),
            "DM p": diebold_mariano(values, losses[best]).p_value,
            "n": int(used.sum()),
        }
        for name, values in losses.items()
    ]
    return pd.DataFrame(records).set_index("method")


def main() -> None:
    """Print both tables."""
    folder = os.environ.get("FOREMARGIN_DATA")
    if not folder or not Path(folder).is_dir():
        print("FOREMARGIN_DATA names no folder of market data: there is nothing to compare")
        return
    history = load(Path(folder))
    rows = np.flatnonzero(history.panel.present[:, 0])
    loss = -100.0 * history.targets.log_return[rows, 0, 0]
    tails = all_tails(history, rows, loss)
    origin = history.panel.time[rows]
    for begin, end in PERIODS:
        used = (origin >= np.datetime64(begin)) & (origin < np.datetime64(end))
        print(f"\nAfter origins from {begin} to {end}; * is the best linear with plain FHS")
        print(table(tails, loss, used).to_string(float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
