r"""Do margins hold as often as they say? A sequential test with a stated rate of false alarms.

The null: given what was known when a margin was quoted, the loss is above it with probability at
most `tail_probability` :math:`p`. Against breach rates :math:`q_j > p` of weight :math:`w_j`, each
outcome multiplies

.. math:: R_j \leftarrow (R_j + w_j) \Lambda_j, \qquad
   \Lambda_j = q_j/p \text{ for a breach},\ (1 - q_j)/(1 - p) \text{ for none},

which is the detector of Shiryaev (1963) and Roberts (1966) for a change at an unknown moment,
mixed over unknown rates; Shin, Ramdas and Rinaldo (2023) call it an e-detector. Under the null
:math:`\sum_j R_j` has mean at most :math:`n` after :math:`n` outcomes, however the market depends
on its past. Hence with the threshold :math:`N`, by Doob's inequality: **a false alarm among**
:math:`n` **outcomes has a probability of at most** :math:`n/N`.

Outcomes over `lag` periods overlap. They are dealt round to `lag` such detectors; each sees
outcomes that follow one another, the bound of each is :math:`n/(N\,\text{lag})`, and their sum is
the same.

The other side (`rare`) asks whether margins are too high: capital is locked without need. Its null
is that a loss is above the margin with probability *at least* :math:`p`, its alternatives are rates
below, and the bound is the same. Where no margin is ever broken the statistic grows by
:math:`1/(1 - p)` an outcome at most, so that fewer outcomes than :attr:`CoverageTest.fewest` cannot
raise it, whatever they are.
"""

import math
from array import array
from functools import lru_cache

from msgspec import Struct

from ...errors import InputError

_TIMES = (2.0, 4.0, 8.0, 16.0, 32.0)  # breach rates tested against, as multiples of the promised
_SHARES = (0.5, 0.25, 0.125, 0.0)  # the same of the test for margins that are too high
_LARGEST_RATE = 0.9
_CLEAR_EXPECTED = 2.0  # an alarm is over after as many outcomes as breaches are expected ...
_CLEAR_TIMES = 2.0  # ... with at most this multiple of them
_RARE_EXPECTED, _RARE_BREACHES = 4.0, 3  # too high: with as many expected, at least so many came
_LARGEST_LAG = 10_000


class CoverageStanding(Struct, frozen=True, kw_only=True):
    """Coverage of one side of one instrument.

    Attributes
    ----------
    instrument, side : str
        ``long`` or ``short``.
    tail_probability : float
        Breach rate that was promised.
    judged, breaches : int
        Outcomes so far, and those with a loss above the margin.
    recent_judged, recent_breaches : int
        The same of the last outcomes.
    evidence : float
        Largest statistic over the threshold, from 0; one raises the alarm.
    alarmed : bool
        Whether an alarm is not over yet.
    alarms : int
        Alarms so far.
    rare : bool
        Whether the evidence is of too few breaches, and not of too many.
    fewest : int
        Outcomes without which no alarm is possible.
    """

    instrument: str
    side: str
    tail_probability: float
    judged: int
    breaches: int
    recent_judged: int
    recent_breaches: int
    evidence: float
    alarmed: bool
    alarms: int
    rare: bool = False
    fewest: int = 1

    @property
    def recent_rate(self) -> float | None:
        """Breach rate of the last outcomes; None before the first."""
        return self.recent_breaches / self.recent_judged if self.recent_judged else None


class CoverageState(Struct, frozen=True, kw_only=True):
    """Everything that a test remembers; `recent` has a byte for each outcome, oldest first."""

    detectors: list[list[float]]
    recent: bytes
    judged: int
    breaches: int
    alarms: int
    alarmed: bool
    block: int
    block_breaches: int


class CoverageTest:
    """The sequential test of one stream of outcomes.

    Parameters
    ----------
    tail_probability : float
        Promised breach rate, in (0, 0.5).
    lag : int
        Periods of an outcome; as many detectors take turns.
    false_alarm_every : float
        Threshold :math:`N`, above 1: among :math:`n` outcomes a false alarm has at most the
        probability :math:`n/N`.
    window : int
        Outcomes of the recent breach rate.
    rare : bool
        Whether to test for too few breaches, and not for too many.
    """

    def __init__(
        self,
        *,
        tail_probability: float,
        lag: int = 1,
        false_alarm_every: float = 100_000.0,
        window: int = 1_000,
        rare: bool = False,
    ) -> None:
        _check(tail_probability, lag, false_alarm_every, window)
        self.tail_probability, self.lag, self.rare = tail_probability, lag, rare
        self._threshold = false_alarm_every
        self._rates = _alternatives(tail_probability, rare=rare)
        self._weight = 1.0 / len(self._rates)
        # Of many instruments: flat numbers and a byte for each outcome, not objects.
        self._detectors = array("d", bytes(8 * lag * len(self._rates)))
        self._recent_length = window
        self._recent, self._oldest = bytearray(), 0
        self._recent_breaches = 0
        self._judged = self._breaches = self._alarms = 0
        self._alarmed = False
        self._block = self._block_breaches = 0

    def update(self, breach: bool) -> bool:
        """Take the next outcome, in the order of origins; return whether it raises the alarm."""
        detectors, first = self._detectors, self._judged % self.lag * len(self._rates)
        self._count(breach)
        p = self.tail_probability
        for j, rate in enumerate(self._rates, start=first):
            factor = rate / p if breach else (1.0 - rate) / (1.0 - p)
            detectors[j] = (detectors[j] + self._weight) * factor
        if sum(detectors[first : first + len(self._rates)]) >= self._threshold:
            self._raise()
            return True
        self._clear_if_over()
        return False

    def standing(self, instrument: str, side: str) -> CoverageStanding:
        """Return the counts and the evidence, under a name."""
        return CoverageStanding(
            instrument=instrument,
            side=side,
            tail_probability=self.tail_probability,
            judged=self._judged,
            breaches=self._breaches,
            recent_judged=len(self._recent),
            recent_breaches=self._recent_breaches,
            evidence=max(map(sum, self._rows())) / self._threshold,
            alarmed=self._alarmed,
            alarms=self._alarms,
            rare=self.rare,
            fewest=self.fewest,
        )

    @property
    def fewest(self) -> int:
        """Fewest outcomes that can raise the alarm, in a row from nothing."""
        rounds = _fewest_rounds(self.tail_probability, self._threshold, self.rare)
        return (rounds - 1) * self.lag + 1

    def state(self) -> CoverageState:
        """Return everything that it remembers."""
        return CoverageState(
            detectors=self._rows(),
            recent=bytes(self._recent[self._oldest :] + self._recent[: self._oldest]),
            judged=self._judged,
            breaches=self._breaches,
            alarms=self._alarms,
            alarmed=self._alarmed,
            block=self._block,
            block_breaches=self._block_breaches,
        )

    def restore(self, state: CoverageState) -> None:
        """Go on from a state.

        Raises
        ------
        InputError
            If it is of a test with other parameters.
        """
        shape = (len(state.detectors), {len(one) for one in state.detectors})
        if shape != (self.lag, {len(self._rates)}) or len(state.recent) > self._recent_length:
            raise InputError(
                f"a state must be of {self.lag} detectors of {len(self._rates)} rates, is of "
                f"{shape[0]} with {len(state.recent)} outcomes; begin anew"
            )
        self._detectors = array("d", (value for one in state.detectors for value in one))
        self._recent, self._oldest = bytearray(map(bool, state.recent)), 0
        self._recent_breaches = sum(self._recent)
        self._judged, self._breaches = state.judged, state.breaches
        self._alarms, self._alarmed = state.alarms, state.alarmed
        self._block, self._block_breaches = state.block, state.block_breaches

    def _rows(self) -> list[list[float]]:
        """Return the statistics of every detector."""
        n = len(self._rates)
        return [self._detectors[j : j + n].tolist() for j in range(0, self.lag * n, n)]

    def _count(self, breach: bool) -> None:
        self._judged += 1
        self._breaches += breach
        if len(self._recent) == self._recent_length:
            self._recent_breaches -= self._recent[self._oldest]
            self._recent[self._oldest] = breach
            self._oldest = (self._oldest + 1) % self._recent_length
        else:
            self._recent.append(breach)
        self._recent_breaches += breach
        self._block += 1
        self._block_breaches += breach

    def _raise(self) -> None:
        self._alarms += 1
        self._alarmed = True
        self._block = self._block_breaches = 0
        self._detectors = array("d", bytes(8 * len(self._detectors)))

    def _clear_if_over(self) -> None:
        """End an alarm after a block of outcomes that shows nothing wrong; else begin another."""
        expected = _RARE_EXPECTED if self.rare else _CLEAR_EXPECTED
        if not self._alarmed or self._block * self.tail_probability < expected:
            return
        self._alarmed = (
            self._block_breaches < _RARE_BREACHES
            if self.rare
            else self._block_breaches > _CLEAR_EXPECTED * _CLEAR_TIMES
        )
        self._block = self._block_breaches = 0


def _alternatives(tail_probability: float, *, rare: bool) -> tuple[float, ...]:
    if rare:
        return tuple(share * tail_probability for share in _SHARES)
    rates = {min(times * tail_probability, _LARGEST_RATE) for times in _TIMES}
    return tuple(sorted(rates))


def _check(tail_probability: float, lag: int, false_alarm_every: float, window: int) -> None:
    if not 0.0 < tail_probability < 0.5:
        raise InputError(
            f"tail_probability must be in (0, 0.5), was {tail_probability}; write 0.01 for 1 %"
        )
    if not 1 <= lag <= _LARGEST_LAG:
        raise InputError(f"lag must be from 1 to {_LARGEST_LAG} periods, was {lag}")
    if not (math.isfinite(false_alarm_every) and false_alarm_every > 1.0):
        raise InputError(
            f"false_alarm_every must be above 1 outcome, was {false_alarm_every}; write 100_000"
        )
    if window < 1:
        raise InputError(f"window must be at least 1 outcome, was {window}; write 1_000")


@lru_cache(maxsize=256)  # thousands of instruments have the same few
def _fewest_rounds(p: float, threshold: float, rare: bool) -> int:
    """Return the fewest outcomes of one detector that raise the alarm, in a row from nothing."""
    rates = _alternatives(p, rare=rare)
    likely = [(1.0 - q) / (1.0 - p) if rare else q / p for q in rates]
    total, weight, rounds = [0.0] * len(rates), 1.0 / len(rates), 0
    while sum(total) < threshold:
        total = [(r + weight) * ratio for r, ratio in zip(total, likely, strict=True)]
        rounds += 1
    return rounds
