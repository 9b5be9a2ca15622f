"""Matched protocols: what may be compared only at equal cost, or at equal coverage.

A margin that is higher breaches less, and one that breaches less costs more. Every policy is
therefore scaled by one constant, fitted on the validation period alone, so that mean margins are
equal (cost), or so that all breach as often as promised (coverage); then the other number is
compared over the test period. What the constant did there is part of the answer.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .bootstrap import bootstrap_means
from .cells import Cells
from .comparison import DetectableDifference, detectable_difference, diebold_mariano
from .coverage import holm
from .losses import quantile_loss, shortfall

Values = NDArray[np.float64]

COST_SHARES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5)
"""Mean margins at which two policies are compared, in multiples of the reference's."""


def coverage_factors(validation: Cells, *, tail_probability: float) -> Mapping[str, float]:
    """Return for each policy the factor with which it breaches as promised in validation.

    The quantile of loss over margin that the promised share exceeds; NaN where fewer than ten
    breaches are expected, too few to fit a constant on.
    """
    enough = len(validation.loss) * tail_probability >= 10.0
    return {
        name: float(np.quantile(validation.loss / validation.of(name), 1.0 - tail_probability))
        if enough
        else float("nan")
        for name in validation.policies
    }


def matched_coverage_table(
    test: Cells, *, factors: Mapping[str, float], reference: str
) -> pd.DataFrame:
    """Compare costs where all policies were made to breach equally often before.

    Parameters
    ----------
    test : Cells
        Of the test period.
    factors : mapping of str to float
        From :func:`coverage_factors`, fitted on validation.
    reference : str
        The policy that the others are compared with.

    Returns
    -------
    pandas.DataFrame
        One row per policy: ``coverage_factor``; ``coverage_breach_rate``, what the rate became;
        ``coverage_cost_ratio``, mean margin over that of the scaled reference;
        ``coverage_shortfall``, sum of ``max(loss - margin, 0)``, notionals.
    """
    base = factors[reference] * test.of(reference).mean()
    rows = {}
    for name in test.policies:
        margin = factors[name] * test.of(name)
        known = np.isfinite(factors[name])
        rows[name] = {
            "coverage_factor": factors[name],
            "coverage_breach_rate": float((test.loss > margin).mean()) if known else np.nan,
            "coverage_cost_ratio": float(margin.mean() / base),
            "coverage_shortfall": float(shortfall(test.loss, margin).sum()) if known else np.nan,
        }
    return pd.DataFrame(rows).T.rename_axis("policy")


def frontier_change(
    test: Cells,
    *,
    policy: str,
    reference: str,
    confidence_level: float,
    mean_block: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare two policies at every cost: shortfall of one over that of the other, with a band.

    Both are scaled to the same mean margin over the test period; the band is pointwise, of the
    stationary block bootstrap, paired by origin, the scales held.

    Returns
    -------
    pandas.DataFrame
        One row per mean margin: ``cost_share`` of the reference's, ``mean_margin`` (fraction of
        notional), ``policy_shortfall`` and ``reference_shortfall`` (notionals), ``change`` (their
        ratio minus one) with ``low`` and ``high``; NaN where the reference has none, and for the
        band where a resample has none.
    """
    cost = test.of(reference).mean()
    columns = []
    for name in (policy, reference):
        unit = test.of(name) * (cost / test.of(name).mean())
        columns += [test.sum_per_origin(shortfall(test.loss, s * unit)) for s in COST_SHARES]
    each = np.stack(columns, axis=1)  # (n_origins, 2 n_shares)
    resampled = bootstrap_means(each, mean_block=mean_block, n_resamples=n_resamples, rng=rng)
    tail = (1.0 - confidence_level) / 2.0
    change = _ratio(each.sum(axis=0, keepdims=True))[0] - 1.0
    ends = np.quantile(_ratio(resampled) - 1.0, [tail, 1.0 - tail], axis=0)
    ours, theirs = np.split(each.sum(axis=0), 2)
    return pd.DataFrame(
        {
            "cost_share": COST_SHARES,
            "mean_margin": cost * np.array(COST_SHARES),
            "policy_shortfall": ours,
            "reference_shortfall": theirs,
            "change": change,
            "low": ends[0],
            "high": ends[1],
        }
    )


def _ratio(sums: Values) -> Values:
    """First half of the columns over the second; NaN over nothing."""
    ours, theirs = np.split(sums, 2, axis=1)
    return ours / np.where(theirs > 0.0, theirs, np.nan)


def detectable_before(
    validation: Cells,
    *,
    policy: str,
    reference: str,
    n_origins: int,
    tail_probability: float,
    horizon: int,
) -> DetectableDifference:
    """State from validation alone how large a difference the test period could show.

    Parameters
    ----------
    validation : Cells
        Cells of the validation period.
    policy, reference : str
        Whose quantile losses differ.
    n_origins : int
        Origins of the test period.
    tail_probability : float
        Breach rate that margins aim at.
    horizon : int
        Own periods that outcomes span.
    """
    ours, theirs = (
        validation.per_origin(
            quantile_loss(validation.loss, validation.of(name), tail_probability=tail_probability)
        )
        for name in (policy, reference)
    )
    return detectable_difference(ours, theirs, horizon=horizon, n_periods=n_origins)


def instrument_table(
    test: Cells,
    *,
    policy: str,
    reference: str,
    instruments: tuple[str, ...],
    tail_probability: float,
    horizon: int,
) -> pd.DataFrame:
    """Compare two policies on each instrument, both sides, corrected for their number.

    Returns
    -------
    pandas.DataFrame
        One row per instrument: ``n_origins``, ``quantile_loss_change`` (relative), ``dm_statistic``
        and ``dm_p_value`` (Diebold-Mariano), ``dm_p_holm`` (Holm over instruments),
        ``shortfall_change`` at equal mean margin over the test period (NaN over nothing).
    """
    rows = []
    for i in np.unique(test.instrument):
        own = test.of_instrument(int(i))
        score = {
            name: quantile_loss(own.loss, own.of(name), tail_probability=tail_probability)
            for name in (policy, reference)
        }
        difference = own.per_origin(score[policy] - score[reference])
        dm = diebold_mariano(difference, np.zeros_like(difference), horizon=horizon)
        scaled = own.of(policy) * (own.of(reference).mean() / own.of(policy).mean())
        missed = shortfall(own.loss, own.of(reference)).sum()
        change = shortfall(own.loss, scaled).sum() / missed - 1.0 if missed > 0.0 else np.nan
        rows.append(
            {
                "instrument": instruments[i],
                "n_origins": len(difference),
                "quantile_loss_change": score[policy].mean() / score[reference].mean() - 1.0,
                "dm_statistic": dm.statistic,
                "dm_p_value": dm.p_value,
                "shortfall_change": float(change),
            }
        )
    table = pd.DataFrame(rows)
    table.insert(5, "dm_p_holm", holm(table.dm_p_value.to_numpy()))
    return table
