"""Two models on the rows that both have: mean losses, and whether the difference is chance."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..backtest import diebold_mariano
from ..backtest.family_scores import fewest_origins, fz0_per_row, qlike_per_row
from ..backtest.side_by_side import Family, SideBySide, side_by_side
from ..models import TAIL_PROBABILITIES


@dataclass(frozen=True, kw_only=True)
class Duel:
    """One loss over one horizon.

    Attributes
    ----------
    loss : str
        ``qlike_loss`` of the variance, or ``fz0_loss`` of the rarest tails, both sides, percent
        returns.
    horizon : int
        Own periods.
    n_rows, n_origins : int
        Rows that both models have, and the origins they belong to.
    mean, other_mean : float
        Mean losses of the two; NaN without rows.
    p_value : float
        Two-sided, of equal expected losses per origin (Diebold and Mariano); NaN with fewer than
        30 origins, or than three horizons.
    p_worse : float
        One-sided: small if the first is worse.
    """

    loss: str
    horizon: int
    n_rows: int
    n_origins: int
    mean: float
    other_mean: float
    p_value: float
    p_worse: float


def head_to_head(forecasts: pd.DataFrame, model: str, other: str) -> tuple[Duel, ...]:
    """Compare two models of a table over the horizons that both have.

    Parameters
    ----------
    forecasts : pandas.DataFrame
        Columns of ``forecasts.parquet``.
    model, other : str
        Names in the column ``model``.

    Returns
    -------
    tuple of Duel
        One per horizon and loss; none if one of them has no forecasts.
    """
    pair = forecasts[forecasts["model"].isin([model, other])]
    compared = side_by_side(pair, test_from=pair["origin"].min())
    common = [one for one in compared if len(one.models) == len({model, other})]
    return tuple(duel for one in common for duel in _duels(one, model, other))


def _duels(one: SideBySide, model: str, other: str) -> Iterator[Duel]:
    variance, tails = one.comparable(Family.VARIANCE), one.comparable(Family.TAILS)
    yield _duel("qlike_loss", variance, qlike_per_row(variance), model, other)
    rarest = fz0_per_row(tails, tail_probability=TAIL_PROBABILITIES[0])
    yield _duel("fz0_loss", tails, rarest, model, other)


def _duel(loss: str, rows: SideBySide, losses: NDArray[np.float64], model: str, other: str) -> Duel:
    both = {model, other} <= set(rows.models) and len(rows.origin) > 0
    if not both:
        nothing = {"mean": np.nan, "other_mean": np.nan, "p_value": np.nan, "p_worse": np.nan}
        return Duel(loss=loss, horizon=rows.horizon, n_rows=0, n_origins=0, **nothing)
    a, b = rows.models.index(model), rows.models.index(other)
    per_origin = rows.per_origin(losses)
    n_origins = len(per_origin)
    p_value = p_worse = np.nan
    if n_origins >= fewest_origins(rows.horizon):
        test = diebold_mariano(per_origin[:, a], per_origin[:, b], horizon=rows.horizon)
        p_value = test.p_value
        p_worse = p_value / 2.0 if test.statistic > 0.0 else 1.0 - p_value / 2.0
    return Duel(
        loss=loss,
        horizon=rows.horizon,
        n_rows=len(rows.origin),
        n_origins=n_origins,
        mean=float(losses[a].mean()),
        other_mean=float(losses[b].mean()),
        p_value=p_value,
        p_worse=p_worse,
    )
