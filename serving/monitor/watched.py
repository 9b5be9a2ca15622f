"""Everything that is known of one instrument: from its quotes and closes, and from nothing else."""

import math

from msgspec import Struct

from ...errors import InputError
from ..observations import Bar
from ..quote import Quote, Status
from .alerts import SECOND_NS
from .coverage import CoverageStanding, CoverageState, CoverageTest
from .drift import DriftSettings, DriftState, InstrumentDrift
from .outcomes import InstrumentOutcomes, Judged, OutcomesState

SIDES = ("long", "short")

_FEWEST_ORIGINS = 250  # a year of days: below it a mean of margins is one mood of the market
_NO_BREACH = 3.0  # expected breaches of which seeing none is as likely as one in twenty
FAR_ABOVE = 2.0
"""Mean margin over the mean reactive one from which margins are far above."""


class MonitorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the monitor can be told.

    Attributes
    ----------
    stale_after_s : float
        Age of data beyond the end of their period from which a feed is stale, seconds; as in the
        settings of the ladder.
    false_alarm_every : float
        Outcomes of a side; see :mod:`.coverage`.
    points : int
        Origins kept for the page, by instrument.
    drift : DriftSettings
        See there.
    """

    stale_after_s: float = 900.0
    false_alarm_every: float = 100_000.0
    points: int = 500
    drift: DriftSettings = DriftSettings()


class HeightStanding(Struct, frozen=True, kw_only=True):
    """How high the margins of one side are, beside what everybody else would ask for.

    Attributes
    ----------
    instrument, side : str
        ``long`` or ``short``.
    n, fewest : int
        Origins that were compared, and those without which nothing is said.
    ratio : float
        Mean margin over the mean reactive one; NaN without any.
    far : bool
        Whether there are enough origins, the ratio is 2 or more, and losses are above the margin no
        oftener than promised.
    """

    instrument: str
    side: str
    n: int
    fewest: int
    ratio: float
    far: bool


class _TestState(Struct, frozen=True):
    side: str
    rare: bool
    tail_probability: float
    lag: int
    test: CoverageState


class WatchedState(Struct, frozen=True, kw_only=True):
    """Everything that is remembered of an instrument."""

    name: str
    quote: Quote | None
    first_at: int
    period_s: float
    outcomes: OutcomesState
    drift: DriftState
    tests: list[_TestState]


class Watched:
    """What became of the margins of one instrument.

    Parameters
    ----------
    name : str
        Instrument.
    settings : MonitorSettings
        Limits.
    reference : sequence of float
        See :class:`.drift.InstrumentDrift`.
    """

    def __init__(
        self, name: str, *, settings: MonitorSettings, reference: tuple[float, ...] = ()
    ) -> None:
        self.name, self._settings = name, settings
        self.outcomes = InstrumentOutcomes(points=settings.points)
        self.drift = InstrumentDrift(settings.drift, reference=reference)
        self._tests: dict[tuple[str, bool], CoverageTest] = {}
        self.quote: Quote | None = None
        self.first_at = 0
        self.period_s = 0.0

    def quoted(self, quote: Quote) -> None:
        """Take a quote; the same one again is none."""
        if quote == self.quote:
            return
        self.quote = quote
        self.first_at = self.first_at or quote.quoted_at
        if quote.calculation is not None:
            made_of = quote.calculation
            self.period_s = made_of.horizon_s / max(made_of.horizon_periods, 1)
        self.outcomes.quoted(quote)

    def closed(self, bar: Bar) -> None:
        """Take a close; it judges the margins quoted before it."""
        for judged in self.outcomes.closed(bar.time, bar.close):
            self._judge(judged)

    def coverage(self, *, rare: bool = False) -> list[CoverageStanding]:
        """Return how often both sides were broken: too often, or too rarely (`rare`)."""
        return [
            test.standing(self.name, side)
            for (side, seldom), test in self._tests.items()
            if seldom is rare
        ]

    def heights(self) -> list[HeightStanding]:
        """Return how high the margins of both sides are."""
        out = []
        for one in self.coverage(rare=True):
            n, ratio = self.outcomes.heights(one.side)
            fewest = max(_FEWEST_ORIGINS, math.ceil(_NO_BREACH / one.tail_probability))
            seldom = one.recent_breaches <= one.tail_probability * one.recent_judged
            far = n >= fewest and ratio >= FAR_ABOVE and seldom
            out.append(
                HeightStanding(
                    instrument=self.name, side=one.side, n=n, fewest=fewest, ratio=ratio, far=far
                )
            )
        return out

    def overdue_s(self, now: int) -> float | None:
        """Return the age of the data beyond the moment at which the next were due, seconds.

        Negative before it; NaN where the ladder has given them up; None before the first quote.
        When they are due is what the calculation says by the calendar of the instrument, and one
        period after the last where it says nothing.

        Parameters
        ----------
        now : int
            Ns UTC.
        """
        quote = self.quote
        if quote is None:
            return None
        if not quote.observed_at:  # a service that starts gets the time that a feed gets
            return (now - self.first_at) / SECOND_NS
        age = (now - self._due(quote)) / SECOND_NS
        if quote.status is Status.FALLBACK:
            return math.nan
        if quote.status is Status.STALE:  # what came may be waiting for a calculator
            return max(age, math.nextafter(self._settings.stale_after_s, math.inf))
        return age

    def state(self) -> WatchedState:
        """Return everything that it remembers."""
        tests = [
            _TestState(side, rare, test.tail_probability, test.lag, test.state())
            for (side, rare), test in self._tests.items()
        ]
        return WatchedState(
            name=self.name,
            quote=self.quote,
            first_at=self.first_at,
            period_s=self.period_s,
            outcomes=self.outcomes.state(),
            drift=self.drift.state(),
            tests=tests,
        )

    def restore(self, state: WatchedState) -> None:
        """Go on from a state of the same settings.

        Raises
        ------
        InputError
            If it does not fit them.
        """
        self.quote, self.first_at, self.period_s = state.quote, state.first_at, state.period_s
        try:
            self.outcomes.restore(state.outcomes)
            self.drift.restore(state.drift)
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(
                f"a state of {self.name} must be whole, found {error!r}; begin anew"
            ) from error
        for one in state.tests:
            test = self._test(one.side, one.tail_probability, one.lag, rare=one.rare)
            test.restore(one.test)

    def _due(self, quote: Quote) -> int:
        if quote.calculation is not None and quote.calculation.due_at:
            return quote.calculation.due_at
        return quote.observed_at + round(self.period_s * SECOND_NS)

    def _judge(self, judged: Judged) -> None:
        self.drift.add(judged)
        losses = (
            judged.long_loss_bps > judged.long_margin_bps,
            judged.short_loss_bps > judged.short_margin_bps,
        )
        for side, breach in zip(SIDES, losses, strict=True):
            for rare in (False, True):
                test = self._test(side, judged.tail_probability, judged.lag, rare=rare)
                test.update(breach)

    def _test(self, side: str, tail_probability: float, lag: int, *, rare: bool) -> CoverageTest:
        test = self._tests.get((side, rare))
        # Another promise is another test; the evidence against the old one says nothing of it.
        if test is None or (test.tail_probability, test.lag) != (tail_probability, lag):
            test = self._tests[side, rare] = CoverageTest(
                tail_probability=tail_probability,
                lag=lag,
                false_alarm_every=self._settings.false_alarm_every,
                rare=rare,
            )
        return test
