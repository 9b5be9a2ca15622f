"""Coverage by volatility: a margin that is right on average may be wrong when it matters."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .cells import Cells
from .replay import Replay

N_QUINTILES = 5


def quintile_table(replayed: Replay, cells: Cells) -> pd.DataFrame:
    """Return the breach rate of every policy per quintile of volatility at the origin.

    The volatility is that of the last week before the origin; quintiles are taken within each
    instrument and over the test period (Schmitt 2026 groups alike).

    Returns
    -------
    pandas.DataFrame
        One row per policy; columns ``q1`` (calmest) to ``q5``, fractions, and
        ``largest_deviation``, the largest distance of the five from the tail probability.
    """
    quintile = _quintile(replayed, cells)
    tail = replayed.market.tail_probability
    rows = {}
    for name in cells.policies:
        breach = cells.loss > cells.of(name)
        rates = np.array([_rate(breach[quintile == q]) for q in range(N_QUINTILES)])
        rows[name] = {
            **{f"q{q + 1}": rate for q, rate in enumerate(rates)},
            "largest_deviation": float(np.nanmax(np.abs(rates - tail))),
        }
    return pd.DataFrame(rows).T.rename_axis("policy")


def _rate(breach: NDArray[np.bool_]) -> float:
    return float(breach.mean()) if len(breach) else float("nan")


def _quintile(replayed: Replay, cells: Cells) -> NDArray[np.intp]:
    """Return the quintile, 0 to 4, of every cell."""
    week = replayed.market.history.features.column("log_variance_week")
    at_origin = week[replayed.market.first_row :][cells.origin, cells.instrument]
    out = np.zeros(len(cells.loss), dtype=np.intp)
    for i in np.unique(cells.instrument):
        rows = cells.instrument == i
        edges = np.nanquantile(at_origin[rows], np.arange(1, N_QUINTILES) / N_QUINTILES)
        out[rows] = np.searchsorted(edges, at_origin[rows])
    return np.minimum(out, N_QUINTILES - 1)
