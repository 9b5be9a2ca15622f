"""BTC and ETH by the hour: variance of the next hour and the next day against a seasonal log-HAR.

Perpetual futures of the data folder, hourly variances from their 15-minute bars, and once more from
their five-minute bars, which end a year earlier. Expanding windows, fits renewed every 28 days,
QLIKE on the rows that all models share, Diebold-Mariano tests of means per hour against the
baseline. The validation period is printed beside the test period: choices belong there.

The baseline is `SeasonalHar`, one log-HAR per instrument on variances without the season of the
hour of the week. Of the forms tried (hour of the day or of the week, means of logs or of ratios,
priors of 2 to 30 periods, floors of 0.5 to 5 %, more means, fits every day) it is the best at one
hour on the validation period, and within 1 % of the best at 24. `log-har-hours` is the same with
the season of the textbook, the hour of the day.

Needs FOREMARGIN_DATA; half a minute on one core. `--network` adds the regime network, which takes
longer; `--bars 15m` prints one of the two data sets.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foremargin.backtest import diebold_mariano
from foremargin.backtest.family_scores import qlike_per_row
from foremargin.backtest.side_by_side import Family, SideBySide, side_by_side
from foremargin.features import History, build_history
from foremargin.markets import load_panel
from foremargin.models import (
    QLIKE_PRIOR,
    CombinedHar,
    Distribution,
    Ewma,
    ExtendedHar,
    Forecast,
    Forecaster,
    Garch,
    LevelForm,
    LevelHar,
    LogHar,
    PooledHar,
    RegimeNetwork,
    Volatility,
)
from foremargin.models.forecast import empty_variance
from foremargin.models.regressions.log_regression import LogFit, fit_log_regression
from foremargin.training import forecasts_table, make_split, walk_forward
from foremargin.training.experiment import SplitConfig

Array = NDArray[np.float64]

HORIZONS = (1, 24)
_HOURS = 168  # of a week
_DAY = 24
_FOUR_WEEKS, _QUARTER = 672, 2_160  # hours


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Bars, and where the parts of the run begin."""

    bars: str
    forecast_from: date
    validation_from: date
    test_from: date

    @property
    def split(self) -> SplitConfig:
        """The parts, as an experiment has them."""
        return SplitConfig(
            forecast_from=self.forecast_from,
            validation_from=self.validation_from,
            test_from=self.test_from,
        )


DATA_SETS = (
    DataSet(
        bars="15m",
        forecast_from=date(2023, 7, 1),
        validation_from=date(2023, 10, 1),
        test_from=date(2024, 6, 1),
    ),
    DataSet(
        bars="5m",
        forecast_from=date(2023, 7, 1),
        validation_from=date(2023, 10, 1),
        test_from=date(2024, 1, 1),
    ),
)


@dataclass(frozen=True, kw_only=True)
class SeasonalHar:
    """A log-HAR of every instrument by itself, on variances divided by their intraday season.

    The season of an hour of the week is the mean of the log of variance over its trailing mean of
    four weeks, shrunk to that of the hour of the day; it is estimated afresh in every fit, on the
    fit's past. The log of the variance ahead over its season is regressed by least squares on the
    logs of the mean variances, without season, of the last hour, day and week. The bias of the log
    is corrected by the factor that is best for QLIKE on the past, as in all regressions here.

    Attributes
    ----------
    of_day : bool
        Whether a season of the hour of the day, the same every day, is all there is.
    prior : float
        Weight of the hour of the day in each hour of the week, periods.
    floor : float
        Variances are floored at this fraction of their mean before logs are taken.
    refit_days : int
        Calendar days between two fits.
    """

    of_day: bool = False
    prior: float = 8.0
    floor: float = 0.05
    refit_days: int = 28

    @property
    def name(self) -> str:
        """``log-har-season``, or ``log-har-hours``."""
        return "log-har-hours" if self.of_day else "log-har-season"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedSeasonalHar":
        """Estimate season and regression of every instrument."""
        slot = _hour_of_week(history.panel.time)
        season, fits = {}, {}
        for i, instrument in enumerate(history.panel.instruments):
            variance = history.features.variance[:, i]
            season[instrument] = own = self._season(variance, slot)
            x = self.terms(variance / own[slot])
            for k, horizon in enumerate(history.horizons):
                ratio = history.targets.variance[:, i, k] / _season_ahead(own, slot, horizon)
                y = np.log(np.maximum(ratio, self.floor * np.nanmean(ratio)))
                rows = np.isfinite(x).all(axis=1) & np.isfinite(y)
                fits[instrument, horizon] = fit_log_regression(
                    x[rows], y[rows], ratio=ratio[rows], penalty=0.0
                )
        return FittedSeasonalHar(spec=self, season=season, fits=fits)

    def _season(self, variance: Array, slot: NDArray[np.int64]) -> Array:
        """Factor of every hour of the week, shape (168,); their geometric mean is about one."""
        ratio = variance / _trailing(variance, _FOUR_WEEKS, least=_HOURS)
        deviation = np.log(np.maximum(ratio, self.floor))
        known = np.isfinite(deviation)
        deviation, slot = deviation[known] - deviation[known].mean(), slot[known]
        hour, one = slot % _DAY, np.ones(len(slot))
        of_day = np.tile(_sums(deviation, hour, _DAY) / _sums(one, hour, _DAY), 7)
        if self.of_day:
            return np.asarray(np.exp(of_day))
        count, total = _sums(one, slot, _HOURS), _sums(deviation, slot, _HOURS)
        return np.asarray(np.exp((total + self.prior * of_day) / (count + self.prior)))

    def terms(self, adjusted: Array) -> Array:
        """Log mean variances of the last hour, day and week, shape (n, 3); NaN while unknown."""
        floor = self.floor * _trailing(adjusted, _QUARTER, least=_DAY)
        means = [_trailing(adjusted, window, least=window) for window in (1, _DAY, _HOURS)]
        return np.log(np.maximum(np.column_stack(means), floor[:, None]))


@dataclass(frozen=True, kw_only=True)
class FittedSeasonalHar:
    """Season by instrument, regression by instrument and horizon."""

    spec: SeasonalHar
    season: Mapping[str, Array]
    fits: Mapping[tuple[str, int], LogFit]

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to note."""
        return ()

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Apply the regressions, and put the season of the hours ahead back."""
        panel, slot = history.panel, _hour_of_week(history.panel.time)
        origin = panel.time[origins]
        variance = empty_variance(len(origin), panel.n_instruments, len(history.horizons))
        for i, instrument in enumerate(panel.instruments):
            season = self.season[instrument]
            x = self.spec.terms(history.features.variance[:, i] / season[slot])[origins]
            for k, horizon in enumerate(history.horizons):
                ahead = _season_ahead(season, slot[origins], horizon)
                variance[:, i, k] = self.fits[instrument, horizon].predict(x) * ahead
        return Forecast(
            model=self.spec.name,
            origin=origin,
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=variance,
        )


def _hour_of_week(time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return the hour of the week, 0 to 167, of the hours that end at these times."""
    return np.asarray((time.astype("datetime64[h]").astype(np.int64) - 1) % _HOURS)


def _season_ahead(season: Array, slot: NDArray[np.int64], horizon: int) -> Array:
    """Sum of the season over the hours that follow each slot."""
    later = slot[:, None] + np.arange(1, horizon + 1)
    return np.asarray(season[later % _HOURS].sum(axis=1))


def _trailing(values: Array, window: int, *, least: int) -> Array:
    return np.asarray(pd.Series(values).rolling(window, min_periods=least).mean())


def _sums(values: Array, slot: NDArray[np.int64], n_slots: int) -> Array:
    return np.bincount(slot, weights=values, minlength=n_slots).astype(np.float64)


BASELINE = SeasonalHar()


def forecasters(*, network: bool) -> tuple[Forecaster, ...]:
    """Return the baseline and what is compared with it."""
    return (
        BASELINE,
        SeasonalHar(of_day=True),
        Ewma(decay=0.97),
        Garch(volatility=Volatility.GJR, distribution=Distribution.T),
        LevelHar(form=LevelForm.WLS),
        LogHar(),
        ExtendedHar(),
        PooledHar(),
        PooledHar(qlike_prior=QLIKE_PRIOR),
        CombinedHar(),
        *((RegimeNetwork(),) if network else ()),
    )


def print_data_set(folder: Path, data: DataSet, models: Sequence[Forecaster]) -> None:
    """Print validation and test of one set of bars."""
    panel = load_panel(str(folder / f"perp_klines_{data.bars}"), period="1h")
    split = make_split(panel, data.split)
    history = build_history(panel, horizons=HORIZONS)
    walked = walk_forward(history, models, first_row=split.forecast_row, seed=0)
    table = forecasts_table(
        list(walked.forecasts.values()),
        history,
        first_row=split.forecast_row,
        from_row=split.validation_row,
    )
    validation_from, test_from = (
        pd.Timestamp(panel.time[row], tz="UTC") for row in (split.validation_row, split.test_row)
    )
    for one in side_by_side(table, test_from=validation_from):
        rows = one.comparable(Family.VARIANCE)
        # An outcome that reaches into the test period is of neither.
        ended = rows.origin + one.horizon * panel.period.to_timedelta64()
        test = rows.origin >= panel.time[split.test_row]
        for label, used in (("validation", ended < panel.time[split.test_row]), ("test", test)):
            begin = validation_from if label == "validation" else test_from
            print(f"\n{data.bars} bars, {one.horizon} h ahead, {label} from {begin:%Y-%m-%d}")
            print(scores(rows.at(used)).to_string(float_format="{:.4f}".format), flush=True)


def scores(rows: SideBySide) -> pd.DataFrame:
    """QLIKE, ratio to the baseline and the p-value of no difference; pooled, then by instrument."""
    loss = qlike_per_row(rows)
    base = rows.models.index(BASELINE.name)
    mean, hourly = loss.mean(axis=1), rows.per_origin(loss)
    tests = [
        diebold_mariano(one, hourly[:, base], horizon=rows.horizon).p_value for one in hourly.T
    ]
    columns: dict[str, Array | float] = {
        "QLIKE": mean,
        "ratio": mean / mean[base],
        "DM p": np.array(tests),
    }
    for i, instrument in enumerate(rows.instruments):
        own = loss[:, rows.instrument == i].mean(axis=1)
        columns |= {instrument: own, f"{instrument} ratio": own / own[base]}
    columns["n"] = len(rows.origin)
    return pd.DataFrame(columns, index=list(rows.models)).sort_values("QLIKE")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="store_true", help="add the regime network")
    parser.add_argument("--bars", choices=[data.bars for data in DATA_SETS], help="only these")
    chosen = parser.parse_args()
    folder = os.environ.get("FOREMARGIN_DATA")
    if not folder or not Path(folder).is_dir():
        print("FOREMARGIN_DATA names no folder of market data: there is nothing to compare")
        return
    for data in DATA_SETS:
        if chosen.bars in (None, data.bars):
            print_data_set(Path(folder), data, forecasters(network=chosen.network))


if __name__ == "__main__":
    main()
