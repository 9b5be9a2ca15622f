"""Does a margin know the future? The policy is run again without it, and must say the same."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calibrate import MarginMarket, Policy
from ..errors import InputError


def audit_policies(
    market: MarginMarket, policies: Sequence[Policy], *, rows: Sequence[int]
) -> pd.DataFrame:
    """Cut the market off at some rows, and compare the margins up to there with the whole run's.

    What a policy sets up to a row may rest on what was known at its close and on nothing else, so
    that it must be the same, to the last bit, whatever came after. A policy that reads the loss of
    its own origin, a scale fitted on all rows or a ranking over the whole sample does not pass.
    It takes a run of every policy for every row. Forecasts are taken as given: whether *they* knew
    the future is for :func:`foremargin.features.audit_lookahead`.

    Parameters
    ----------
    market : MarginMarket
        What the policies are given.
    policies : sequence of Policy
        Which to audit.
    rows : sequence of int
        Panel rows to cut off after, from the first judged one on.

    Returns
    -------
    pandas.DataFrame
        One row per policy: ``compared``, margins up to the cuts; ``moved``, those that differ;
        ``clean``, whether none does.

    Raises
    ------
    InputError
        If there is no row, or one outside the judged ones.
    """
    last = market.history.panel.n_periods - 1
    if not len(rows) or min(rows) < market.first_row or max(rows) > last:
        raise InputError(
            f"rows must be panel rows from {market.first_row} to {last}, were {list(rows)}"
        )
    found = []
    for policy in policies:
        whole = policy.margin(market)
        moved = compared = 0
        for row in rows:
            cut = policy.margin(_upto(market, row + 1))
            differs = ~_same(cut, whole[: row + 1])
            moved, compared = moved + int(differs.sum()), compared + differs.size
        found.append(
            {"policy": policy.name, "compared": compared, "moved": moved, "clean": moved == 0}
        )
    return pd.DataFrame(found).set_index("policy")


def _upto(market: MarginMarket, stop: int) -> MarginMarket:
    return replace(
        market,
        history=market.history.upto(stop),
        variance={name: array[:stop] for name, array in market.variance.items()},
        liquidity_stress={name: array[:stop] for name, array in market.liquidity_stress.items()},
    )


def _same(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))
