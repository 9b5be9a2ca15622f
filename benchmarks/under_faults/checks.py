"""What must hold of the answers and the journal after a run, worked out anew from the rules.

Each check returns what is wrong, a sentence each, and is written from the page on the ladder: the
code of the service is not asked. Quotes are JSON as they were answered or journalled.
"""

import math
import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .journal import Line

_SECOND = 10**9
_FIELDS = ("initial_margin_bps", "maintenance_margin_bps")
_SIDES = ("long", "short")
_OLD = ("stale", "fallback")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings of the ladder, and the smallest status that each age must have."""

    stale_after_s: float
    fixed_after_s: float
    add_on_per_hour: float
    largest_add_on: float
    fixed: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at all margins.

    Attributes
    ----------
    time : int
        When it began, ns UTC of the replay as it really was, whatever the service's clock said.
    quotes : list
        As answered.
    fault : str
        What was broken; empty if nothing was.
    """

    time: int
    quotes: Sequence[Any]
    fault: str


def margins_of(quote: Mapping[str, Any]) -> list[int]:
    """Return the four margins of a quote or calculation, bps: initial before maintenance."""
    return [int(quote[side][field]) for side in _SIDES for field in _FIELDS]


def complete(quotes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Find answers without a status, a basis, an age, or a margin that is a margin."""
    for quote in quotes:
        initial, maintenance = margins_of(quote)[::2], margins_of(quote)[1::2]
        whole = quote["status"] and quote["basis"] and quote["quoted_at"] > 0
        age_known = quote["observed_at"] > 0 or quote["basis"] == "fixed"
        ordered = all(0 < m <= i for i, m in zip(initial, maintenance, strict=True))
        if not (whole and age_known and ordered):
            yield f"{_name(quote)} is not whole: {quote}"


def applied_bars(lines: Iterable[Line]) -> dict[tuple[str, int], int]:
    """Return the close of the last bar behind every quote in the journal, by name and number."""
    bars: dict[str, list[tuple[int, int]]] = defaultdict(list)
    behind: dict[tuple[str, int], int] = {}
    for line in lines:
        if line.kind == "observations":
            for one in line.what["observations"]:
                if one["type"] == "bar":
                    bars[one["instrument"]].append((line.sequence, one["time"]))
        elif line.kind == "quotes":
            for made in line.what["quotes"]:
                name, number = made["quote"]["instrument"], made["quote"]["sequence"]
                closes = (time for at, time in bars[name] if at <= line.what["applied"])
                behind.setdefault((name, number), max(closes, default=0))
    return behind


def never_lower(
    quotes: Iterable[Mapping[str, Any]], bars: Mapping[tuple[str, int], int]
) -> Iterator[str]:
    """Find margins that fell before something newer was observed, or another bar applied.

    A price of now is newer than the bars that come late after it, so each of them counts as well.
    """
    last: dict[str, Mapping[str, Any]] = {}
    for quote in quotes:
        before = last.get(quote["instrument"])
        last[quote["instrument"]] = quote
        if before is None or any(map(operator.gt, _news(quote, bars), _news(before, bars))):
            continue
        if any(now < then for now, then in zip(margins_of(quote), margins_of(before), strict=True)):
            yield (
                f"{_name(quote)} fell from {margins_of(before)} to {margins_of(quote)} "
                f"({before['status']} to {quote['status']}) with nothing newer"
            )


def _news(quote: Mapping[str, Any], bars: Mapping[tuple[str, int], int]) -> tuple[int, int]:
    return int(quote["observed_at"]), bars.get((quote["instrument"], quote["sequence"]), 0)


def held(quotes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Find margins on a lower rung below the last one of the best rung."""
    best: dict[str, list[int]] = {}
    for quote in quotes:
        known = quote["calculation"]
        if known is None:
            continue
        if not known["reason"]:
            best[quote["instrument"]] = margins_of(known)
            continue
        floor = best.get(quote["instrument"])
        if floor and any(now < then for now, then in zip(margins_of(quote), floor, strict=True)):
            yield f"{_name(quote)} is {margins_of(quote)} on a lower rung, below {floor}"


def told(made: Iterable[Mapping[str, Any]], rules: Rules) -> Iterator[str]:
    """Find what is old and does not say so, or lacks the add-on or, at last, the fixed margin.

    `made` is what the journal has of a quote: itself and since when something was waiting.
    """
    for one in made:
        quote, known = one["quote"], one["quote"]["calculation"]
        if known is None:
            continue
        due = known["due_at"] or (
            known["observed_at"] + known["horizon_s"] * _SECOND // known["horizon_periods"]
        )
        waiting = one["waiting_since"]
        age = quote["quoted_at"] - (due if waiting is None else min(due, waiting))
        expected = _expected(margins_of(known), age, rules)
        if age > rules.stale_after_s * _SECOND and quote["status"] not in _OLD:
            yield f"{_name(quote)} is {quote['status']} at an age of {age / 1e9:.0f} s"
        if any(now < then for now, then in zip(margins_of(quote), expected, strict=True)):
            yield f"{_name(quote)} is {margins_of(quote)}, must be at least {expected}"


def _expected(margins: Sequence[int], age: int, rules: Rules) -> list[int]:
    out = list(margins)
    if age > rules.stale_after_s * _SECOND:
        minutes = -(-age // (60 * _SECOND))
        rise = Fraction(str(rules.add_on_per_hour)) * minutes / 60
        rise = min(rise, Fraction(str(rules.largest_add_on)))
        out = [math.ceil(one * (1 + rise)) for one in out]
    if age > rules.fixed_after_s * _SECOND:
        out = [max(now, fixed) for now, fixed in zip(out, rules.fixed * 2, strict=True)]
    return out


def late(looks: Iterable[Look], *, period_s: float, within_s: float) -> Iterator[str]:
    """Find what is not called old and rests on data that are, by the true time."""
    for look in looks:
        for quote in look.quotes:
            age = (look.time - quote["observed_at"]) / _SECOND - period_s
            if quote["status"] not in _OLD and age > within_s:
                yield f"{_name(quote)} was {quote['status']} {age:.0f} s after it was due"


def kept(acknowledged: Mapping[int, Any], lines: Iterable[Line]) -> Iterator[str]:
    """Find observations that were acknowledged and are not in the journal at their place."""
    records = {line.sequence: line for line in lines}
    for sequence, observation in acknowledged.items():
        line = records.get(sequence)
        if line is None or line.kind not in ("observations", "held"):
            yield f"record {sequence} was acknowledged and is not there"
        elif not any(observation.items() <= one.items() for one in line.what["observations"]):
            yield f"record {sequence} lacks {observation}"


def journalled(lines: Iterable[Line]) -> list[Any]:
    """Return what the journal has of all quotes, oldest first."""
    return [one for line in lines if line.kind == "quotes" for one in line.what["quotes"]]


def numbered(quotes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Find numbers that stand for two quotes of an instrument."""
    seen: dict[str, dict[int, Any]] = defaultdict(dict)
    for quote in quotes:
        mine = seen[quote["instrument"]]
        if mine.setdefault(quote["sequence"], quote) != quote:
            yield f"{_name(quote)} stands for two quotes"


def _name(quote: Mapping[str, Any]) -> str:
    return f"quote {quote['sequence']} of {quote['instrument']}"
