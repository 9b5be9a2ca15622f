"""Probabilities of stress on real data: skill, onsets and calibration, with what each part adds.

The tables of the guide's page on stress. Two tasks: the S&P 500's variance of the next five days
(2006-02 to 2018-04, and what came after), and the illiquidity and variance of the next day of
fourteen crypto markets (2024-01 to 2025-06). Everything was chosen on earlier data. The data are
read from the folder that FOREMARGIN_DATA names; without it nothing is run. Two minutes.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr
from sklearn.linear_model import LogisticRegression

from foremargin.backtest import (
    bootstrap_interval,
    brier_loss,
    brier_skill_score,
    expected_calibration_error,
    log_loss,
    pr_auc,
)
from foremargin.calibrate import (
    Calibration,
    with_calibrated_probabilities,
    with_stress_probability,
)
from foremargin.features import History, Measures, build_history
from foremargin.markets import load_panel
from foremargin.models import Ewma, Forecast, Forecaster, LogHar, PooledHar, PooledStress
from foremargin.training.walk_forward import walk_forward

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]

SEED = 20
REFIT_ROWS = 63  # of the baselines, own periods
MEAN_BLOCK, DRAWS = 20.0, 500  # of the bootstrap over origins
_FLOOR = 1e-4  # of a probability before its logarithm is taken


@dataclass(frozen=True, kw_only=True)
class Task:
    """One label of one panel over one test period.

    Attributes
    ----------
    history : History
        With the horizon; starts long before the period.
    label : str
        ``stress`` or ``liquidity_stress``.
    horizon : int
        Own periods.
    forecast_from, test_from, test_to : str
        First forecast (earlier ones teach the calibration), first and last origin that is judged.
    """

    history: History
    label: str
    horizon: int
    forecast_from: str
    test_from: str
    test_to: str

    def row(self, date: str) -> int:
        """Panel row at whose close that day ends."""
        close = np.datetime64(date) + np.timedelta64(1, "D")
        return int(np.searchsorted(self.history.panel.time, close))

    @property
    def first_row(self) -> int:
        """Panel row of the first forecast."""
        return self.row(self.forecast_from)

    def of(self, name: str) -> Array:
        """Return a target of the first forecast and later, shape (n_origins, n_instruments)."""
        targets = self.history.targets
        values: Array = getattr(targets, name)[self.first_row :, :, targets.at(self.horizon)]
        return values

    def judged(self, *probabilities: Array) -> tuple[slice, Rows, Rows]:
        """Return the test rows, and where in them all probabilities are known: all, onsets."""
        first = self.row(self.test_from) - self.first_row
        inside = slice(first, self.row(self.test_to) + 1 - self.first_row)
        known = np.isfinite(self.of(self.label)) & np.isfinite(self.of(f"{self.label}_now"))
        for probability in probabilities:
            known &= np.isfinite(probability)
        calm = known & (self.of(f"{self.label}_now") == 0.0)
        return inside, known[inside], calm[inside]

    def scores(self, probability: Array, *, against: Array | None = None) -> dict[str, object]:
        """Return the line of one model; `against` is what its onset PR-AUC is compared with."""
        others = [] if against is None else [against]
        rows, known, calm = self.judged(probability, *others)
        event, said = self.of(self.label)[rows], np.clip(probability[rows], _FLOOR, 1.0 - _FLOOR)
        line: dict[str, object] = {
            "n": int(known.sum()),
            "Brier": brier_loss(event[known], said[known]).mean(),
            "skill": brier_skill_score(event[known], said[known]),
            "log loss": log_loss(event[known], said[known]).mean(),
            "PR-AUC": pr_auc(event[known], said[known]),
            "onset PR-AUC": pr_auc(event[calm], said[calm]),
            "ECE, points": 100.0 * expected_calibration_error(event[known], said[known]),
            "onset ECE": 100.0 * expected_calibration_error(event[calm], said[calm]),
        }
        if against is not None:
            line |= _bootstrap(event, said, against[rows], calm)
        return line


def _bootstrap(event: Array, said: Array, other: Array, calm: Rows) -> dict[str, str]:
    """Intervals (95 %) of the onset PR-AUC and of its distance to that of another model."""

    def gain(*arrays: Array) -> float:
        happened, ours, theirs, used = (np.asarray(array) for array in arrays)
        used = used.astype(bool)
        first = pr_auc(happened[used], ours[used])
        return first if np.isnan(theirs).all() else first - pr_auc(happened[used], theirs[used])

    text = []
    for theirs in (np.full(other.shape, np.nan), other):
        interval = bootstrap_interval(
            gain,
            *(event, said, theirs, calm.astype(float)),
            confidence_level=0.95,
            mean_block=MEAN_BLOCK,
            n_resamples=DRAWS,
            rng=np.random.default_rng(SEED),
        )
        text.append(f"{interval.low:+.3f} .. {interval.high:+.3f}")
    return {"interval": text[0], "gain on baseline": text[1]}


def sp500(folder: Path) -> History:
    """S&P 500: realised variance of five minutes, close-to-close return, VIX; 2000 to 2020-03."""
    source = folder / "realized"
    five = pd.read_parquet(source / "spx_oxfordman_rv5_2000_2020.parquet")
    ten = pd.read_parquet(source / "spx_oxfordman_rv10_bv_2000_2021.parquet")
    days = five.merge(ten[["date", "ret_pct"]], on="date", how="left")
    sessions = 252.0  # of the year in which the file states VIX per day
    table = pd.DataFrame(
        {
            "date": days.date,
            "log_return": (days.ret_pct / 100.0).fillna(days.open_to_close_logret),
            "rv5": days.rv5,
            "implied_vol": days.vix_daily_scaled * np.sqrt(sessions),
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        table.to_parquet(Path(scratch) / "SP500.parquet")
        return build_history(load_panel(scratch, period="1D"), horizons=[5])


def crypto(folder: Path) -> History:
    """Eight perpetuals and six spot markets; those of one coin under two names."""
    with tempfile.TemporaryDirectory() as scratch:
        for kind, suffix in (("perp", ""), ("spot", "-SPOT")):
            for path in sorted((folder / f"{kind}_klines_1h").glob("*.parquet")):
                shutil.copy(path, Path(scratch) / f"{path.stem}{suffix}.parquet")
        return build_history(load_panel(scratch, period="1D"), horizons=[1, 5])


def lognormal_baseline(task: Task) -> Array:
    """Return the baseline of the S&P 500: a lognormal law around a log-LHAR with VIX."""
    m = Measures(panel=task.history.panel)
    falls = [np.minimum(m.mean(m.log_return, periods=k), 0.0) for k in (1, 5, 22)]
    har = [np.log(m.mean(m.variance, periods=k)) for k in (1, 5, 22)]
    x = np.stack([*har, *falls, np.log(m.field("implied_vol"))], axis=-1)[:, 0]
    y = np.log(task.history.targets.variance[:, 0, 0])
    needed = np.log(task.history.targets.stress_threshold[:, 0, 0])
    out = np.full(len(y), np.nan)
    for start in range(task.first_row, len(y), REFIT_ROWS):
        past, now = slice(0, start + 1 - task.horizon), slice(start, start + REFIT_ROWS)
        known = np.isfinite(x[past]).all(axis=1) & np.isfinite(y[past])
        terms = np.column_stack([np.ones(len(x)), x])
        fit = np.linalg.lstsq(terms[past][known], y[past][known])[0]
        spread = (y[past][known] - terms[past][known] @ fit).std()
        out[now] = ndtr((terms[now] @ fit - needed[now]) / spread)
    return out[task.first_row :, None]


def logit_baseline(task: Task) -> Array:
    """Return the baseline of liquidity: a logit of illiquidity, volatility, volume, weekday."""
    features = task.history.features
    names = ("log_variance_last", "log_variance_week", "log_variance_month", "volume_ratio")
    m = Measures(panel=task.history.panel)
    prepared = build_history(
        task.history.panel,
        horizons=[task.horizon],
        features=["illiquidity_last", "illiquidity_week", "illiquidity_week_ago"],
    ).features
    weekday = m.slot_of_next() // 24
    x = np.concatenate(
        [
            prepared.values,
            (
                prepared.column("illiquidity_last")
                - task.history.targets.illiquidity_threshold[..., 0]
            )[..., None],
            np.stack([features.column(name) for name in names], axis=-1),
            (weekday[..., None] == np.arange(1, 7)).astype(float),
        ],
        axis=-1,
    )
    k = task.history.targets.at(task.horizon)
    y, known_at = (
        task.history.targets.liquidity_stress[..., k],
        task.history.targets.known_at[..., k],
    )
    usable, out = np.isfinite(x).all(axis=-1), np.full(y.shape, np.nan)
    for start in range(task.first_row, len(y), REFIT_ROWS):
        past = usable & np.isfinite(y) & (known_at <= start)
        centre, spread = x[past].mean(axis=0), x[past].std(axis=0)
        fit = LogisticRegression(max_iter=500).fit((x[past] - centre) / spread, y[past])
        now = np.zeros_like(usable)
        now[start : start + REFIT_ROWS] = usable[start : start + REFIT_ROWS]
        out[now] = expit((x[now] - centre) / spread @ fit.coef_[0] + fit.intercept_[0])
    return out[task.first_row :]


def forecasts(task: Task, forecaster: Forecaster) -> Forecast:
    """Walk forward; fill the stress probability where the model has none of its own."""
    walked = walk_forward(task.history, [forecaster], first_row=task.first_row, seed=SEED)
    forecast = walked.forecasts[forecaster.name]
    return with_stress_probability(forecast, task.history, first_row=task.first_row)


def probability(task: Task, forecast: Forecast, method: Calibration | None = None) -> Array:
    """Return the probability of the task's label, calibrated if a method is named."""
    if method is not None:
        forecast = with_calibrated_probabilities(
            forecast, task.history, first_row=task.first_row, method=method
        )
    array = getattr(forecast, f"{task.label}_probability")
    chosen: Array = array[..., task.history.targets.at(task.horizon)]
    return chosen


def without(names: Sequence[str], *starts: str) -> tuple[str, ...]:
    """Drop the names that begin with one of `starts`."""
    return tuple(name for name in names if not name.startswith(starts))


def show(title: str, lines: Mapping[str, Mapping[str, object]]) -> None:
    """Print one table."""
    table = pd.DataFrame(list(lines.values()), index=list(lines))
    print(f"\n{title}\n")
    formats = {"ECE, points": "{:.2f}", "onset ECE": "{:.2f}"}
    for name in table.columns:
        form = formats.get(name, "{:.4f}" if table[name].dtype == np.float64 else "{}")
        table[name] = [
            "" if pd.isna(value) else form.format(value) for value in table[name].tolist()
        ]
    print(table.to_string(justify="right"))


def ablation(task: Task, baseline: Array, parts: Mapping[str, PooledStress]) -> None:
    """Print the model, its calibrations, and what it is without each part."""
    whole = forecasts(task, PooledStress())
    lines = {"baseline": task.scores(baseline)}
    lines["stress-pooled"] = task.scores(probability(task, whole), against=baseline)
    for method in Calibration:
        lines[f"  {method.value}"] = task.scores(probability(task, whole, method))
    for name, forecaster in parts.items():
        lines[f"  without {name}"] = task.scores(probability(task, forecasts(task, forecaster)))
    period = f"{task.test_from} to {task.test_to}"
    show(f"{task.label}, {task.horizon} ahead, {period}", lines)


def all_models(task: Task) -> None:
    """Print every quick model with and without calibration."""
    lines = {}
    for forecaster in (PooledStress(), PooledHar(), LogHar(), Ewma(decay=0.94)):
        forecast = forecasts(task, forecaster)
        lines[forecaster.name] = task.scores(probability(task, forecast))
        calibrated = probability(task, forecast, Calibration.BETA)
        lines[f"{forecaster.name}, calibrated"] = task.scores(calibrated)
    period = f"{task.test_from} to {task.test_to}"
    show(f"{task.label}, {task.horizon} ahead, {period}: all models", lines)


def main() -> None:
    """Run both tasks."""
    folder = os.environ.get("FOREMARGIN_DATA")
    if not folder:
        print("FOREMARGIN_DATA names no folder of market data: nothing is run")
        return
    spec = PooledStress()
    variance, illiquidity = spec.variance_features, spec.illiquidity_features
    equal_size = PooledStress(size_penalty=1e12)

    history = sp500(Path(folder))
    task = Task(
        history=history,
        label="stress",
        horizon=5,
        forecast_from="2002-01-02",
        test_from="2006-02-01",
        test_to="2018-04-20",
    )
    parts = {
        "changes of VIX": PooledStress(variance_features=without(variance, "implied_")),
        "VIX": PooledStress(variance_features=without(variance, "implied_", "log_implied")),
        "falls": PooledStress(variance_features=without(variance, "fall_")),
        "sizes of errors": equal_size,
    }
    ablation(task, lognormal_baseline(task), parts)
    all_models(task)
    all_models(replace(task, test_from="2018-05-01", test_to="2020-03-20"))

    history = crypto(Path(folder))
    period = {"forecast_from": "2021-06-01", "test_from": "2024-01-01", "test_to": "2025-06-29"}
    task = Task(history=history, label="liquidity_stress", horizon=1, **period)
    parts = {
        "ranges": PooledStress(illiquidity_features=without(illiquidity, "range_")),
        "half-lives": PooledStress(
            illiquidity_features=(
                "illiquidity_last",
                "illiquidity_week_ago",
                "range_illiquidity_last",
            )
        ),
        "sizes of errors": equal_size,
    }
    ablation(task, logit_baseline(task), parts)
    for horizon in (1, 5):
        all_models(Task(history=history, label="stress", horizon=horizon, **period))


if __name__ == "__main__":
    main()
