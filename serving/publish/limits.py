"""What a consumer allows: the same checks, in the same order, as the contract makes."""

import math
from enum import StrEnum
from fractions import Fraction

from msgspec import Struct

from ...errors import InputError
from .fixed_point import REGIMES, STATUSES
from .hashing import ZERO
from .update import MarginUpdate

Margins = tuple[int, int, int, int]


class Check(StrEnum):
    """Why an update or batch is refused, in the order of the checks; names as in the contract."""

    MALFORMED_SIGNATURE = "MalformedSignature"
    """Not 65 bytes, v neither 27 nor 28, or no point on the curve."""
    HIGH_S = "HighS"
    """s is in the upper half of its range."""
    UNKNOWN_SIGNER = "UnknownSigner"
    """Signed by a key outside the set, or for another chain, contract or content."""
    SIGNERS_NOT_ASCENDING = "SignersNotAscending"
    """Signatures are not in rising order of their signers' addresses, or one is there twice."""
    TOO_FEW_SIGNERS = "TooFewSigners"
    """Fewer signers than the threshold."""
    BAD_PROOF = "BadProof"
    """The update is not in the batch."""
    UNKNOWN_MARKET = "UnknownMarket"
    """No limits are set for the market."""
    BAD_TIMES = "BadTimes"
    """Times are not in the order observation, valid from, valid until."""
    NOT_YET_VALID = "NotYetValid"
    """Before it is valid."""
    EXPIRED = "Expired"
    """Not valid any more."""
    TOO_OLD = "TooOld"
    """What it knows of the market is older than allowed."""
    WRONG_EPOCH = "WrongEpoch"
    """Of another epoch than the current one."""
    REPLAYED = "Replayed"
    """Its sequence is not above that of the last."""
    BROKEN_CHAIN = "BrokenChain"
    """It follows something else than what was accepted: two histories were signed."""
    GAP = "Gap"
    """Updates between the last and this one are missing, and the market allows no gaps."""
    TIME_REVERSED = "TimeReversed"
    """Made before the last one."""
    OUT_OF_BOUNDS = "OutOfBounds"
    """A margin, the regime or the status is outside its bounds."""
    STEP_TOO_LARGE = "StepTooLarge"
    """A margin moves further than the regime and the time since the last update allow."""
    INCONSISTENT = "Inconsistent"
    """Maintenance above initial margin, or a volatility outside its own interval."""
    PAUSED = "Paused"
    """The guardian has stopped the market, or all of them."""


class Refusal(Struct, frozen=True):
    """One check that failed, and a sentence: what must hold and what was found."""

    check: Check
    message: str


def _check_width(limits: Struct, bits: int) -> None:
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if isinstance(value, int) and not 0 <= value < 2**bits:
            raise InputError(f"{name} must be from 0 to {2**bits - 1}, was {value}")


class RegimeLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast margins may move in one regime.

    A move may be as large as the limit times the whole periods between the two updates' times of
    validity. A consumer that missed updates between can therefore take the next one, and whoever
    holds the keys is no faster in a block than over the time that has passed.

    Attributes
    ----------
    rise_bps, fall_bps : int
        Largest move per period, basis points of notional.
    period_s : int
        Seconds, at least 1.
    """

    rise_bps: int
    fall_bps: int
    period_s: int

    def __post_init__(self) -> None:
        _check_width(self, 32)
        if self.period_s < 1:
            raise InputError(f"period_s must be at least 1, was {self.period_s}")


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a consumer accepts for one market.

    Attributes
    ----------
    floor_bps, cap_bps : int
        Lowest maintenance and highest initial margin, basis points of notional.
    max_age_s : int
        Largest age of what an update knows, seconds.
    add_on_per_hour_bps, largest_add_on_bps : int
        Relative rise of a margin that is not renewed, basis points of itself per hour, and the
        largest one.
    gaps : bool
        Whether a consumer may leave out updates. Those that pull what they need must.
    unknown, calm, elevated, stressed : RegimeLimit
        By the regime of the update: fast up and slow down where it is stressed.
    """

    floor_bps: int = 1
    cap_bps: int = 10_000
    max_age_s: int = 7_200
    add_on_per_hour_bps: int = 500
    largest_add_on_bps: int = 10_000
    gaps: bool = True
    unknown: RegimeLimit = RegimeLimit(rise_bps=1_000, fall_bps=50, period_s=60)
    calm: RegimeLimit = RegimeLimit(rise_bps=250, fall_bps=100, period_s=60)
    elevated: RegimeLimit = RegimeLimit(rise_bps=500, fall_bps=50, period_s=60)
    stressed: RegimeLimit = RegimeLimit(rise_bps=1_000, fall_bps=25, period_s=60)

    def __post_init__(self) -> None:
        _check_width(self, 32)
        if not 1 <= self.floor_bps <= self.cap_bps:
            raise InputError(
                f"floor_bps must be from 1 to cap_bps, were {self.floor_bps} and {self.cap_bps}"
            )

    def of(self, regime: int) -> RegimeLimit:
        """Return the limit of a regime by its number, 0 to 3."""
        return (self.unknown, self.calm, self.elevated, self.stressed)[regime]


class Held(Struct, frozen=True, kw_only=True, gc=False):
    """The last update of a market that a consumer accepted, or that a publisher recorded."""

    update: MarginUpdate
    digest: bytes


def content_refusal(
    update: MarginUpdate, held: Held | None, limits: Limits, *, epoch: int, now: int
) -> Refusal | None:
    """Return the first check that an update fails, signatures and pause aside; None if none.

    Parameters
    ----------
    update : MarginUpdate
        What is to be accepted.
    held : Held or None
        What was accepted last; None if nothing ever was.
    limits : Limits
        The consumer's for this market.
    epoch : int
        The consumer's.
    now : int
        Seconds since 1970 UTC, on chain the time of the block.
    """
    return (
        _time_refusal(update, limits, now)
        or _sequence_refusal(update, held, limits, epoch)
        or _bounds_refusal(update, limits)
        or _step_refusal(update, held, limits)
        or coupling_refusal(update)
    )


def moves_allowed(valid_from: int, held: Held, limit: RegimeLimit) -> tuple[int, int]:
    """Return the largest rise and fall since the last update, basis points."""
    periods = max(valid_from - held.update.valid_from, 0) // limit.period_s
    return limit.rise_bps * periods, limit.fall_bps * periods


def reachable(wanted: Margins, held: Held, limits: Limits, *, regime: int, at: int) -> Margins:
    """Return the margins as far towards `wanted` as the limits allow.

    Initial and maintenance margin of a side are coupled: they move by the same share of their way,
    exact, and then rounded up, which keeps their order. Sides are apart, since no position is on
    both.

    Parameters
    ----------
    wanted, held, limits
        Where to, from where, and how far.
    regime : int
        Number of the new update's regime.
    at : int
        When it becomes valid, seconds since 1970 UTC.
    """
    rise, fall = moves_allowed(at, held, limits.of(regime))
    result = []
    ways = list(zip(held.update.margins, wanted, strict=True))
    for pairs in (ways[:2], ways[2:]):
        share = min(_share(a, b, rise, fall, limits) for a, b in pairs)
        result += [before + math.ceil(share * (target - before)) for before, target in pairs]
    return result[0], result[1], result[2], result[3]


def _share(before: int, target: int, rise: int, fall: int, limits: Limits) -> Fraction:
    """Return the largest share of its way that one margin may go, exact."""
    way = target - before
    if way == 0:
        return Fraction(1)
    inside = limits.cap_bps - before if way > 0 else before - limits.floor_bps
    room = max(min(rise if way > 0 else fall, inside), 0)
    return min(Fraction(room, abs(way)), Fraction(1))


def _time_refusal(update: MarginUpdate, limits: Limits, now: int) -> Refusal | None:
    seen, start, end = update.observation_time, update.valid_from, update.valid_until
    if not seen <= start < end:
        text = f"observation, valid from and until must be in order, were {seen}, {start}, {end}"
        return Refusal(Check.BAD_TIMES, text)
    if now < start:
        return Refusal(Check.NOT_YET_VALID, f"it is valid from {start} on, time was {now}")
    if now >= end:
        return Refusal(Check.EXPIRED, f"it was valid before {end}, time was {now}")
    if now - seen > limits.max_age_s:
        text = f"what it knows must be at most {limits.max_age_s} s old, was {now - seen} s"
        return Refusal(Check.TOO_OLD, text)
    return None


def _sequence_refusal(
    update: MarginUpdate, held: Held | None, limits: Limits, epoch: int
) -> Refusal | None:
    if update.epoch != epoch:
        return Refusal(Check.WRONG_EPOCH, f"epoch must be {epoch}, was {update.epoch}")
    last, digest = (0, ZERO)
    if held is not None and held.update.epoch == epoch:
        last, digest = held.update.seq, held.digest
    if update.seq <= last:
        text = f"sequence must be above {last}, the last one, was {update.seq}"
        return Refusal(Check.REPLAYED, text)
    follows = update.prev_seq
    if not last <= follows < update.seq or (follows == last and update.prev_digest != digest):
        text = f"it must follow number {last} with its digest, follows {follows}"
        return Refusal(Check.BROKEN_CHAIN, text)
    if follows > last and not limits.gaps:
        return Refusal(Check.GAP, f"numbers {last + 1} to {follows} are missing")
    if held is not None and update.valid_from < held.update.valid_from:
        text = (
            f"it must be valid from {held.update.valid_from} on or later, was {update.valid_from}"
        )
        return Refusal(Check.TIME_REVERSED, text)
    return None


def _bounds_refusal(update: MarginUpdate, limits: Limits) -> Refusal | None:
    lowest = min(update.long_maintenance_bps, update.short_maintenance_bps)
    highest = max(update.long_initial_bps, update.short_initial_bps)
    if lowest < limits.floor_bps or highest > limits.cap_bps:
        text = f"margins must be from {limits.floor_bps} to {limits.cap_bps} basis points, were "
        return Refusal(Check.OUT_OF_BOUNDS, f"{text}{lowest} to {highest}")
    if update.regime >= len(REGIMES) or update.status >= len(STATUSES):
        text = "regime must be below {} and status below {}, were {} and {}"
        sizes = len(REGIMES), len(STATUSES)
        return Refusal(Check.OUT_OF_BOUNDS, text.format(*sizes, update.regime, update.status))
    return None


def _step_refusal(update: MarginUpdate, held: Held | None, limits: Limits) -> Refusal | None:
    if held is None:
        return None
    rise, fall = moves_allowed(update.valid_from, held, limits.of(update.regime))
    for before, after in zip(held.update.margins, update.margins, strict=True):
        if after - before > rise or before - after > fall:
            text = f"a margin may now rise by {rise} and fall by {fall} basis points, was to move "
            return Refusal(Check.STEP_TOO_LARGE, f"{text}from {before} to {after}")
    return None


def coupling_refusal(update: MarginUpdate) -> Refusal | None:
    """Return what does not fit together in an update by itself, None if nothing."""
    for side in (0, 2):
        initial, maintenance = update.margins[side : side + 2]
        if maintenance > initial:
            text = "maintenance margin must not be above the initial one of its side, were "
            return Refusal(Check.INCONSISTENT, f"{text}{maintenance} and {initial}")
    if not update.sigma_lower_e18 <= update.sigma_e18 <= update.sigma_upper_e18:
        text = "sigma must be within its interval, was {} with {} to {}, 10⁻¹⁸"
        found = update.sigma_e18, update.sigma_lower_e18, update.sigma_upper_e18
        return Refusal(Check.INCONSISTENT, text.format(*found))
    return None


def with_add_on(margins: Margins, limits: Limits, *, stale_s: int) -> Margins:
    """Return what a consumer charges on margins that were not renewed: never less than they.

    Each grows by `add_on_per_hour_bps` of itself per hour up to `largest_add_on_bps`, rounded up
    at every step, and not above the cap.

    Parameters
    ----------
    margins : (int, int, int, int)
        Basis points of notional.
    limits : Limits
        The consumer's.
    stale_s : int
        Seconds since the last one ceased to hold.
    """
    add_on = -(-limits.add_on_per_hour_bps * stale_s // 3_600)
    factor = 10_000 + min(add_on, limits.largest_add_on_bps)
    raised = [max(min(-(-m * factor // 10_000), limits.cap_bps), m) for m in margins]
    return raised[0], raised[1], raised[2], raised[3]
