"""Realised-variance regressions on two published data sets, and what each part of them is worth.

Out of sample, expanding window, QLIKE of the mean variance of the next days; fits are renewed every
ten trading days. The S&P 500 data of Bollerslev, Patton and Quaedvlieg (2016) have no prices, so
that a panel is built here from their measures: a model sees no return in them. Their quarticity is
on a scale of its own and is put on that of the squared variance by its first 1,000 days. The SPX
data are those of the Oxford-Man library, 2000 to 2019.

The first table repeats known figures with plain numpy (lags of 1, 5 and 22 days, fits renewed every
day), to show that the protocol is the same. Needs FOREMARGIN_DATA; some minutes on one core.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foremargin.features import History, build_history
from foremargin.markets import SESSIONS_PER_YEAR, Panel, load_panel
from foremargin.models import (
    QLIKE_PRIOR,
    CombinedHar,
    ExtendedHar,
    Forecaster,
    LevelForm,
    LevelHar,
    LogHar,
    PooledHar,
    fit_block,
)
from foremargin.models.regressions.terms import (
    EXPONENTIAL_TERMS,
    LEVERAGE_TERMS,
    MARKET_TERMS,
    MEASUREMENT_TERMS,
    SEASON_TERMS,
)
from foremargin.training import stream

Array = NDArray[np.float64]

FIRST_SP500, FIRST_SPX = 1_000, 1_022  # observation of the first outcome, counted from zero
REFIT_ROWS = 10
RICH = ("core", "news", "measurement")  # what pooled regressions see in the tables
_DAYS_OF_SCALE = 1_000


def main() -> None:
    """Print the tables."""
    folder = Path(os.environ.get("FOREMARGIN_DATA", ""))
    if not (folder / "realized").is_dir():
        print("FOREMARGIN_DATA must name a folder with realized/*.parquet; found none, no tables")
        return
    sp500 = sp500_panel(folder)
    spx = load_panel(folder / "realized" / "spx_oxfordman_full_2000_2019.parquet")
    print_reproduction(sp500, spx)
    data = {
        "S&P 500": (build_history(sp500, horizons=[1], features=RICH), FIRST_SP500),
        "SPX": (build_history(spx, horizons=[1, 5, 22], features=RICH), FIRST_SPX),
        "SPX+VIX": (
            build_history(with_vix(spx, folder), horizons=[1, 5, 22], features=RICH),
            FIRST_SPX,
        ),
    }
    print_table("Models", models(), data)
    print_table("What each part is worth", ablation(), data)


def sp500_panel(folder: Path) -> Panel:
    """Build a panel without prices from the measures of the HARQ paper, percent squared."""
    table = pd.read_parquet(folder / "realized" / "sp500_harq_1997_2013.parquet")
    names = ("rv", "bpv", "rvn", "rvp")
    variance, bipower, falls, rises = (table[name].to_numpy()[:, None] / 1e4 for name in names)
    quarticity = table["rq"].to_numpy()[:, None]
    head = slice(_DAYS_OF_SCALE)
    unknown = np.full(variance.shape, np.nan)
    return Panel(
        time=_days(table["date"]) + np.timedelta64(1, "D"),
        period=pd.Timedelta(days=1),
        instruments=("SP500",),
        close=unknown,
        log_return=unknown,
        missing=np.zeros(variance.shape, dtype=np.int8),
        periods_per_year=np.array([SESSIONS_PER_YEAR]),
        fields={
            "realized_variance": variance,
            "bipower_variance": bipower,
            "semivariance_negative": falls,
            "semivariance_positive": rises,
            "realized_quarticity": quarticity
            * (variance[head] ** 2).mean()
            / quarticity[head].mean(),
        },
    )


def _days(dates: pd.Series) -> NDArray[np.datetime64]:
    return np.asarray(dates.dt.tz_localize(None), dtype="datetime64[ns]")


def with_vix(panel: Panel, folder: Path) -> Panel:
    """Add the VIX of the same day, decimal per year."""
    vix = pd.read_parquet(folder / "vix_daily.parquet")
    closes = pd.Series(vix["close"].to_numpy(), index=_days(vix["date"]) + np.timedelta64(1, "D"))
    implied = closes.reindex(panel.time).to_numpy()[:, None] / 100.0
    return replace(panel, fields={**panel.fields, "implied_vol": implied})


def models() -> Iterator[tuple[str, Forecaster]]:
    """Yield every regression under its name."""
    for form in LevelForm:
        yield str(form), LevelHar(form=form)
    for forecaster in (
        LogHar(),
        ExtendedHar(),
        ExtendedHar(name="log-hexp-extended", core=EXPONENTIAL_TERMS),
        PooledHar(),
        PooledHar(qlike_prior=QLIKE_PRIOR),
        CombinedHar(),
    ):
        yield forecaster.name, forecaster


def ablation() -> Iterator[tuple[str, Forecaster]]:
    """Yield log-HAR and what is added to it, group after group."""
    returns = tuple(name for name in LEVERAGE_TERMS if not name.startswith(("semi", "signed")))
    signed = tuple(name for name in LEVERAGE_TERMS if name not in returns)
    groups = {
        "season": SEASON_TERMS,
        "returns": returns,
        "signed variance": signed,
        "jumps and noise": MEASUREMENT_TERMS,
        "market": MARKET_TERMS,
    }
    others: tuple[str, ...] = ()
    plain = ExtendedHar(name="plain", others=(), implied=False)
    yield "log-HAR, no level", plain
    for label, group in groups.items():
        others = (*others, *group)
        yield f"+ {label}", replace(plain, name=label, others=others)
    yield "+ implied", replace(plain, name="implied", others=others, implied=True)
    yield (
        "  without shrinkage",
        replace(plain, name="free", others=others, implied=True, penalty=1.0),
    )
    exponential = ExtendedHar(name="exponential", core=EXPONENTIAL_TERMS)
    yield "  exponential means", exponential
    yield "local members only", CombinedHar(members=(ExtendedHar(), exponential))


def print_table(
    title: str,
    rows: Iterator[tuple[str, Forecaster]],
    data: Mapping[str, tuple[History, int]],
) -> None:
    """Print the QLIKE of forecasters on every data set and horizon."""
    heads = [f"{name} {h}" for name, (history, _) in data.items() for h in history.horizons]
    print(f"\n{title}: QLIKE, days ahead")
    print(f"{'':<22}" + "".join(f"{head:>13}" for head in heads))
    for label, forecaster in rows:
        losses = [
            loss for history, first in data.values() for loss in qlike(forecaster, history, first)
        ]
        print(f"{label:<22}" + "".join(f"{loss:>13.4f}" for loss in losses), flush=True)


def qlike(forecaster: Forecaster, history: History, first: int) -> Array:
    """Return mean QLIKE per horizon of forecasts whose first outcome is observation `first`."""
    start, stop = first - 1, history.panel.n_periods
    variance = np.concatenate(
        [
            fit_block(
                forecaster,
                history,
                origins=slice(row, min(row + REFIT_ROWS, stop)),
                rng=stream(0, forecaster.name),
            ).forecast.variance
            for row in range(start, stop, REFIT_ROWS)
        ]
    )
    log_error = np.log(history.targets.variance[start:] / variance)
    return np.asarray(np.nanmean(np.exp(log_error) - log_error - 1.0, axis=(0, 1)))


def print_reproduction(sp500: Panel, spx: Panel) -> None:
    """Print known figures beside ours."""
    print("Known figures again: QLIKE, plain least squares, lags 1, 5 and 22, daily fits")
    variance = sp500.values("realized_variance")[:, 0] * 1e4
    terms = np.column_stack([_trailing(variance, window) for window in (1, 5, 22)])
    noisy = np.sqrt(sp500.values("realized_quarticity")[:, 0]) * variance
    for label, known, x, fit in (
        ("S&P 500 HAR", 0.14901, terms, _level_fit),
        ("S&P 500 HARQ", 0.13126, np.column_stack([terms, noisy]), _level_fit),
        ("S&P 500 log-HAR", 0.12455, np.log(terms), _log_fit),
    ):
        print(f"{label:<22}{known:>10.4f}{_expanding(variance, x, fit, 1, FIRST_SP500):>10.4f}")
    variance = spx.values("realized_variance")[:, 0] * 1e4
    terms = np.log(np.column_stack([_trailing(variance, window) for window in (1, 5, 22)]))
    for horizon, known in ((1, 0.2089), (5, 0.1752), (22, 0.2286)):
        loss = _expanding(variance, terms, _log_fit, horizon, FIRST_SPX)
        print(f"{f'SPX log-HAR {horizon}':<22}{known:>10.4f}{loss:>10.4f}")


def _trailing(values: Array, window: int) -> Array:
    return np.asarray(pd.Series(values).rolling(window).mean())


def _expanding(
    variance: Array, x: Array, fit: Callable[[Array, Array, Array], float], horizon: int, first: int
) -> float:
    y = np.roll(_trailing(variance, horizon), -horizon)
    losses = []
    for t in range(first - 1, len(y) - horizon):
        past = slice(21, t - horizon + 1)
        ratio = y[t] / fit(x[past], y[past], x[t])
        losses.append(ratio - np.log(ratio) - 1.0)
    return float(np.mean(losses))


def _solve(x: Array, y: Array) -> Array:
    design = np.column_stack([np.ones(len(x)), x])
    return np.asarray(np.linalg.solve(design.T @ design, design.T @ y))


def _level_fit(x: Array, y: Array, now: Array) -> float:
    b = _solve(x, y)
    forecast = float(b[0] + now @ b[1:])
    return forecast if y.min() <= forecast <= y.max() else float(y.mean())


def _log_fit(x: Array, y: Array, now: Array) -> float:
    b = _solve(x, np.log(y))
    error = np.log(y) - b[0] - x @ b[1:]
    return float(np.exp(b[0] + now @ b[1:] + 0.5 * error.var()))


if __name__ == "__main__":
    main()
