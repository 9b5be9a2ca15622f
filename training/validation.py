"""Losses of one model over validation, on data that end where the test period begins.

The panel is cut before a feature, a target or a fit is computed. Nothing here has ever seen the
test period, and nothing computed here can.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..backtest import brier_loss, diebold_mariano, fz0_loss, qlike_loss
from ..errors import InputError
from ..features import History, build_history
from ..markets import Panel
from ..models import TAIL_PROBABILITIES, Forecaster
from .backends import Execution
from .experiment import Experiment
from .forecasting import calibrated
from .preparation import default_horizons, feature_names, load_market
from .split import Split, drop_short, make_split
from .tables import forecasts_table
from .tune_config import TuneMetric
from .walk_forward import walk_forward

MIN_ORIGINS = 100
"""Fewest origins of validation that carry a comparison."""

_KEYS = ["horizon", "origin", "instrument"]
_SIDES = {"lower": -1.0, "upper": 1.0}  # and the sign that makes a loss positive
_PERCENT = 100.0  # FZ0 is quoted for percent returns


@dataclass(frozen=True, kw_only=True, eq=False)
class Validation:
    """What a search may look at.

    Attributes
    ----------
    experiment : Experiment
        What is tuned.
    panel : Panel
        Ends before the first origin of the test period.
    history : History
        Of that panel.
    split : Split
        Where forecasts and validation begin; the test begins where the panel ends.
    notes : tuple of str
        Instruments left out.
    """

    experiment: Experiment
    panel: Panel
    history: History
    split: Split
    notes: tuple[str, ...]

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """First and last origin of validation, UTC."""
        first, last = self.panel.time[self.split.validation_row], self.panel.time[-1]
        return pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC")


def prepare_validation(experiment: Experiment) -> Validation:
    """Load the data of an experiment and cut off the test period.

    Raises
    ------
    InputError
        If the data or the experiment cannot be used, or validation is too short.
    """
    panel, notes = drop_short(load_market(experiment))
    split = make_split(panel, experiment.split)
    known = panel.upto(split.test_row)
    if split.test_row - split.validation_row < MIN_ORIGINS:
        raise InputError(
            f"validation must hold {MIN_ORIGINS} origins, found "
            f"{split.test_row - split.validation_row}; set split.validation_from earlier"
        )
    horizons = sorted(set(experiment.forecast.horizons or default_horizons(panel)))
    names = feature_names(known, experiment)
    return Validation(
        experiment=experiment,
        panel=known,
        history=build_history(known, horizons=horizons, features=names),
        split=split,
        notes=notes,
    )


def validation_losses(
    validation: Validation, forecaster: Forecaster, metric: TuneMetric, *, execution: Execution
) -> pd.Series:
    """Walk one model forward and return its loss in every row of validation.

    Returns
    -------
    pandas.Series of float
        Index: horizon, origin, instrument; the rows in which the model has a forecast and the
        outcome was known before the test period.
    """
    history, split = validation.history, validation.split
    # Tails and probabilities are calibrated on earlier forecasts; a variance needs none.
    alone = metric is TuneMetric.QLIKE
    first_row = split.validation_row if alone else split.forecast_row
    walked = walk_forward(
        history,
        [forecaster],
        first_row=first_row,
        seed=validation.experiment.seed,
        schedule=validation.experiment.schedule(),
        execution=execution,
    )
    forecast = walked.forecasts[forecaster.name]
    if not alone:
        forecast = calibrated(forecast, history, first_row=first_row)
    table = forecasts_table([forecast], history, first_row=first_row, from_row=split.validation_row)
    return _losses(table, metric).sort_index()


def compare_losses(losses: pd.Series, base: pd.Series) -> pd.DataFrame:
    """Compare two models on the rows that they share.

    Returns
    -------
    pandas.DataFrame
        One row per horizon: ``n`` rows, ``loss`` and ``base_loss``, their means, and
        ``dm_p_value`` of the Diebold-Mariano test on means per origin, two-sided.
    """
    both = pd.DataFrame({"loss": losses, "base_loss": base}).dropna()
    found = []
    for horizon, rows in both.groupby(level="horizon"):
        per_origin = rows.groupby(level="origin").mean()
        test = diebold_mariano(per_origin.loss, per_origin.base_loss, horizon=int(str(horizon)))
        found.append(
            {"horizon": horizon, "n": len(rows), **rows.mean(), "dm_p_value": test.p_value}
        )
    return pd.DataFrame(found)


def overall_p_value(losses: pd.Series, base: pd.Series) -> float:
    """Return the Diebold-Mariano p-value of the mean over all horizons, two-sided, 0 to 1."""
    both = pd.DataFrame({"loss": losses, "base_loss": base}).dropna()
    # One number per origin and model: the mean over instruments, then over horizons.
    by_horizon = both.groupby(level=["origin", "horizon"]).mean().reset_index("horizon")
    complete = by_horizon.groupby("origin").horizon.transform("size") == len(
        by_horizon.horizon.unique()
    )
    per_origin = by_horizon[complete].groupby("origin").mean()
    longest = int(by_horizon.horizon.max())
    return diebold_mariano(per_origin.loss, per_origin.base_loss, horizon=longest).p_value


def _losses(table: pd.DataFrame, metric: TuneMetric) -> pd.Series:
    if metric is TuneMetric.QLIKE:
        used = table[(table.realized_variance > 0.0) & table.variance.notna()]
        values = qlike_loss(used.realized_variance, used.variance)
    elif metric is TuneMetric.BRIER:
        used = table[table.stress.notna() & table.stress_probability.notna()]
        values = brier_loss(used.stress, used.stress_probability)
    else:
        tail = TAIL_PROBABILITIES[0]
        columns = [f"{kind}_{side}_{tail:g}" for kind in ("var", "es") for side in _SIDES]
        used = table[table[["log_return", *columns]].notna().all(axis=1)]
        sides = [_fz0(used, side, sign, tail) for side, sign in _SIDES.items()]
        values = np.mean(sides, axis=0)
    return pd.Series(values, index=pd.MultiIndex.from_frame(used[_KEYS]), name=str(metric))


def _fz0(table: pd.DataFrame, side: str, sign: float, tail: float) -> NDArray[np.float64]:
    return fz0_loss(
        _PERCENT * sign * table.log_return,
        _PERCENT * table[f"var_{side}_{tail:g}"],
        _PERCENT * table[f"es_{side}_{tail:g}"],
        tail_probability=tail,
    )
