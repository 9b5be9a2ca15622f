"""How fast an error budget burns: the multi-window rules of the SRE workbook.

An objective allows a share of bad events, ``1 - target``. The burn rate of a window is its share of
bad events over that budget: at 1 the budget lasts exactly its 30 days. A rule is active when a long
window *and* a short one burn above its rate: the long one that it matters, the short one that it
still goes on.

Beyer, Murphy, Rensin, Kawahara and Thorne (2018), The Site Reliability Workbook, chapter 5.
"""

import math
from array import array
from bisect import bisect_right

from msgspec import Struct

from ...errors import InputError

HOUR_S = 3_600.0
LEAST_BAD = 3
"""Bad events in the long window below which no rule is active: with little traffic a single error
is a large share and no burning budget."""

_CAPACITY_SLACK = 2  # samples are cut from the front in halves, not one by one


class BurnRule(Struct, frozen=True, kw_only=True):
    """One pair of windows.

    Attributes
    ----------
    rate : float
        Multiple of the budget's even use.
    long_s, short_s : float
        Windows, seconds.
    severity : str
        ``page`` wakes somebody, ``ticket`` waits for the morning.
    """

    rate: float
    long_s: float
    short_s: float
    severity: str


BURN_RULES = (
    BurnRule(rate=14.4, long_s=HOUR_S, short_s=300.0, severity="page"),
    BurnRule(rate=6.0, long_s=6 * HOUR_S, short_s=1_800.0, severity="page"),
    BurnRule(rate=1.0, long_s=72 * HOUR_S, short_s=6 * HOUR_S, severity="ticket"),
)
"""When a budget is spent too fast: pages for hours, a ticket for days."""


class Objective(Struct, frozen=True, kw_only=True):
    """What was promised of events.

    Attributes
    ----------
    name : str
        For example ``availability``.
    target : float
        Share of good events, in (0, 1).
    """

    name: str
    target: float


AVAILABILITY = Objective(name="availability", target=0.9999)
"""Answers that are no server error."""
LATENCY = Objective(name="latency", target=0.999)
"""Reads of margins that were answered within 5 ms."""


class Burn(Struct, frozen=True, kw_only=True):
    """One rule, at one moment.

    Attributes
    ----------
    rule : BurnRule
        Which.
    long_rate, short_rate : float
        Burn rates of both windows, multiples of the budget; 0 without events.
    bad : float
        Bad events in the long window.
    """

    rule: BurnRule
    long_rate: float
    short_rate: float
    bad: float

    @property
    def active(self) -> bool:
        """Whether both windows burn above the rate and it is more than chance."""
        return self.bad >= LEAST_BAD and min(self.long_rate, self.short_rate) > self.rule.rate


class BurnRate:
    """Burn rates of one objective from counters that only rise.

    Samples of the counters are kept for the longest window; a window that reaches back before the
    first of them begins there. A counter that falls has started again from zero, and what it shows
    is new.

    Parameters
    ----------
    objective : Objective
        Target.
    rules : tuple of BurnRule
        Windows.
    """

    def __init__(self, objective: Objective, *, rules: tuple[BurnRule, ...] = BURN_RULES) -> None:
        if not 0.0 < objective.target < 1.0:
            raise InputError(
                f"target must be in (0, 1), was {objective.target}; write 0.999 for 99.9 %"
            )
        self.objective, self._rules = objective, rules
        self._longest = max(rule.long_s for rule in rules)
        self._time, self._total, self._bad = array("d"), array("d"), array("d")
        self._last = (0.0, 0.0)

    def sample(self, now_s: float, *, total: float, bad: float) -> list[Burn]:
        """Take the counters at `now_s`, seconds on any clock that only rises; return every rule.

        Raises
        ------
        InputError
            If a count is not finite or more are bad than there are.
        """
        if not (math.isfinite(total) and 0.0 <= bad <= total):
            raise InputError(f"counts must be finite with 0 <= bad <= total, were {bad} of {total}")
        if self._time and now_s < self._time[-1]:
            now_s = self._time[-1]  # a clock set back makes no window longer
        before_total, before_bad = self._last
        again = total < before_total or bad < before_bad
        self._last = (total, bad)
        rise = (total, bad) if again else (total - before_total, bad - before_bad)
        if self._time:
            self._append(now_s, self._total[-1] + rise[0], self._bad[-1] + rise[1])
        else:
            # What was counted before anybody looked happened within the first windows.
            self._append(now_s, 0.0, 0.0)
            self._append(now_s, *rise)
        return [self._burn(rule, now_s) for rule in self._rules]

    def _append(self, time: float, total: float, bad: float) -> None:
        self._time.append(time)
        self._total.append(total)
        self._bad.append(bad)
        # One sample older than the window stays: the window begins there.
        old = bisect_right(self._time, time - self._longest) - 1
        if old * _CAPACITY_SLACK > len(self._time):
            del self._time[:old], self._total[:old], self._bad[:old]

    def _burn(self, rule: BurnRule, now_s: float) -> Burn:
        long_rate, bad = self._rate(now_s - rule.long_s)
        short_rate, _ = self._rate(now_s - rule.short_s)
        return Burn(rule=rule, long_rate=long_rate, short_rate=short_rate, bad=bad)

    def _rate(self, since: float) -> tuple[float, float]:
        first = max(bisect_right(self._time, since) - 1, 0)
        total = self._total[-1] - self._total[first]
        bad = self._bad[-1] - self._bad[first]
        return (bad / total / (1.0 - self.objective.target) if total else 0.0), bad
