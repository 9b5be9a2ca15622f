"""Where forecasts, validation and test begin, as rows of a panel."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from ..errors import InputError, NotEnoughHistoryError
from ..markets import Panel
from .experiment import SplitConfig

MIN_SESSIONS = 500
"""Fewest trading days of an instrument that takes part in a run over daily periods."""

MIN_INTRADAY_SESSIONS = 250
"""The same where a trading day holds several periods, so that there are at least 500 of them."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Panel rows at which the parts of a walk-forward run begin.

    Attributes
    ----------
    forecast_row, validation_row, test_row : int
        First origins of the forecasts, of validation and of the test; increasing.
    """

    forecast_row: int
    validation_row: int
    test_row: int


def make_split(panel: Panel, config: SplitConfig) -> Split:
    """Turn dates and shares into rows.

    Raises
    ------
    InputError
        If the parts are not in order or one of them is empty.
    """
    rows = [
        _row(panel, config.forecast_from, config.forecast_share),
        _row(panel, config.validation_from, config.validation_share),
        _row(panel, config.test_from, config.test_share),
    ]
    if not 0 < rows[0] < rows[1] < rows[2] < panel.n_periods:
        when = [str(panel.time[min(row, panel.n_periods - 1)])[:16] for row in rows]
        raise InputError(
            "history, forecasts, validation and test must follow one another within "
            f"{str(panel.time[0])[:10]} to {str(panel.time[-1])[:10]}; forecasts would begin at "
            f"{when[0]}, validation at {when[1]} and the test at {when[2]}: set "
            "split.forecast_from, split.validation_from and split.test_from"
        )
    return Split(forecast_row=rows[0], validation_row=rows[1], test_row=rows[2])


def _row(panel: Panel, day: date | None, share: float) -> int:
    """First row whose period ends after the day has begun."""
    if day is not None:
        return int(np.searchsorted(panel.time, np.datetime64(pd.Timestamp(day)), side="right"))
    # Shares are of the periods and not of the calendar, so that no part is empty.
    return int(share * panel.n_periods)


def drop_short(panel: Panel) -> tuple[Panel, tuple[str, ...]]:
    """Leave out instruments with too little history; say which.

    Returns
    -------
    panel : Panel
        With the others.
    notes : tuple of str
        One sentence for each that was left out.

    Raises
    ------
    NotEnoughHistoryError
        If none has enough.
    """
    needed = np.where(panel.periods_per_session > 1, MIN_INTRADAY_SESSIONS, MIN_SESSIONS)
    # Whole trading days only: 249.6 of them are not 250, in the comparison or in the message.
    whole = panel.present.sum(axis=0) // panel.periods_per_session
    rows = list(zip(panel.instruments, whole, needed, strict=True))
    kept = [name for name, have, least in rows if have >= least]
    notes = tuple(
        f"{name} has {have} trading days and was left out: {least} are needed"
        for name, have, least in rows
        if have < least
    )
    if not kept:
        raise NotEnoughHistoryError(
            f"at least one instrument must have {needed.min()} trading days; found "
            + ", ".join(f"{name} {have}" for name, have, _ in rows)
        )
    return (panel if len(kept) == panel.n_instruments else panel.select(kept)), notes
