"""The ladder: the quote of an instrument from what is known of it, never less for want of data.

========== ============================================ =======================================
status     when                                         margin, each side by itself
========== ============================================ =======================================
ok         the best rung, from data that are not old    as calculated
degraded   a lower rung, or results in doubt            max(calculated, last of better rungs)
stale      older than ``stale_after_s``                 the above times 1 + add-on, rounded up
fallback   older than ``fixed_after_s``, or never       max(fixed, the above)
========== ============================================ =======================================

Age counts from when the next period should have closed, or from the first observation that the
calculator has not applied, whichever is earlier. The add-on counts whole minutes that have begun.
"""

import math
from datetime import UTC, datetime
from fractions import Fraction

import msgspec
from msgspec import Struct

from ...errors import InputError
from ..quote import Basis, Calculation, Quote, SideMargin, Status
from ..settings import FallbackSettings

_SECOND = 10**9
_STEP = 60 * _SECOND
_LONG = 3_600 * _SECOND
_ORDER = list(Basis)


class Level(Struct, frozen=True, kw_only=True, gc=False):
    """Margins of one rung, basis points: what a lower rung must not go below.

    Attributes
    ----------
    basis : Basis
        Rung.
    long, short : tuple of int
        Initial and maintenance margin.
    """

    basis: Basis
    long: tuple[int, int]
    short: tuple[int, int]


class Standing(Struct, frozen=True, kw_only=True, gc=False):
    """What the ladder knows of one instrument.

    Attributes
    ----------
    quote : Quote or None
        Last quote.
    calculation : Calculation or None
        Last calculation that was sound.
    doubt : str
        Why it must not lower a margin, as a sentence; empty if it may.
    levels : list of Level
        Last margins of the rungs used since the best one was.
    latest : int
        Latest time of a quote from calculations of this period, ns UTC, so that a clock that goes
        back makes no margin lower; 0 if there is none.
    age : int
        Largest age of the calculation that was seen, ns, so that a margin that waiting for the
        calculator has raised needs another calculation to fall.
    """

    quote: Quote | None = None
    calculation: Calculation | None = None
    doubt: str = ""
    levels: list[Level] = []
    latest: int = 0
    age: int = 0


class Ladder:
    """The rules, with their settings; functions of what they are given.

    Parameters
    ----------
    settings : FallbackSettings, optional
        Fixed margins, ages, add-on.
    """

    def __init__(self, settings: FallbackSettings | None = None) -> None:
        self.settings = FallbackSettings() if settings is None else settings
        _check(self.settings)
        self._stale = int(self.settings.stale_after_s * _SECOND)
        self._fixed = int(self.settings.fixed_after_s * _SECOND)
        # Through its decimal form: 0.05 is five hundredths, not the binary number beside it.
        self._rate = Fraction(str(self.settings.add_on_per_hour))
        self._largest = Fraction(str(self.settings.largest_add_on))

    def calculated(
        self, standing: Standing, calculation: Calculation, *, doubt: str = ""
    ) -> Standing:
        """Return the standing with a sound calculation; one in doubt lowers no margin.

        One of the same period, after a price within it say, makes its data no newer: they keep
        their age, also if the clock has gone back.
        """
        known, latest = standing.calculation, standing.latest
        if known is None or _due(calculation) > _due(known):
            latest = 0
        return msgspec.structs.replace(
            standing, calculation=calculation, doubt=doubt, latest=latest, age=0
        )

    def quote(
        self,
        standing: Standing,
        instrument: str,
        *,
        now: int,
        waiting_since: int | None = None,
        cause: str = "",
    ) -> Quote:
        """Return the quote of an instrument at a time.

        Parameters
        ----------
        standing : Standing
            What is known of it.
        instrument : str
            Its name.
        now : int
            Time, ns UTC.
        waiting_since : int, optional
            When the first observation came that the calculator has not applied, ns UTC.
        cause : str
            Why nothing newer was calculated, if that is known.

        Returns
        -------
        Quote
            Numbered after the last one.
        """
        sequence = 1 if standing.quote is None else standing.quote.sequence + 1
        known = standing.calculation
        if known is None:
            reason = _sentence("nothing has been calculated yet", cause)
            return self._fixed_quote(instrument, sequence, now=now, reason=reason)
        age = self._age(standing, now, waiting_since)
        long, short, basis, status, reason = self._sides(standing, age)
        if age > self._stale:
            reason = _sentence(
                f"nothing after {_moment(known.observed_at)} has been calculated", cause
            )
        return Quote(
            instrument=instrument,
            sequence=sequence,
            status=status,
            basis=basis,
            reason=reason,
            observed_at=known.observed_at,
            quoted_at=now,
            valid_until=now + self._left(age),
            long=long,
            short=short,
            calculation=None if long == short == self._fixed_side() else known,
        )

    def followed(
        self,
        standing: Standing,
        quote: Quote,
        *,
        doubt: str = "",
        waiting_since: int | None = None,
    ) -> Standing:
        """Return the standing after a quote; a restart follows the quotes of the journal.

        `doubt` and `waiting_since` as they were when it was made.
        """
        known = quote.calculation
        if known is not None and known != standing.calculation:
            standing = self.calculated(standing, known)
        if standing.doubt != doubt:
            standing = msgspec.structs.replace(standing, doubt=doubt)
        return msgspec.structs.replace(
            standing,
            quote=quote,
            levels=_levels(standing),
            latest=max(standing.latest, quote.quoted_at),
            age=max(self._age(standing, quote.quoted_at, waiting_since), 0),
        )

    def _age(self, standing: Standing, now: int, waiting_since: int | None) -> int:
        """Return ns beyond the end of the period; negative inside it."""
        known = standing.calculation
        if known is None:
            return 0
        start = _due(known) if waiting_since is None else min(_due(known), waiting_since)
        age = max(now, standing.latest) - start
        return max(age, standing.age) if standing.age else age

    def _sides(
        self, standing: Standing, age: int
    ) -> tuple[SideMargin, SideMargin, Basis, Status, str]:
        """Return the margins, what they rest on, and why not on something better."""
        known = standing.calculation
        assert known is not None
        sides = list(_floored(known, _floors(standing)))
        reason = "; ".join(part for part in (standing.doubt, known.reason) if part)
        status = Status.DEGRADED if reason else Status.OK
        basis = known.basis
        if age > self._stale:
            sides = [_aged(side, self._add_on(age)) for side in sides]
            status, basis = Status.STALE, Basis.LAST_GOOD
        if age > self._fixed:
            fixed = self._fixed_side()
            higher = [_higher(side, fixed) for side in sides]
            basis = Basis.FIXED if higher != sides else Basis.LAST_GOOD
            sides, status = higher, Status.FALLBACK
        return sides[0], sides[1], basis, status, reason

    def _add_on(self, age: int) -> Fraction:
        minutes = -(-age // _STEP)
        return min(self._rate * minutes / 60, self._largest)

    def _left(self, age: int) -> int:
        """Return ns until the quote of this age must be made anew."""
        if age <= self._stale:
            return self._stale - age + 1
        grows = self._rate > 0 and self._add_on(age) < self._largest
        left = -age % _STEP + 1 if grows else _LONG
        return min(left, self._fixed - age + 1) if age <= self._fixed else left

    def _fixed_side(self) -> SideMargin:
        initial = self.settings.fixed_initial_bps
        return SideMargin(
            initial_margin_bps=initial,
            maintenance_margin_bps=self.settings.fixed_maintenance_bps,
            components={"fixed": float(initial)},
        )

    def _fixed_quote(self, instrument: str, sequence: int, *, now: int, reason: str) -> Quote:
        return Quote(
            instrument=instrument,
            sequence=sequence,
            status=Status.FALLBACK,
            basis=Basis.FIXED,
            reason=reason,
            observed_at=0,
            quoted_at=now,
            valid_until=now + _LONG,
            long=self._fixed_side(),
            short=self._fixed_side(),
        )


def _due(calculation: Calculation) -> int:
    """Return when the period after the one that was calculated from ends, ns UTC."""
    period = calculation.horizon_s * _SECOND // calculation.horizon_periods
    return calculation.due_at or calculation.observed_at + period


def differs(quote: Quote, last: Quote | None) -> bool:
    """Whether a quote says anything that the last one did not, beside its time."""
    if last is None or quote.observed_at != last.observed_at:
        return True
    same = msgspec.structs.replace(
        quote, sequence=last.sequence, quoted_at=last.quoted_at, valid_until=last.valid_until
    )
    return same != last


def _check(settings: FallbackSettings) -> None:
    s = settings
    if not 0 < s.fixed_maintenance_bps <= s.fixed_initial_bps:
        raise InputError(
            "fixed margins must satisfy 0 < fixed_maintenance_bps <= fixed_initial_bps, were "
            f"{s.fixed_maintenance_bps} and {s.fixed_initial_bps}"
        )
    if not 0.0 <= s.stale_after_s <= s.fixed_after_s < math.inf:
        raise InputError(
            "ages must satisfy 0 <= stale_after_s <= fixed_after_s, were "
            f"{s.stale_after_s} and {s.fixed_after_s}"
        )
    if not (0.0 <= s.add_on_per_hour < math.inf and 0.0 <= s.largest_add_on < math.inf):
        raise InputError(
            "add_on_per_hour and largest_add_on must be finite and at least 0, were "
            f"{s.add_on_per_hour} and {s.largest_add_on}; write 0.05 for 5 %"
        )


def _floors(standing: Standing) -> list[Level]:
    """Return the levels that the calculation must not go below."""
    known = standing.calculation
    assert known is not None
    if standing.doubt:
        return standing.levels
    return _better(standing.levels, known.basis) if known.reason else []


def _levels(standing: Standing) -> list[Level]:
    """Return the levels after a quote: what it was before age, and those of better rungs."""
    known = standing.calculation
    if known is None:
        return standing.levels
    long, short = _floored(known, _floors(standing))
    best = not (known.reason or standing.doubt)
    better = [] if best else _better(standing.levels, known.basis)
    return [*better, Level(basis=known.basis, long=_pair(long), short=_pair(short))]


def _better(levels: list[Level], basis: Basis) -> list[Level]:
    place = _ORDER.index(basis)
    return [level for level in levels if _ORDER.index(level.basis) < place]


def _pair(side: SideMargin) -> tuple[int, int]:
    return side.initial_margin_bps, side.maintenance_margin_bps


def _floored(known: Calculation, floors: list[Level]) -> tuple[SideMargin, SideMargin]:
    """Return the margins as calculated, and not below the floors."""
    if not floors:
        return known.long, known.short
    return (
        _at_least(known.long, [level.long for level in floors]),
        _at_least(known.short, [level.short for level in floors]),
    )


def _at_least(side: SideMargin, floors: list[tuple[int, int]]) -> SideMargin:
    initial = max([side.initial_margin_bps, *(floor[0] for floor in floors)])
    maintenance = max([side.maintenance_margin_bps, *(floor[1] for floor in floors)])
    return _raised(side, initial, maintenance, "held")


def _aged(side: SideMargin, add_on: Fraction) -> SideMargin:
    initial = math.ceil(side.initial_margin_bps * (1 + add_on))
    maintenance = math.ceil(side.maintenance_margin_bps * (1 + add_on))
    return _raised(side, initial, maintenance, "staleness")


def _raised(side: SideMargin, initial: int, maintenance: int, name: str) -> SideMargin:
    if (initial, maintenance) == _pair(side):
        return side
    part = float(initial - side.initial_margin_bps)
    return msgspec.structs.replace(
        side,
        initial_margin_bps=initial,
        maintenance_margin_bps=maintenance,
        components={**side.components, name: part} if part else side.components,
    )


def _higher(side: SideMargin, fixed: SideMargin) -> SideMargin:
    """Return the larger of each margin; the components are those of the larger initial margin."""
    base = fixed if fixed.initial_margin_bps > side.initial_margin_bps else side
    maintenance = max(side.maintenance_margin_bps, fixed.maintenance_margin_bps)
    return msgspec.structs.replace(base, maintenance_margin_bps=maintenance)


def _sentence(what: str, cause: str) -> str:
    return f"{what}; {cause}" if cause else what


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
