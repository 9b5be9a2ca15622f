"""Every number of the verdict that belongs to one policy."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calibrate import SIDES
from .cells import Cells
from .comparison import diebold_mariano, newey_west_t
from .coverage import (
    christoffersen_conditional_coverage,
    christoffersen_independence,
    holm,
    kupiec_pof,
    simulated_dynamic_quantile,
)
from .losses import quantile_loss, shortfall
from .procyclicality import large_increase_share, largest_increase, peak_to_trough

SIGNIFICANCE_LEVEL = 0.05
"""Of every test in the verdict."""

COVERAGE_TESTS = ("kupiec", "conditional_coverage", "dynamic_quantile")
"""Tests of the coverage gate; their columns are these names and ``_p_value``, ``_p_holm``."""

INCREASE_PERIODS = (1, 5, 20, 30)
"""Periods over which the largest increase of a margin is measured."""

_WORST = 5
_LAGS = 4  # breaches that the dynamic quantile test looks back on, if there are cases enough


def cost_factors(validation: Cells, *, reference: str) -> Mapping[str, float]:
    """Return for each policy the factor that gives it the reference's mean margin in validation."""
    target = validation.of(reference).mean()
    return {name: float(target / validation.of(name).mean()) for name in validation.policies}


def policy_table(
    cells: Cells,
    *,
    reference: str,
    factors: Mapping[str, float],
    tail_probability: float,
    horizon: int,
) -> pd.DataFrame:
    """Return one row per policy: coverage, cost, score and procyclicality, pooled.

    Parameters
    ----------
    cells : Cells
        Of the test period.
    reference : str
        The policy that the others are compared with.
    factors : mapping of str to float
        From :func:`cost_factors`, fitted on validation.
    tail_probability : float
        Breach rate that margins aim at.
    horizon : int
        Own periods; outcomes overlap over as many.
    """
    score = {
        name: quantile_loss(cells.loss, cells.of(name), tail_probability=tail_probability)
        for name in cells.policies
    }
    rows = {}
    for name in cells.policies:
        margin = cells.of(name)
        difference = cells.per_origin(score[name] - score[reference])
        rows[name] = {
            "breaches": int((cells.loss > margin).sum()),
            "breach_rate": float((cells.loss > margin).mean()),
            "mean_margin": float(margin.mean()),
            "quantile_loss": float(score[name].mean()),
            **_against(difference, horizon=horizon, same=name == reference),
            **_matched(cells, margin, factor=factors[name], reference=reference),
            **_procyclicality(cells, margin),
        }
    return pd.DataFrame(rows).T.rename_axis("policy").astype({"breaches": int})


def _against(difference: NDArray[np.float64], *, horizon: int, same: bool) -> dict[str, float]:
    if same:
        return {"dm_t": np.nan, "dm_statistic": np.nan, "dm_p_value": np.nan}
    test = diebold_mariano(difference, np.zeros_like(difference), horizon=horizon)
    return {
        "dm_t": newey_west_t(difference, lags=horizon),
        "dm_statistic": test.statistic,
        "dm_p_value": test.p_value,
    }


def _matched(
    cells: Cells, margin: NDArray[np.float64], *, factor: float, reference: str
) -> dict[str, float]:
    """Shortfalls at equal cost: with the factor from validation, and with hindsight."""
    cost = cells.of(reference).mean()
    before = shortfall(cells.loss, margin * factor)
    hindsight = margin * (cost / margin.mean())
    after = shortfall(cells.loss, hindsight)
    return {
        "matched_factor": factor,
        "matched_cost_ratio": float(factor * margin.mean() / cost),
        "matched_breach_rate": float((cells.loss > margin * factor).mean()),
        "matched_shortfall": float(before.sum()),
        "matched_mean_shortfall": float(before[before > 0].mean()) if (before > 0).any() else 0.0,
        "matched_worst_five": float(np.sort(before)[-_WORST:].sum()),
        "hindsight_breach_rate": float((cells.loss > hindsight).mean()),
        "hindsight_shortfall": float(after.sum()),
        "hindsight_worst_five": float(np.sort(after)[-_WORST:].sum()),
    }


def _procyclicality(cells: Cells, margin: NDArray[np.float64]) -> dict[str, float]:
    """Medians over the series: what a typical account sees."""
    each = [_series_procyclicality(margin[rows]) for _, _, rows in cells.series()]
    return {name: float(np.median([one[name] for one in each])) for name in each[0]}


def _series_procyclicality(margin: NDArray[np.float64]) -> dict[str, float]:
    out = {"peak_to_trough": peak_to_trough(margin)}
    for periods in INCREASE_PERIODS:
        enough = len(margin) > periods
        out[f"largest_increase_{periods}"] = (
            largest_increase(margin, periods=periods) if enough else np.nan
        )
    out["large_increase_share"] = (
        large_increase_share(margin, periods=5) if len(margin) > 5 else np.nan
    )
    return out


def series_table(
    cells: Cells,
    *,
    instruments: tuple[str, ...],
    tail_probability: float,
    horizon: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return one row per policy, instrument and side: coverage tests and procyclicality.

    Outcomes over several periods overlap, so the tests use every `horizon`-th origin. P-values of
    one policy are also given corrected for the number of its series (Holm 1979). That of the
    dynamic quantile test (the margin and four lagged breaches) is simulated with `rng`: its
    large-sample law rejects too many right margins of 1 %.
    """
    rows = []
    for name in cells.policies:
        margin = cells.of(name)
        for i, s, at in cells.series():
            rows.append(
                {
                    "policy": name,
                    "instrument": instruments[i],
                    "side": SIDES[s],
                    **_series_row(
                        cells.loss[at],
                        margin[at],
                        tail_probability=tail_probability,
                        horizon=horizon,
                        rng=rng,
                    ),
                }
            )
    table = pd.DataFrame(rows)
    for test in COVERAGE_TESTS:
        adjusted = table.groupby("policy")[f"{test}_p_value"].transform(
            lambda p: holm(p.to_numpy())
        )
        table[f"{test}_p_holm"] = adjusted
    return table


def _series_row(
    loss: NDArray[np.float64],
    margin: NDArray[np.float64],
    *,
    tail_probability: float,
    horizon: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    breach = loss > margin
    apart = breach[::horizon]
    kupiec = kupiec_pof(apart, tail_probability=tail_probability)
    independence = christoffersen_independence(apart)
    both = christoffersen_conditional_coverage(apart, tail_probability=tail_probability)
    dynamic = simulated_dynamic_quantile(
        apart,
        tail_probability=tail_probability,
        value_at_risk=margin[::horizon],
        lags=max(0, min(_LAGS, (len(apart) - 3) // 2)),
        rng=rng,
    )
    score = quantile_loss(loss, margin, tail_probability=tail_probability)
    return {
        "n": len(loss),
        "breaches": int(breach.sum()),
        "breach_rate": float(breach.mean()),
        "mean_margin": float(margin.mean()),
        "quantile_loss": float(score.mean()),
        "shortfall": float(shortfall(loss, margin).sum()),
        "kupiec_statistic": kupiec.statistic,
        "kupiec_p_value": kupiec.p_value,
        "independence_p_value": independence.p_value,
        "conditional_coverage_p_value": both.p_value,
        "dynamic_quantile_p_value": dynamic.p_value,
        **_series_procyclicality(margin),
    }


def passes_gate(series: pd.DataFrame) -> "pd.Series[bool]":
    """Tell of every row of :func:`series_table` whether no coverage test rejects after Holm."""
    adjusted = series[[f"{test}_p_holm" for test in COVERAGE_TESTS]]
    return (adjusted >= SIGNIFICANCE_LEVEL).all(axis=1)


def coverage_gate(series: pd.DataFrame) -> pd.DataFrame:
    """Return per policy the number of series that pass every coverage test, and of all."""
    grouped = passes_gate(series).groupby(series.policy, sort=False)
    return pd.DataFrame({"series_passing": grouped.sum(), "series": grouped.size()})
