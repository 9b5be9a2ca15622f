"""The verdict in words: every claim is made from the numbers, none is canned.

Three sentences (score, protection at equal cost, movement), the caveats that apply, and the
controls that tell whether the comparison can be trusted at all.
"""

from collections.abc import Iterator
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy import stats

from ..calibrate import Generation
from .bootstrap import BootstrapInterval
from .cells import Cells, make_cells
from .comparison import diebold_mariano
from .losses import quantile_loss
from .metrics import SIGNIFICANCE_LEVEL, passes_gate
from .quintiles import N_QUINTILES
from .verdict import Verdict

EQUAL_COST_TOLERANCE = 0.02
"""Costs further apart than this share are not called equal."""

EQUAL_MOVEMENT_TOLERANCE = 0.01
"""Measures of movement closer than this share are not called different."""

FEW_BREACHES = 200
"""Below this many expected breaches, counting noise alone exceeds 12 % of the breach rate."""

FEW_INSTRUMENTS = 5
"""Below this many instruments, a result says little about other markets."""

_MUST_LOSE = {"control-shuffled-forecast": True, "control-perfect-foresight": False}


class Outcome(StrEnum):
    """What the score says; the value is what a reader is shown."""

    WINS = "predictive wins"
    NO_DIFFERENCE = "no difference shown"
    LOSES = "reactive wins"


def outcome(verdict: Verdict) -> Outcome:
    """Return who wins by quantile loss.

    A difference counts only if the Diebold-Mariano test rejects at 5 %, corrected for the number
    of horizons judged together, *and* the bootstrap interval of the relative change excludes zero.
    """
    p_value = verdict.p_value
    change = verdict.quantile_loss_change
    if p_value < SIGNIFICANCE_LEVEL and change.high < 0.0:
        return Outcome.WINS
    if p_value < SIGNIFICANCE_LEVEL and change.low > 0.0:
        return Outcome.LOSES
    return Outcome.NO_DIFFERENCE


def verdict_sentences(verdict: Verdict) -> tuple[str, ...]:
    """Return three sentences: score, protection at equal cost, movement and controls.

    Parameters
    ----------
    verdict : Verdict
        Of one margin period of risk.

    Returns
    -------
    tuple of str, length 3
        Changes are relative to the reference, in percent; shortfall totals in notionals.
    """
    return (_score_sentence(verdict), _protection_sentence(verdict), _movement_sentence(verdict))


def control_table(verdict: Verdict) -> pd.DataFrame:
    """Compare the controls with the judged policy by quantile loss over the test period.

    Returns
    -------
    pandas.DataFrame
        One row per control: ``control``; ``expected`` (``loses`` or ``wins``); ``quantile_loss``,
        fraction of notional; ``relative_to_predictive``, its quantile loss over that of the judged
        policy minus one; ``dm_p_value`` of the Diebold-Mariano test between the two, in [0, 1];
        ``behaved``, whether it differs significantly (5 %) in the expected direction.
    """
    replayed = verdict.replay
    names = replayed.names(Generation.CONTROL)
    cells = make_cells(replayed, test=True)
    rows = [_control_row(verdict, cells, name) for name in names]
    columns = ["control", "expected", "quantile_loss", "relative_to_predictive"]
    return pd.DataFrame(rows, columns=[*columns, "dm_p_value", "behaved"])


def caveats(verdict: Verdict) -> tuple[str, ...]:
    """Return what a careful reader must know before quoting the verdict; only what applies."""
    return tuple(_caveats(verdict))


def expected_breaches(verdict: Verdict) -> float:
    """Return how many breaches the target implies over the test cells, overlaps counted once."""
    n_cells = int(_own_series(verdict, verdict.predictive).n.sum())
    return verdict.replay.market.tail_probability * n_cells / verdict.horizon


def rate_band(*, n: float, tail_probability: float) -> tuple[float, float]:
    """Return the 95 % binomial band of a breach rate over `n` independent outcomes, fractions."""
    low, high = stats.binom.interval(0.95, max(1, round(n)), tail_probability)
    return float(low) / max(1, round(n)), float(high) / max(1, round(n))


def hindsight_change(verdict: Verdict) -> float:
    """Return the shortfall at exactly the reference's test cost, relative to it, minus one.

    NaN if the reference has no shortfall.
    """
    table = verdict.policies["hindsight_shortfall"]
    base = float(table[verdict.reference])
    return float(table[verdict.predictive]) / base - 1.0 if base > 0.0 else float("nan")


def percent(fraction: float, *, digits: int = 2) -> str:
    """Write a fraction as a percentage, ``0.0113`` as ``1.13 %``."""
    return f"{100.0 * fraction:.{digits}f} %" if np.isfinite(fraction) else "not defined"


def signed_percent(fraction: float, *, digits: int = 2) -> str:
    """Write a relative change with its sign, ``-0.02`` as ``−2.00 %``."""
    if not np.isfinite(fraction):
        return "not defined"
    return f"{100.0 * fraction:+.{digits}f} %".replace("-", "\N{MINUS SIGN}")


def p_value_text(p_value: float) -> str:
    """Write a p-value with two or three digits, never as zero."""
    if not np.isfinite(p_value):
        return "p not defined"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _score_sentence(verdict: Verdict) -> str:
    reactive = verdict.replay.names(Generation.REACTIVE)
    verb = {
        Outcome.WINS: "beats",
        Outcome.LOSES: "loses to",
        Outcome.NO_DIFFERENCE: "is not told apart from",
    }[outcome(verdict)]
    change = verdict.quantile_loss_change
    p_value = verdict.p_value
    inside = verdict.predictive in verdict.confidence_set.included
    return (
        f"By score, {verdict.predictive} {verb} {verdict.reference}, the best of {len(reactive)} "
        "reactive policies, chosen with hindsight over the test period: its quantile loss is "
        f"{_more_or_less(change.estimate, 'higher', 'lower')} ({_interval(change)}; "
        f"Diebold-Mariano {p_value_text(p_value)}, Holm over the horizons of the run), and it is "
        f"{'in' if inside else 'not in'} the "
        f"{1.0 - verdict.confidence_set.size:.0%} model confidence set".replace("0%", "0 %")
        + "."
    )


def _protection_sentence(verdict: Verdict) -> str:
    row, cost = verdict.row(verdict.predictive), _cost_change(verdict)
    reference = verdict.row(verdict.reference)
    if reference["matched_shortfall"] > 0.0:
        fitted = _more_or_less(verdict.shortfall_change.estimate, "larger", "smaller")
        fitted = f"its total shortfall is {fitted} ({_interval(verdict.shortfall_change)})"
    else:
        fitted = (
            f"its total shortfall is {row['matched_shortfall']:.4f} notionals against none of "
            "the reference"
        )
    spent = f"it cost {_more_or_less(cost, 'more', 'less')} than {verdict.reference}"
    if abs(cost) > EQUAL_COST_TOLERANCE:
        spent = f"but {spent}, which is not equal cost: the constant did not hold"
    else:
        spent = f"and {spent}"
    hindsight = hindsight_change(verdict)
    equal = (
        f"the shortfall is {_more_or_less(hindsight, 'larger', 'smaller')} "
        f"({_interval(verdict.hindsight_shortfall_change)})"
        if np.isfinite(hindsight)
        else "no relative change exists, because the reference had no shortfall"
    )
    return (
        f"With the constants fitted on validation {fitted}, {spent}; at equal cost by hindsight "
        f"{equal}; as published its margin is breached in {_coverage(verdict)}."
    )


def _coverage(verdict: Verdict) -> str:
    row, reference = verdict.row(verdict.predictive), verdict.row(verdict.reference)
    target = verdict.replay.market.tail_probability
    return (
        f"{percent(row['breach_rate'])} of cases (target {percent(target)}, reference "
        f"{percent(reference['breach_rate'])}), and {row['series_passing']} of {row['series']} "
        "series pass the coverage tests (reference "
        f"{reference['series_passing']} of {reference['series']})"
    )


def _movement_sentence(verdict: Verdict) -> str:
    ours, theirs = verdict.row(verdict.predictive), verdict.row(verdict.reference)
    return (
        f"{_calmer(verdict)}: peak-to-trough {_ratio(ours['peak_to_trough'])} for "
        f"{verdict.predictive} against {_ratio(theirs['peak_to_trough'])} for "
        f"{verdict.reference}, largest increase over 20 periods "
        f"{_ratio(ours['largest_increase_20'])} against {_ratio(theirs['largest_increase_20'])} "
        f"(medians over series); {_controls_clause(verdict)}."
    )


def _calmer(verdict: Verdict) -> str:
    table = verdict.policies[["peak_to_trough", "largest_increase_20"]].astype(float)
    ours, theirs = table.loc[verdict.predictive], table.loc[verdict.reference]
    within = 1.0 - EQUAL_MOVEMENT_TOLERANCE
    if (ours < within * theirs).all():
        return f"Of the two margins, that of {verdict.predictive} is calmer"
    if (theirs < within * ours).all():
        return f"Of the two margins, that of {verdict.reference} is calmer"
    return "Neither margin is calmer by both measures"


def _controls_clause(verdict: Verdict) -> str:
    table = control_table(verdict)
    if table.empty:
        return "no control was run, so nothing guards the comparison against an artefact"
    if table.behaved.all():
        told = [f"{row.control} {row.expected} ({_control_numbers(row)})" for row in _rows(table)]
        return f"the controls behaved: {' and '.join(told)} against {verdict.predictive}"
    told = [
        f"{row.control} does not {_infinitive(row.expected)} ({_control_numbers(row)}) against "
        f"{verdict.predictive}"
        for row in _rows(table[~table.behaved])
    ]
    return f"THE COMPARISON CANNOT BE TRUSTED, because {' and '.join(told)}"


def _infinitive(expected: str) -> str:
    return {"loses": "lose", "wins": "win"}[expected]


def _control_numbers(row: pd.Series) -> str:
    change = signed_percent(float(row.relative_to_predictive), digits=1)
    return f"quantile loss {change}, {p_value_text(float(row.dm_p_value))}"


def _rows(table: pd.DataFrame) -> Iterator[pd.Series]:
    for _, row in table.iterrows():
        yield row


def _control_row(verdict: Verdict, cells: Cells, name: str) -> dict[str, object]:
    tail = verdict.replay.market.tail_probability
    ours = quantile_loss(cells.loss, cells.of(verdict.predictive), tail_probability=tail)
    control = quantile_loss(cells.loss, cells.of(name), tail_probability=tail)
    difference = cells.per_origin(control - ours)
    test = diebold_mariano(difference, np.zeros_like(difference), horizon=verdict.horizon)
    must_lose = _MUST_LOSE.get(name, True)
    right_way = float(difference.mean()) > 0.0 if must_lose else float(difference.mean()) < 0.0
    return {
        "control": name,
        "expected": "loses" if must_lose else "wins",
        "quantile_loss": float(control.mean()),
        "relative_to_predictive": float(control.mean() / ours.mean() - 1.0),
        "dm_p_value": test.p_value,
        "behaved": bool(right_way and test.p_value < SIGNIFICANCE_LEVEL),
    }


def _caveats(verdict: Verdict) -> Iterator[str]:
    for name in verdict.replay.leaking:
        yield (
            f"{name} knows the future: cut off at a row, it sets other margins before it. Nothing "
            "that is said of it here can be trusted."
        )
    bad = control_table(verdict)
    if not bad.behaved.all():
        names = ", ".join(bad.control[~bad.behaved.astype(bool)])
        yield f"A control did not behave ({names}): the comparison cannot be trusted."
    yield from _sample_caveats(verdict)
    yield (
        f"The reference {verdict.reference} was chosen with hindsight as the best of "
        f"{len(verdict.replay.names(Generation.REACTIVE))} reactive policies over the test period; "
        "no venue could have known it, so the bar for the predictive policy is high on purpose."
    )
    cost = _cost_change(verdict)
    if abs(cost) > EQUAL_COST_TOLERANCE:
        yield (
            f"The constants fitted on validation did not keep costs equal: {verdict.predictive} "
            f"cost {_more_or_less(cost, 'more', 'less')} than the reference in the test period, so "
            "read the shortfall at equal cost by hindsight instead."
        )
    yield from _movement_caveats(verdict)
    yield from _coverage_caveats(verdict)


def _sample_caveats(verdict: Verdict) -> Iterator[str]:
    target = verdict.replay.market.tail_probability
    yield (
        "Stated from the validation period alone: a test period of this length finds a difference "
        f"in quantile loss of {percent(verdict.detectable.relative, digits=1)} with 80 % "
        "probability; a smaller one may exist and stay unseen."
    )
    expected = expected_breaches(verdict)
    if expected < FEW_BREACHES:
        # Normal approximation of a Poisson count: 1.645 / sqrt(expected).
        noise = 1.645 / np.sqrt(expected)
        yield (
            f"Few breaches: about {expected:.0f} independent ones are expected at a target of "
            f"{percent(target)}. Counting noise alone is ±{100 * noise:.0f} % of the breach rate "
            "(90 %), more because instruments share shocks; smaller differences cannot be seen."
        )
    if verdict.horizon > 1:
        yield (
            f"Outcomes over {verdict.horizon} periods overlap. Coverage tests use every "
            f"{verdict.horizon}th origin and the other tests allow for the overlap, but there is "
            "less independent evidence than the number of cases suggests."
        )
    n_instruments = _own_series(verdict, verdict.predictive).instrument.nunique()
    if n_instruments < FEW_INSTRUMENTS:
        noun = "instrument" if n_instruments == 1 else "instruments"
        yield f"Only {n_instruments} {noun}: the result is about these, not about markets at large."


def _movement_caveats(verdict: Verdict) -> Iterator[str]:
    names = {
        "peak_to_trough": "peak-to-trough",
        "largest_increase_20": "largest increase over 20 periods",
        "large_increase_share": "rises above 25 % within 5 periods, share of periods",
    }
    ours, theirs = verdict.row(verdict.predictive), verdict.row(verdict.reference)
    worse = [
        f"{label} {_level(key, ours[key])} against {_level(key, theirs[key])}"
        for key, label in names.items()
        if (1.0 - EQUAL_MOVEMENT_TOLERANCE) * ours[key] > theirs[key]
    ]
    if worse:
        yield f"{verdict.predictive} is more procyclical than the reference: {'; '.join(worse)}."


def _level(key: str, value: float) -> str:
    return percent(value) if key.endswith("share") else _ratio(value)


def _coverage_caveats(verdict: Verdict) -> Iterator[str]:
    for policy in (verdict.predictive, verdict.reference):
        failing = failing_series(verdict, policy)
        if failing:
            yield (
                f"{policy} fails a coverage test (Kupiec, conditional coverage or dynamic "
                f"quantile, Holm, 5 %) on: {', '.join(failing)}."
            )
    target = verdict.replay.market.tail_probability
    n = _own_series(verdict, verdict.predictive).n.sum() / N_QUINTILES / verdict.horizon
    low, high = rate_band(n=n, tail_probability=target)
    names = [f"q{q}" for q in range(1, N_QUINTILES + 1)]
    own = verdict.quintiles.loc[[verdict.predictive], names].to_numpy()[0]
    rates = {name: float(rate) for name, rate in zip(names, own, strict=True)}
    outside = [f"{name} {percent(rate)}" for name, rate in rates.items() if not low <= rate <= high]
    if outside:
        yield (
            f"{verdict.predictive} misses its target at some levels of volatility: breach rate "
            f"{', '.join(outside)} (q1 calmest; 95 % band {percent(low)} to {percent(high)})."
        )


def failing_series(verdict: Verdict, policy: str) -> tuple[str, ...]:
    """Return the series (instrument and side) on which a policy fails the coverage gate."""
    own = _own_series(verdict, policy)
    failed = own[~passes_gate(own)]
    return tuple(f"{row.instrument} {row.side}" for row in _rows(failed))


def _own_series(verdict: Verdict, policy: str) -> pd.DataFrame:
    return verdict.series[verdict.series.policy == policy]


def _cost_change(verdict: Verdict) -> float:
    return float(verdict.row(verdict.predictive)["matched_cost_ratio"]) - 1.0


def _more_or_less(change: float, more: str, less: str) -> str:
    return f"{percent(abs(change))} {more if change > 0.0 else less}"


def _interval(interval: BootstrapInterval) -> str:
    includes = ", which includes zero" if interval.low <= 0.0 <= interval.high else ""
    return (
        f"{percent(interval.confidence_level, digits=0)} interval {signed_percent(interval.low)} "
        f"to {signed_percent(interval.high)}{includes}"
    )


def _ratio(value: float) -> str:
    return f"{value:.2f}\N{MULTIPLICATION SIGN}" if np.isfinite(value) else "not defined"
