"""Forecast skill from the table of forecasts alone, all models on the same rows."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import numpy as np
import pandas as pd

from ..errors import InputError
from .family_scores import Scores, event_scores, tail_scores, variance_scores
from .side_by_side import TERCILES, Family, SideBySide, side_by_side
from .state_scores import liquidity_cost_scores, regime_scores


class Grouping(StrEnum):
    """Which rows one score summarises."""

    POOLED = "pooled"
    INSTRUMENT = "instrument"
    TERCILE = "tercile"


_SCORE: dict[Family, Callable[[SideBySide], Scores]] = {
    Family.VARIANCE: variance_scores,
    Family.TAILS: tail_scores,
    Family.STRESS: lambda rows: event_scores(rows, Family.STRESS),
    Family.LIQUIDITY_STRESS: lambda rows: event_scores(rows, Family.LIQUIDITY_STRESS),
    Family.REGIME: regime_scores,
    Family.LIQUIDITY_COST: liquidity_cost_scores,
}


def score_forecasts(
    forecasts: pd.DataFrame, *, test_from: pd.Timestamp, by: Grouping = Grouping.POOLED
) -> pd.DataFrame:
    """Score every model and horizon on the rows that all models share.

    A row counts for a family of columns (variance, tails, stress, liquidity stress, regimes,
    liquidity cost) if its outcome is known and every model that takes part in the family has a
    forecast for it; QLIKE of a realised variance or cost of zero does not exist. A model with no
    such forecast at all does not take part: its scores of that family are NaN, and it costs the
    others no rows.

    Parameters
    ----------
    forecasts : pandas.DataFrame
        Columns of ``forecasts.parquet``.
    test_from : pandas.Timestamp
        First origin that is scored, UTC.
    by : Grouping
        All rows together; or one set of rows for each instrument, or for each tercile of
        volatility at the origin (see :class:`SideBySide`). Rows are shared first, then grouped.

    Returns
    -------
    pandas.DataFrame
        One row per horizon, group and model, best QLIKE first, models without a variance last:
        the columns that the guide on ``foremargin evaluate`` explains one by one, with the name
        of the group in ``instrument`` or ``tercile``.

    Raises
    ------
    InputError
        If no row can be scored.
    """
    return score_side_by_side(side_by_side(forecasts, test_from=test_from), by=by)


def score_side_by_side(
    compared: Sequence[SideBySide], *, by: Grouping = Grouping.POOLED
) -> pd.DataFrame:
    """Score models that are already side by side; see :func:`score_forecasts`.

    Parameters
    ----------
    compared : sequence of SideBySide
        From :func:`side_by_side`.
    by : Grouping
        Which rows one score summarises.

    Raises
    ------
    InputError
        If no row can be scored.
    """
    if not any(one.shared(Family.VARIANCE).any() for one in compared) and not any(
        one.shared(Family.TAILS).any() for one in compared
    ):
        raise InputError(
            "no row of the test period has a known outcome and a forecast of every model; give "
            "the models more history or move the test period"
        )
    return pd.concat([_score_horizon(one, by) for one in compared], ignore_index=True)


def _score_horizon(one: SideBySide, by: Grouping) -> pd.DataFrame:
    families = {family: one.comparable(family) for family in Family}
    tables = {}
    for name, position in _groups(one, by):
        group = {family: _of_group(rows, by, position) for family, rows in families.items()}
        tables[name] = _score_group(_of_group(one, by, position), group)
    # Without a group there is still a table, with all its columns and no rows.
    tables = tables or {"": _score_group(one, families).iloc[:0]}
    if by is not Grouping.POOLED:
        for name, table in tables.items():
            table.insert(0, by.value, name)
    joined = pd.concat(tables.values(), ignore_index=True)
    joined.insert(0, "horizon", one.horizon)
    return joined


def _groups(one: SideBySide, by: Grouping) -> Sequence[tuple[str, int]]:
    """Return the name and the position of every group."""
    if by is Grouping.INSTRUMENT:
        return [(one.instruments[i], int(i)) for i in np.unique(one.instrument)]
    if by is Grouping.TERCILE:
        return [(name, k) for k, name in enumerate(TERCILES) if (one.tercile == k).any()]
    return [("", 0)]


def _of_group(rows: SideBySide, by: Grouping, position: int) -> SideBySide:
    if by is Grouping.POOLED:
        return rows
    place = rows.instrument if by is Grouping.INSTRUMENT else rows.tercile
    return rows.at(place == position)


def _score_group(every: SideBySide, families: Mapping[Family, SideBySide]) -> pd.DataFrame:
    own = every.speaks(Family.VARIANCE) & every.known(Family.VARIANCE)
    table = pd.DataFrame({"n_own": own.sum(axis=1)}, index=list(every.models))
    for family, rows in families.items():
        count = "n" if family is Family.VARIANCE else f"n_{family}"
        n = np.full(len(rows.models), len(rows.origin))
        scores = pd.DataFrame({count: n, **_SCORE[family](rows)}, index=list(rows.models))
        table = table.join(scores)
    counts = [str(name) for name in table if str(name).split("_")[0] == "n"]
    table[counts] = table[counts].fillna(0.0).astype(np.int64)
    table = table.sort_values(["qlike_loss", "fz0_loss"], kind="stable")
    return table.rename_axis("model").reset_index()
