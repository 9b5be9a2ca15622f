"""What a clearing house publishes of its initial margin every quarter, for one policy.

In the spirit of section 6 of the public quantitative disclosure [1]_ (back-testing: observations,
breaches, achieved coverage against its target, mean and peak uncovered amount), with the measures
of margin responsiveness that were proposed later [2]_ (largest increases, peak to trough). A
clearing house counts accounts; here a case is one period, instrument and side.

References
----------
.. [1] CPMI-IOSCO (2015), "Public quantitative disclosure standards for central counterparties".
.. [2] BCBS, CPMI and IOSCO (2025), "Transparency and responsiveness of initial margin in centrally
   cleared markets".
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calibrate import SIDES
from ..errors import InputError
from .cells import Cells, make_cells
from .losses import shortfall
from .metrics import INCREASE_PERIODS
from .procyclicality import peak_to_trough
from .replay import Replay
from .verdict import Verdict

INCREASES = tuple(f"largest_increase_{periods}" for periods in INCREASE_PERIODS)
"""Columns of the largest increases, over 1, 5, 20 and 30 own periods."""

DISCLOSURE_COLUMNS = (
    *("period", "instrument", "side", "cases", "breaches", "target_coverage", "achieved_coverage"),
    *("mean_uncovered", "peak_uncovered", "mean_margin", *INCREASES, "peak_to_trough"),
)
"""Columns of :func:`disclosure_table`, in order."""


def disclosure_table(source: Verdict | Replay, policy: str, *, period: str = "Q") -> pd.DataFrame:
    """Return what a policy would have to disclose of the test period.

    Parameters
    ----------
    source : Verdict or Replay
        Margins and losses. Cases are those in which every policy has a margin and the loss is
        known, so that the tables of two policies are about the same ones.
    policy : str
        Name of the policy.
    period : str
        Length of a reporting period as pandas writes it: ``Q``, ``M`` or ``Y``.

    Returns
    -------
    pandas.DataFrame
        One row per reporting period, instrument and side in which there are cases:

        - ``period``, such as ``2008Q3``: the one in which the margin was set (UTC);
        - ``cases`` and ``breaches``, counts;
        - ``target_coverage`` and ``achieved_coverage``, shares of cases in [0, 1];
        - ``mean_uncovered`` and ``peak_uncovered``, of the losses beyond the margin, fractions of
          notional; the mean is over breaches; both are zero without one;
        - ``mean_margin``, fraction of notional;
        - ``largest_increase_*``, ratios of a margin set in the period to the one so many own
          periods before, which may lie in the period before; NaN where there is none;
        - ``peak_to_trough``, ratio of the highest to the lowest margin set in the period.

    Raises
    ------
    InputError
        If there is no such policy or no such length.
    """
    replayed = source.replay if isinstance(source, Verdict) else source
    if policy not in replayed.policies:
        raise InputError(f"policy must be one of {list(replayed.policies)}, was {policy!r}")
    cells = make_cells(replayed, test=True)
    label = _labels(replayed.origin, period)[cells.origin]
    rows: list[dict[str, Any]] = []
    for i, s, at in cells.series():
        rise = _rises(cells.of(policy)[at])
        for name in pd.unique(label[at]):
            inside = label[at] == name
            rows.append(
                {
                    "period": name,
                    "instrument": replayed.instruments[i],
                    "side": SIDES[s],
                    "target_coverage": 1.0 - replayed.market.tail_probability,
                    **_coverage(cells, policy, at[inside]),
                    **{key: _largest(values[inside]) for key, values in rise.items()},
                }
            )
    table = pd.DataFrame(rows)[list(DISCLOSURE_COLUMNS)]
    return table.sort_values(["period", "instrument", "side"], kind="stable", ignore_index=True)


def pooled_disclosure(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per reporting period over all instruments and sides.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`disclosure_table`.

    Returns
    -------
    pandas.DataFrame
        Counts are summed; the coverage and the means are those of all cases; peaks, increases
        and peak to trough are the largest of any series.
    """
    weighted = table.assign(
        uncovered=table.mean_uncovered * table.breaches, margin=table.mean_margin * table.cases
    )
    by_period = weighted.groupby("period", sort=True)
    total = by_period[["cases", "breaches", "uncovered", "margin"]].sum()
    largest = by_period[["peak_uncovered", *INCREASES, "peak_to_trough"]].max()
    pooled = total.join(largest)
    pooled["target_coverage"] = by_period.target_coverage.first()
    pooled["achieved_coverage"] = 1.0 - pooled.breaches / pooled.cases
    # Without a breach the sum is zero too.
    pooled["mean_uncovered"] = pooled.uncovered / pooled.breaches.clip(lower=1)
    pooled["mean_margin"] = pooled.margin / pooled.cases
    columns = [c for c in DISCLOSURE_COLUMNS if c not in ("instrument", "side")]
    return pooled.reset_index()[columns]


def _labels(origin: NDArray[np.datetime64], period: str) -> NDArray[np.object_]:
    try:
        labels = pd.DatetimeIndex(origin).to_period(period)
    except ValueError as error:
        raise InputError(
            f"period must be a length that pandas knows, was {period!r} ({error}); write Q for "
            "quarters, M for months or Y for years"
        ) from error
    return np.array([str(label) for label in labels], dtype=object)


def _coverage(cells: Cells, policy: str, at: NDArray[np.intp]) -> dict[str, float]:
    loss, margin = cells.loss[at], cells.of(policy)[at]
    missed = shortfall(loss, margin)
    breach = loss > margin
    return {
        "cases": len(loss),
        "breaches": int(breach.sum()),
        "achieved_coverage": float(1.0 - breach.mean()),
        "mean_uncovered": float(missed[breach].mean()) if breach.any() else 0.0,
        "peak_uncovered": float(missed.max()),
        "mean_margin": float(margin.mean()),
        "peak_to_trough": peak_to_trough(margin),
    }


def _rises(margin: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Ratio of every margin to that of so many periods before; NaN where there was none."""
    found = {}
    for name, periods in zip(INCREASES, INCREASE_PERIODS, strict=True):
        ratio = np.full(len(margin), np.nan)
        ratio[periods:] = margin[periods:] / margin[: max(len(margin) - periods, 0)]
        found[name] = ratio
    return found


def _largest(ratio: NDArray[np.float64]) -> float:
    known = ratio[np.isfinite(ratio)]
    return float(known.max()) if len(known) else np.nan
