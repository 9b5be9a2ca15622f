"""Policies compared by their warnings, at an equal rate of false alarms or an equal cost.

Whoever warns more often is right more often. So every policy gets the rise with which it had the
same number of false alarms (or the same cost) over validation; the test period then shows what its
warnings were worth, and what the rate became.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ...calibrate import Generation
from ...errors import InputError
from .._checks import check_count, check_probability
from ..bootstrap import bootstrap_means
from .cases import WarningCases
from .scores import candidate_rises, match_alarms, warning_scores


class EqualBy(StrEnum):
    """What is made equal."""

    FALSE_ALARMS = "false-alarms"
    """False alarms per instrument-year."""
    COST = "cost"
    """Excess margin x days of alarm per instrument-year, after each policy is scaled to the mean
    margin over validation of the policy that is judged."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WarningComparison:
    """Warnings of all policies at one target.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per policy; see :meth:`frame`.
    differences : pandas.DataFrame
        One row per other policy: ``hit_rate_difference``, that of the judged policy minus the
        other's, with ``low`` and ``high`` of a paired block bootstrap.
    leads : pandas.DataFrame
        One row per policy and onset of the test period: ``policy``, ``instrument``, ``onset``
        (UTC, when it was known) and ``lead_days``, NaN if no alarm belongs to it.
    equal_by : EqualBy
        What was made equal.
    target : float
        At what.
    predictive : str
        The policy that is judged.
    lead_days : float
        Longest lead that counts.
    """

    table: pd.DataFrame
    differences: pd.DataFrame
    leads: pd.DataFrame
    equal_by: EqualBy
    target: float
    predictive: str
    lead_days: float

    def frame(self) -> pd.DataFrame:
        """Return one row per policy, highest hit rate first.

        ``generation``, ``rise`` (from validation; NaN if no rise keeps to the target, and then
        all that follows is NaN), ``validation_value`` (what was made equal, over validation),
        ``test_value`` (what it became), ``low`` and ``high`` (block bootstrap of the hit rate),
        ``exact_low`` and ``exact_high`` (Clopper-Pearson, as if onsets were independent), and the
        columns of :func:`warning_scores` over the test period.
        """
        return self.table.sort_values("hit_rate", ascending=False, kind="stable")

    @property
    def best_reactive(self) -> str:
        """The reactive or fixed policy with the highest hit rate: chosen with hindsight.

        Nobody can name a better one afterwards. Of equals, the one with fewer false alarms.
        """
        reactive = self.table[self.table.generation.isin([Generation.REACTIVE, Generation.FIXED])]
        known = reactive[reactive.hit_rate.notna()]
        if not len(known):
            raise InputError("a comparison needs a reactive policy that warns, found none")
        order = ["hit_rate", "false_alarms_per_year"]
        return str(known.sort_values(order, ascending=[False, True], kind="stable").index[0])


def compare_warnings(
    cases: WarningCases,
    *,
    target: float,
    rng: np.random.Generator,
    equal_by: EqualBy = EqualBy.FALSE_ALARMS,
    hindsight: bool = False,
    confidence_level: float = 0.9,
    n_resamples: int = 2_000,
) -> WarningComparison:
    """Give each policy the rise that meets the target over validation; judge it over the test.

    Parameters
    ----------
    cases : WarningCases
        From :func:`warning_cases`.
    target : float
        False alarms per instrument-year, or fraction of notional x days per instrument-year; > 0.
    rng : numpy.random.Generator
        Source of the resamples.
    equal_by : EqualBy
        Which of the two.
    hindsight : bool
        Choose the rise over the test period itself: what the shape of the warnings is worth where
        rates do not drift apart. Nobody could have known it.
    confidence_level : float
        Of both intervals, in (0, 1).
    n_resamples : int
        Of the bootstrap, >= 1. Blocks are calendar blocks of all instruments together, as long on
        average as a lead and a quiet time, because onsets come to many instruments at once.

    Raises
    ------
    InputError
        If an argument is out of range, or the test period holds no onset.
    """
    check_probability("confidence_level", confidence_level, example="0.9 for 90 %")
    check_count("n_resamples", n_resamples, minimum=1)
    if not 0.0 < target < np.inf:
        raise InputError(f"target must be > 0 and finite, was {target}; write 2.0 for two a year")
    _check_onsets(cases)
    factor = _cost_factors(cases) if equal_by is EqualBy.COST else np.ones(len(cases.policies))
    chosen = [
        choose_rise(cases, k, target=target / factor[k], equal_by=equal_by, test=hindsight)
        for k in range(len(cases.policies))
    ]
    rows = [_row(cases, k, chosen[k], factor[k], equal_by) for k in range(len(chosen))]
    table = pd.DataFrame(rows, index=pd.Index(cases.policies, name="policy"))
    resampled = _resample(cases, chosen, n_resamples=n_resamples, rng=rng)
    tails = [(1.0 - confidence_level) / 2.0, (1.0 + confidence_level) / 2.0]
    table["low"], table["high"] = np.quantile(resampled, tails, axis=0)
    exact = [
        _exact(hits, onsets, confidence_level)
        for hits, onsets in zip(table.hits.astype(float), table.onsets.astype(float), strict=True)
    ]
    table["exact_low"], table["exact_high"] = np.array(exact).T
    return WarningComparison(
        table=table,
        differences=_differences(cases, table, resampled, tails),
        leads=_leads(cases, chosen),
        equal_by=equal_by,
        target=target,
        predictive=cases.predictive,
        lead_days=cases.rule.lead_days,
    )


def choose_rise(
    cases: WarningCases, policy: int, *, target: float, equal_by: EqualBy, test: bool
) -> float:
    """Return the lowest rise at and above which the target is never exceeded; NaN if none is.

    Counts need not fall along the rises (a low bar makes few long alarms), so that the search
    comes down from the top: a policy must not meet the target by an alarm that never ends. A
    policy whose every rise keeps below the target gets the smallest one that counts.
    """
    series, since = cases.period(test=test)
    chosen = np.nan
    for rise in candidate_rises(series, policy, smallest=cases.rule.smallest_rise)[::-1]:
        scores = warning_scores(series, policy, rise=float(rise), since=since)
        # NaN, where there is nothing to count over, exceeds too.
        if not scores[_VALUE[equal_by]] <= target:
            break
        chosen = float(rise)
    return chosen


_VALUE = {EqualBy.FALSE_ALARMS: "false_alarms_per_year", EqualBy.COST: "cost_per_year"}


def _check_onsets(cases: WarningCases) -> None:
    n = sum(int((one.onset & (one.origin >= cases.test_from)).sum()) for one in cases.series)
    if n == 0:
        raise InputError(
            "the test period must hold an onset before which every policy has a margin, found "
            "none; use a longer test period, a lower quantile or a shorter quiet time"
        )


def _cost_factors(cases: WarningCases) -> NDArray[np.float64]:
    """Factors that give every policy the judged one's mean margin over validation."""
    known, _ = cases.period(test=False)
    margins = np.concatenate([one.margin for one in known], axis=1)
    margins = margins[:, np.isfinite(margins).all(axis=0)]
    if not margins.size:
        raise InputError(
            "validation must hold origins at which every policy stands above or below a baseline, "
            "found none; begin validation earlier"
        )
    means = margins.mean(axis=1)
    return np.asarray(means[cases.position(cases.predictive)] / means)


def _row(
    cases: WarningCases, k: int, rise: float, factor: float, equal_by: EqualBy
) -> dict[str, object]:
    start: dict[str, object] = {"generation": cases.generations[k], "rise": rise}
    before, _ = cases.period(test=False)
    after, since = cases.period(test=True)
    # A policy without a rise is scored at one that it cannot reach, to know the columns.
    at = rise if np.isfinite(rise) else np.inf
    scores = warning_scores(after, k, rise=at, since=since)
    value = _VALUE[equal_by]
    start["validation_value"] = factor * warning_scores(before, k, rise=at)[value]
    start["test_value"] = factor * scores[value]
    for name in ("cost_per_year", "cost_per_hit"):
        scores[name] *= factor
    if not np.isfinite(rise):
        start |= {"validation_value": np.nan, "test_value": np.nan}
        scores = {name: n if name == "onsets" else np.nan for name, n in scores.items()}
    return {**start, **scores}


def _exact(hits: float, onsets: float, confidence_level: float) -> tuple[float, float]:
    if not np.isfinite(hits):
        return np.nan, np.nan
    interval = stats.binomtest(int(hits), int(onsets)).proportion_ci(confidence_level)
    return float(interval.low), float(interval.high)


def _resample(
    cases: WarningCases, chosen: Sequence[float], *, n_resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Hit rates of resampled calendars, shape (n_resamples, n_policies); without onset, none."""
    times = np.unique(np.concatenate([one.origin for one in cases.series]))
    times = times[times >= cases.test_from]
    counts = np.zeros((len(times), len(chosen) + 1))
    for one in cases.series:
        for k, rise in enumerate(chosen):
            at = rise if np.isfinite(rise) else np.inf
            matched = match_alarms(one, k, rise=at, since=cases.test_from)
            rows = np.searchsorted(times, one.origin[matched.onset])
            np.add.at(counts[:, k], rows, np.isfinite(matched.lead))
        np.add.at(counts[:, -1], rows, 1.0)
    days = float((times[-1] - times[0]) / np.timedelta64(1, "D")) / len(times)
    block = (cases.rule.stress_quiet_days + cases.rule.lead_days) / max(days, 1e-9)
    means = bootstrap_means(counts, mean_block=max(1.0, block), n_resamples=n_resamples, rng=rng)
    means = means[means[:, -1] > 0.0]
    if not len(means):
        raise InputError("no resample holds an onset; there are too few for an interval")
    rates: NDArray[np.float64] = means[:, :-1] / means[:, -1:]
    rates[:, ~np.isfinite(np.asarray(chosen))] = np.nan
    return rates


def _differences(
    cases: WarningCases,
    table: pd.DataFrame,
    resampled: NDArray[np.float64],
    tails: list[float],
) -> pd.DataFrame:
    judged = cases.position(cases.predictive)
    low, high = np.quantile(resampled[:, [judged]] - resampled, tails, axis=0)
    frame = pd.DataFrame(
        {
            "generation": table.generation,
            "hit_rate_difference": table.hit_rate.loc[cases.predictive] - table.hit_rate,
            "low": low,
            "high": high,
        }
    )
    return frame.drop(index=cases.predictive).sort_values("hit_rate_difference", kind="stable")


def _leads(cases: WarningCases, chosen: Sequence[float]) -> pd.DataFrame:
    tables = []
    for k, rise in enumerate(chosen):
        for one in cases.series:
            at = rise if np.isfinite(rise) else np.inf
            matched = match_alarms(one, k, rise=at, since=cases.test_from)
            tables.append(
                pd.DataFrame(
                    {
                        "policy": cases.policies[k],
                        "instrument": one.instrument,
                        "onset": pd.DatetimeIndex(one.origin[matched.onset], tz="UTC"),
                        "lead_days": matched.lead * one.days_per_period,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)
