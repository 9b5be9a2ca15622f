"""What a scenario takes of an experiment: its dates, and the data up to its end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from ..backtest import CONTROL_POLICIES, Scenario, check_scenario
from ..backtest.replay import SCALED_REACTIVE
from ..errors import InputError
from .experiment import needs_predictive
from .preparation import Preparation
from .split import Split

VALIDATION_DAYS = 365
"""Calendar days of validation before the window."""

CALIBRATION_DAYS = 1_461
"""Calendar days of forecasts before validation: 1,000 trading days."""

LEAST_SESSIONS = 310
"""Trading days with forecasts before the window, of some instrument: 250 to calibrate, the rest to
compare costs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScenarioPreparation:
    """A checked experiment, cut for a scenario.

    Attributes
    ----------
    scenario : Scenario
        The window.
    whole : Preparation
        The experiment on all its data: fits are cut as it cuts them.
    cut : Preparation
        Data that end when the losses of the window are known; the split of the scenario.
    """

    scenario: Scenario
    whole: Preparation
    cut: Preparation


def prepare_scenario(prepared: Preparation, scenario: Scenario) -> ScenarioPreparation:
    """Cut an experiment for a scenario.

    Parameters
    ----------
    prepared : Preparation
        From :func:`prepare`.
    scenario : Scenario
        The window.

    Raises
    ------
    InputError
        If the window is not in the data, or too few forecasts can be made before it.
    """
    needs_predictive(prepared.experiment)
    panel, time = prepared.panel, prepared.panel.time
    check_scenario(scenario, time)
    window = scenario.rows(time)
    validation = _days_before(time, scenario.first, VALIDATION_DAYS)
    earliest = _days_before(time, scenario.first, VALIDATION_DAYS + CALIBRATION_DAYS)
    forecast_row = max(prepared.split.forecast_row, earliest)
    _check_forecasts(prepared, scenario, forecast_row=forecast_row, window=window)
    stop = _known_from(prepared, window)
    cut = replace(
        prepared,
        panel=panel.upto(stop),
        history=prepared.history.upto(stop),
        split=Split(
            forecast_row=forecast_row,
            validation_row=max(validation, forecast_row),
            test_row=window.start,
        ),
    )
    return ScenarioPreparation(scenario=scenario, whole=prepared, cut=cut)


def check_policies(prepared: Preparation, names: Sequence[str]) -> None:
    """Raise unless a replay of the experiment has policies of these names.

    Raises
    ------
    InputError
        If it lacks one.
    """
    everyone = (*prepared.experiment.policies(), *CONTROL_POLICIES)
    known = [*(policy.name for policy in everyone), SCALED_REACTIVE]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"--policy must name policies of the experiment, {known}; found {unknown}; add them "
            "to margin.policies or choose others"
        )


def _days_before(time: NDArray[np.datetime64], day: date, days: int) -> int:
    """First row that ends after the day that lies so many days before another one has begun."""
    start = np.datetime64(day - timedelta(days=days), "ns")
    return int(np.searchsorted(time, start, side="right"))


def _check_forecasts(
    prepared: Preparation, scenario: Scenario, *, forecast_row: int, window: slice
) -> None:
    panel = prepared.panel
    periods = panel.present[forecast_row : window.start].sum(axis=0)
    sessions = int((periods // panel.periods_per_session).max()) if len(periods) else 0
    if sessions < LEAST_SESSIONS:
        raise InputError(
            f"forecasts must begin {LEAST_SESSIONS} trading days before the window of "
            f"{scenario.name}, which is from {scenario.first}; those of the experiment begin on "
            f"{str(panel.time[prepared.split.forecast_row])[:10]}, {max(sessions, 0)} trading days "
            "before it: set split.forecast_from earlier in an experiment file, give data that "
            "begin earlier, or choose a later scenario"
        )


def _known_from(prepared: Preparation, window: slice) -> int:
    """Row after the one at whose close the losses of the window are known."""
    targets, n_periods = prepared.history.targets, prepared.panel.n_periods
    last = [targets.known_at[window, :, targets.at(h)] for h in prepared.margin_horizons]
    known = np.concatenate([rows[rows < n_periods] for rows in last])
    return max(int(window.stop), int(np.max(known, initial=0)) + 1)
