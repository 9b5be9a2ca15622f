"""What a policy's warnings were worth at one rise, and at all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from ..discrimination import pr_auc
from .alarms import alarm_starts
from .cases import WarningCases, WarningSeries
from .onsets import trailing_any

_MOST_RISES = 120
"""Rises of a curve: more would be told apart by no data set of a few dozen onsets."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Warnings:
    """Alarms and onsets of one instrument and policy, matched; only those of one period.

    An alarm belongs to an onset if it starts in the `lead` periods before it, the onset's own not
    included: a margin that rises together with the measure has not warned.

    Attributes
    ----------
    onset : ndarray of int, shape (n_onsets,)
        Positions of the onsets in the series.
    lead : ndarray, shape (n_onsets,)
        Own periods from the first alarm that belongs to it to the onset, >= 1; NaN if none does.
    true_alarms, false_alarms : int
        Alarms that started in calm and were, or were not, followed by an onset within `lead`.
    late_alarms : int
        Alarms that started while stress was under way: neither of the two.
    open_alarms : int
        Alarms of which the series ends too early to tell.
    cost : float
        Excess over the baseline, summed over the calm origins at which the alarm was on, times
        the days of a period: fraction of notional x days.
    years : float
        Length of the period, own time.
    """

    onset: NDArray[np.intp]
    lead: NDArray[np.float64]
    true_alarms: int
    false_alarms: int
    late_alarms: int
    open_alarms: int
    cost: float
    years: float


def match_alarms(
    series: WarningSeries, policy: int, *, rise: float, since: np.datetime64 | None = None
) -> Warnings:
    """Match the alarms of one policy with the onsets.

    Parameters
    ----------
    series : WarningSeries
        One instrument.
    policy : int
        Position of the policy.
    rise : float
        Strength that raises an alarm, a fraction.
    since : numpy.datetime64, optional
        First origin of the period; by default the whole series.
    """
    n, lead = len(series.origin), series.lead
    inside = np.full(n, True) if since is None else series.origin >= since
    strength = series.strength[policy]
    start = alarm_starts(strength, rise=rise, quiet=series.alarm_quiet)
    early = np.flatnonzero(start & series.calm)
    onset = np.flatnonzero(series.onset & inside)
    first = np.searchsorted(early, onset - lead)
    found = np.append(early, n)[first]
    leads = np.where(found < onset, (onset - found).astype(np.float64), np.nan)
    followed = _followed(series.onset, lead)[early]
    decided = followed | (early + lead < n)
    counted = inside[early]
    on = (strength >= rise) & series.calm & inside
    return Warnings(
        onset=onset,
        lead=leads,
        true_alarms=int((followed & counted).sum()),
        false_alarms=int((~followed & decided & counted).sum()),
        late_alarms=int((start & ~series.calm & inside).sum()),
        open_alarms=int((~decided & counted).sum()),
        cost=float(series.excess[policy][on].sum() * series.days_per_period),
        years=float((np.isfinite(strength) & inside).sum() / series.periods_per_year),
    )


def _followed(onset: NDArray[np.bool_], lead: int) -> NDArray[np.bool_]:
    """Tell where an onset comes in the next `lead` periods, this one not included."""
    n = len(onset)
    coming = trailing_any(np.concatenate([np.zeros(lead, dtype=bool), onset[::-1]]), lead)
    ahead: NDArray[np.bool_] = coming[lead - 1 :][:n][::-1]
    return ahead


def warning_scores(
    series: Sequence[WarningSeries],
    policy: int,
    *,
    rise: float,
    since: np.datetime64 | None = None,
) -> dict[str, float]:
    """Return the scores of one policy at one rise, all instruments together.

    Returns
    -------
    dict
        ``onsets``, ``hits`` (onsets that an alarm belongs to), ``hit_rate`` (recall; NaN without
        onsets), ``alarms`` (true and false), ``false_alarms``, ``late_alarms``, ``open_alarms``,
        ``precision`` (true of true and false; NaN without alarms), ``false_alarms_per_year`` (per
        instrument-year), ``median_lead_days`` (of the hits; NaN without), ``cost_per_year``
        (fraction of notional x days per instrument-year) and ``cost_per_hit`` (fraction of
        notional x days; NaN without hits).
    """
    all_matched = [match_alarms(one, policy, rise=rise, since=since) for one in series]
    lead_days = np.concatenate(
        [m.lead * one.days_per_period for m, one in zip(all_matched, series, strict=True)]
    )
    hits = int(np.isfinite(lead_days).sum())
    true, false = (sum(getattr(m, f"{kind}_alarms") for m in all_matched) for kind in _KINDS)
    cost, years = sum(m.cost for m in all_matched), sum(m.years for m in all_matched)
    return {
        "onsets": len(lead_days),
        "hits": hits,
        "hit_rate": _ratio(hits, len(lead_days)),
        "alarms": true + false,
        "false_alarms": false,
        "late_alarms": sum(m.late_alarms for m in all_matched),
        "open_alarms": sum(m.open_alarms for m in all_matched),
        "precision": _ratio(true, true + false),
        "false_alarms_per_year": _ratio(false, years),
        "median_lead_days": float(np.nanmedian(lead_days)) if hits else np.nan,
        "cost_per_year": _ratio(cost, years),
        "cost_per_hit": _ratio(cost, hits),
    }


_KINDS = ("true", "false")


def _ratio(part: float, whole: float) -> float:
    """Divide; nothing of nothing is not known."""
    return part / whole if whole > 0 else float("nan")


def candidate_rises(
    series: Sequence[WarningSeries], policy: int, *, smallest: float
) -> NDArray[np.float64]:
    """Return rises worth trying, increasing: the smallest, and quantiles of strengths above it.

    None for a margin that never rises so far.
    """
    strength = np.concatenate([one.strength[policy] for one in series])
    enough = np.sort(strength[strength >= smallest])
    if not len(enough):
        return enough
    # The highest k strengths, with k in equal steps of its logarithm: few alarms, told apart well.
    rank = np.unique(np.geomspace(1.0, len(enough), _MOST_RISES).astype(np.intp))
    return np.unique(np.append(enough[-rank], smallest))


def warning_curve(cases: WarningCases, policy: str, *, test: bool = True) -> pd.DataFrame:
    """Return precision and recall over all rises.

    Parameters
    ----------
    cases : WarningCases
        From :func:`warning_cases`.
    policy : str
        Its name.
    test : bool
        Over the test period; else over validation.

    Returns
    -------
    pandas.DataFrame
        One row per ``rise``, a fraction, increasing, with the columns of :func:`warning_scores`;
        no rows for a margin that never rises. Raising the bar can split an alarm in two, so
        that counts need not fall along it.
    """
    k = cases.position(policy)
    series, since = cases.period(test=test)
    rows = [
        {"rise": rise, **warning_scores(series, k, rise=float(rise), since=since)}
        for rise in candidate_rises(series, k, smallest=cases.rule.smallest_rise)
    ]
    return pd.DataFrame(rows, columns=["rise", *_COLUMNS])


_COLUMNS = (
    *("onsets", "hits", "hit_rate", "alarms", "false_alarms", "late_alarms", "open_alarms"),
    *("precision", "false_alarms_per_year", "median_lead_days", "cost_per_year", "cost_per_hit"),
)


def warning_area(cases: WarningCases, policy: str, *, test: bool = True) -> pd.Series:
    """Return the area under the precision-recall curve of single origins.

    A case is a calm origin whose next `lead` periods are known, the event an onset in them, and
    the score the strength: what the height of the margin says, no matter when it got there.

    Returns
    -------
    pandas.Series
        ``area`` (average precision), ``base_rate`` (what a margin that knows nothing gets),
        ``origins`` and ``events``.

    Raises
    ------
    InputError
        If no onset can be warned of in the period.
    """
    k = cases.position(policy)
    series, since = cases.period(test=test)
    event, strength = [], []
    for one in series:
        usable = one.calm & np.isfinite(one.strength[k])
        usable &= np.arange(len(usable)) + one.lead < len(usable)
        usable &= np.full(len(usable), True) if since is None else one.origin >= since
        event.append(_followed(one.onset, one.lead)[usable])
        strength.append(one.strength[k][usable])
    happened, said = np.concatenate(event), np.concatenate(strength)
    if not happened.any():
        raise InputError(
            f"the period must hold an onset that a margin could warn of, found none in "
            f"{len(happened)} calm origins; use a longer period or a lower quantile"
        )
    score = np.searchsorted(np.unique(said), said) / max(1, len(said))  # ranks, ties kept
    return pd.Series(
        {
            "area": pr_auc(happened, score),
            "base_rate": float(happened.mean()),
            "origins": len(happened),
            "events": int(happened.sum()),
        },
        name=policy,
    )
