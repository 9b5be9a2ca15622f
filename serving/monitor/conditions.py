"""What is a fault: the rules of the alerts, and signals from what was looked at."""

import math
from collections.abc import Iterable, Mapping

from .alerts import AlertRule, Signal
from .burn import Burn
from .coverage import CoverageStanding
from .drift import DriftStanding
from .watched import FAR_ABOVE, HeightStanding

STALE_FEED = AlertRule(name="stale-feed", severity="page", clear_s=30.0)
BREAKER_OPEN = AlertRule(name="breaker-open", severity="page")
RECORD_LEFT_OUT = AlertRule(name="record-left-out", severity="page", clear_s=0.0)
COVERAGE = AlertRule(name="coverage", severity="page", clear_s=0.0)
MARGINS_HIGH = AlertRule(name="margins-high", severity="ticket", clear_s=0.0)
DRIFT = AlertRule(name="drift", severity="ticket", clear_s=0.0)
BURN_PAGE = AlertRule(name="budget-burn-page", severity="page")
BURN_TICKET = AlertRule(name="budget-burn-ticket", severity="ticket")

ALERT_RULES = (
    *(STALE_FEED, BREAKER_OPEN, RECORD_LEFT_OUT, COVERAGE),
    *(MARGINS_HIGH, DRIFT, BURN_PAGE, BURN_TICKET),
)
"""All rules of the service."""

EVALUATE_EVERY_S = 15.0
"""Seconds between two evaluations; a fault is alerted by the first after it."""

LEFT_OUT_S = 3_600.0
"""Seconds for which a record that was left out is a fault."""

LARGEST_SILENCE_S = 60.0
"""Seconds without an evaluation after which whoever scrapes must raise the alarm themselves."""


def stale_signals(age_s: Mapping[str, float], *, limit_s: float) -> list[Signal]:
    """Signal every instrument whose data are too old.

    Parameters
    ----------
    age_s : mapping of str to float
        Seconds beyond the end of the period by instrument; NaN if nothing was ever seen.
    limit_s : float
        Largest age that is none.
    """
    return [
        Signal(
            rule=STALE_FEED.name,
            subject=instrument,
            value=age,
            threshold=limit_s,
            active=not age <= limit_s,
            summary=f"data of {instrument} come again"
            if age <= limit_s
            else f"no new data of {instrument} for {_seconds(age)} beyond its period, "
            f"at most {limit_s:.0f} s are allowed",
        )
        for instrument, age in age_s.items()
    ]


def breaker_signals(states: Mapping[str, str]) -> list[Signal]:
    """Signal every breaker that is not closed; half-open is on trial and still a fault."""
    return [
        Signal(
            rule=BREAKER_OPEN.name,
            subject=name,
            value=float(state != "closed"),
            threshold=0.0,
            active=state != "closed",
            summary=f"breaker {name} is {state}",
        )
        for name, state in states.items()
    ]


def left_out_signal(count: int, last: str, *, age_s: float) -> Signal:
    """Signal records of observations that were acknowledged and have changed no margin.

    Parameters
    ----------
    count : int
        Of them.
    last : str
        The newest, and why.
    age_s : float
        Seconds since it was left out.
    """
    active = count > 0 and age_s < LEFT_OUT_S
    return Signal(
        rule=RECORD_LEFT_OUT.name,
        subject="calculator",
        value=float(count),
        threshold=0.0,
        active=active,
        summary=f"observations changed no margin: {last}"
        if active
        else f"no record was left out for {LEFT_OUT_S / 60:.0f} min",
    )


def coverage_signals(standings: Iterable[CoverageStanding]) -> list[Signal]:
    """Signal every side whose margins were broken more often than promised."""
    return [
        Signal(
            rule=COVERAGE.name,
            subject=f"{standing.instrument} {standing.side}",
            value=_known(standing.recent_rate),
            threshold=standing.tail_probability,
            active=standing.alarmed,
            summary=f"{standing.recent_breaches} of the last {standing.recent_judged} losses of "
            f"{standing.instrument} {standing.side} were above the margin, "
            f"{standing.tail_probability:.2%} were promised",
        )
        for standing in standings
        if standing.judged
    ]


def height_signals(
    rare: Iterable[CoverageStanding], heights: Iterable[HeightStanding]
) -> list[Signal]:
    """Signal every side whose margins lock capital without need.

    Parameters
    ----------
    rare : iterable of CoverageStanding
        Tests for too few breaches.
    heights : iterable of HeightStanding
        Margins beside the reactive ones.
    """
    out = [
        Signal(
            rule=MARGINS_HIGH.name,
            subject=f"{one.instrument} {one.side}",
            value=_known(one.recent_rate),
            threshold=one.tail_probability,
            active=one.alarmed,
            summary=f"only {one.recent_breaches} of the last {one.recent_judged} losses of "
            f"{one.instrument} {one.side} were above the margin, {one.tail_probability:.2%} were "
            "promised: margins lock capital without need",
        )
        for one in rare
        if one.judged
    ]
    out += [
        Signal(
            rule=MARGINS_HIGH.name,
            subject=f"{one.instrument} {one.side} reactive",
            value=one.ratio,
            threshold=FAR_ABOVE,
            active=one.far,
            summary=f"margins of {one.instrument} {one.side} were {one.ratio:.1f} times the "
            f"reactive ones over the last {one.n} periods, and losses above them no oftener than "
            "promised",
        )
        for one in heights
        if one.n
    ]
    return out


def drift_signals(standings: Iterable[DriftStanding]) -> list[Signal]:
    """Signal every detector of drift that has raised the alarm."""
    return [
        Signal(
            rule=DRIFT.name,
            subject=f"{standing.instrument} {standing.detector}",
            value=standing.evidence,
            threshold=1.0,
            active=standing.active,
            summary=f"forecasts of {standing.instrument} drift by {standing.detector}, "
            f"statistic {standing.statistic:.3g}",
        )
        for standing in standings
    ]


def burn_signals(objective: str, burns: Iterable[Burn]) -> list[Signal]:
    """Signal every pair of windows that burns the budget of `objective` too fast."""
    return [
        Signal(
            rule=(BURN_PAGE if burn.rule.severity == "page" else BURN_TICKET).name,
            subject=f"{objective} {burn.rule.rate:g}x",
            value=burn.long_rate,
            threshold=burn.rule.rate,
            active=burn.active,
            summary=f"{objective}: the budget burns at {burn.long_rate:.1f} times its even use "
            f"over {burn.rule.long_s / 3_600:g} h and {burn.short_rate:.1f} times over "
            f"{burn.rule.short_s / 60:g} min, {burn.rule.rate:g} are allowed",
        )
        for burn in burns
    ]


def _seconds(age: float) -> str:
    return f"{age:.0f} s" if math.isfinite(age) else "ever"


def _known(value: float | None) -> float:
    return math.nan if value is None else value
