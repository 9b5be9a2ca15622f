"""Drafts of many quotes at once, column by column: to the last byte those of one by one.

What is usual goes through arrays: a market that was published in this epoch or never, numbers
below 1, and an update that the limits let through as it is. About everything else nothing is said
here, and :class:`.draft.Drafter` is asked, so that what is refused, shortened or reported is
decided in one place.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ..quote import Calculation, Quote
from .decimals import Decimals, decimals
from .fixed_point import REGIMES, regime_of, status_of
from .hashing import ZERO, market_id
from .layout import read_updates, write_updates
from .limits import Limits
from .rule import Due, PublishRule
from .update import UNKNOWN_64, MarginUpdate

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Looked: TypeAlias = tuple[Quote, Calculation, tuple[bytes, bytes]]

_SECOND = 1_000_000_000
_LARGEST_32, _LARGEST_63 = 2**32 - 1, 2**63 - 1
_LONG = 2**40  # longer than any time, larger than any margin: nothing above it says more
_MOST_PERIODS = 2**30  # so many times a limit of 32 bit is still one of 63
_DUES = (*(Due.FIRST, Due.FIRST, Due.STATUS, Due.REGIME), *(Due.RISE, Due.FALL, Due.HEARTBEAT))
_QUOTED = attrgetter(
    *("long.initial_margin_bps", "long.maintenance_margin_bps", "short.initial_margin_bps"),
    *("short.maintenance_margin_bps", "observed_at", "quoted_at", "valid_until"),
)
_FORECAST = attrgetter(
    *("sigma", "sigma_lower", "sigma_upper", "stress_probability"),
    *("liquidity_stress_probability", "liquidity_cost"),
)
_N_FRACTIONS = 6
_NUMBERS = MarginUpdate.__struct_fields__[1:20]
NEVER = bytes(736), ZERO
"""In the place of what was published of a market last: nothing was."""


class Rules(NamedTuple):
    """Limits and rules of n markets; `regimes` has rise, fall and period of every regime.

    A rule's number above 2⁴⁰ decides as 2⁴⁰ does: no margin and no time is larger.
    """

    floor: Ints
    cap: Ints
    max_age: Ints
    deviation: Ints
    heartbeat: Ints
    quiet: Ints
    regimes: Ints  # (n, number of regimes, 3)

    @classmethod
    def of(cls, markets: Sequence[tuple[Limits, PublishRule]]) -> "Rules":
        """Return the columns of markets, in their order."""
        limits = [(one.floor_bps, one.cap_bps, one.max_age_s) for one, _ in markets]
        rules = [
            [min(n, _LONG) for n in (rule.deviation_bps, rule.heartbeat_s, rule.quiet_s)]
            for _, rule in markets
        ]
        moves = [
            [(m.rise_bps, m.fall_bps, m.period_s) for m in map(one.of, range(len(REGIMES)))]
            for one, _ in markets
        ]
        floor, cap, max_age = np.array(limits, np.int64).reshape(-1, 3).T
        deviation, heartbeat, quiet = np.array(rules, np.int64).reshape(-1, 3).T
        regimes = np.array(moves, np.int64).reshape(-1, len(REGIMES), 3)
        return cls(floor, cap, max_age, deviation, heartbeat, quiet, regimes)

    def at(self, places: Sequence[int]) -> "Rules":
        """Return those of some markets, in this order."""
        chosen = np.array(places, np.intp)
        return Rules(*(column[chosen] for column in self))


class Usual(NamedTuple):
    """What is usual among some quotes.

    Attributes
    ----------
    idle : list of int
        Places of quotes that are not due.
    places : list of int
        Of those that are; the other columns are in this order.
    encoded : list of bytes
        What is said, as the contract ABI has it.
    due : list of Due
        Why.
    """

    idle: list[int]
    places: list[int]
    encoded: list[bytes]
    due: list[Due]


class _Columns(Struct, frozen=True, kw_only=True):
    """Quotes, and what was published of their markets last: zeros where nothing ever was."""

    margins: Ints  # (n, 4)
    observed: Ints
    start: Ints
    end: Ints
    regime: Ints
    status: Ints
    horizon: Ints
    held: Flags
    before: Ints  # (n, 4)
    old_regime: Ints
    old_status: Ints
    old_start: Ints
    old_end: Ints
    seq: Ints
    epoch: Ints


def usual_drafts(
    quotes: Sequence[Looked],
    rules: Rules,
    digests: Mapping[str, tuple[bytes, bytes]],
    *,
    epoch: int,
    now: int,
) -> Usual:
    """Return what is to be said of those quotes that are usual; nothing is said of the others.

    Parameters
    ----------
    quotes : sequence of (Quote, Calculation, (bytes, bytes))
        Of different markets that are not paused; with what was published last of each, as the ABI
        has it, and its digest, or :data:`NEVER`.
    rules : Rules
        Of their markets, in their order.
    digests : mapping of str to (bytes, bytes)
        By the name of a bundle its digest, and the root of the evidence for it.
    epoch, now : int
        The ledger's, and seconds since 1970 UTC.

    Raises
    ------
    OverflowError, TypeError
        If a number is not whole, or has more than 64 bits, so that it can be in no column.
    """
    columns = _columns(quotes)
    own = ~columns.held | (columns.epoch == epoch)
    due = _due(columns, rules, now)
    passes = own & (due > 0) & _in_time(columns, rules, now) & _in_bounds(columns, rules)
    asked = np.flatnonzero(passes)
    forecast = _forecasts([quotes[k][1] for k in asked.tolist()])
    consistent = _consistent(forecast)
    chosen = asked[consistent]
    some = [quotes[k] for k in chosen.tolist()]
    fields = {
        **_numbers(columns, chosen, epoch=epoch),
        **_fractions(forecast, consistent),
        **_hashes(some, digests),
    }
    return Usual(
        idle=np.flatnonzero(own & (due == 0)).tolist(),
        places=chosen.tolist(),
        encoded=write_updates(fields, len(some)),
        due=[_DUES[k] for k in due[chosen].tolist()],
    )


def _forecasts(calculations: Sequence[Calculation]) -> list[Decimals]:
    rows = [_FORECAST(known) for known in calculations]
    return [decimals([row[k] for row in rows]) for k in range(_N_FRACTIONS)]


def _columns(quotes: Sequence[Looked]) -> _Columns:
    quoted = _whole([_QUOTED(quote) for quote, _, _ in quotes]).T
    published = read_updates([last[0] for _, _, last in quotes])

    def before(name: str) -> Ints:
        column = published[name]
        if (column > _LARGEST_63).any():
            raise OverflowError(f"{name} must have 63 bits at most, has more")
        return column.astype(np.int64)

    return _Columns(
        margins=quoted[:4].T,
        observed=quoted[4] // _SECOND,
        start=quoted[5] // _SECOND,
        end=quoted[6] // _SECOND,
        regime=_whole([regime_of(quote) for quote, _, _ in quotes]),
        status=_whole([status_of(quote) for quote, _, _ in quotes]),
        horizon=_whole([known.horizon_s for _, known, _ in quotes]),
        held=np.array([last is not NEVER for _, _, last in quotes], np.bool_),
        before=np.stack([before(name) for name in _NUMBERS[:4]], axis=1),
        old_regime=before("regime"),
        old_status=before("status"),
        old_start=before("valid_from"),
        old_end=before("valid_until"),
        seq=before("seq"),
        epoch=before("epoch"),
    )


def _whole(numbers: Sequence[Any]) -> Ints:
    """Return whole numbers as they are: told which type to have, an array would cut others."""
    column = np.array(numbers)
    if column.dtype != np.int64:
        raise TypeError(f"numbers must be whole and of 64 bit at most, found {column.dtype}")
    return column


def _due(c: _Columns, rules: Rules, now: int) -> Ints:
    """Return why each is due, by its place in the reasons; 0 if it is not. See PublishRule."""
    moves = c.margins - c.before
    age, span = now - c.old_start, c.old_end - c.old_start
    falls = (-moves.min(axis=1) > rules.deviation) & (age >= rules.quiet)
    # What holds no longer than what was published says nothing new.
    beats = (2 * age >= np.minimum(2 * rules.heartbeat, span)) & (c.end > c.old_end)
    rises = moves.max(axis=1) > rules.deviation
    reasons = [~c.held, c.status != c.old_status, c.regime != c.old_regime, rises, falls, beats]
    return np.select(reasons, [1, 2, 3, 4, 5, 6], 0)


def _in_time(c: _Columns, rules: Rules, now: int) -> Flags:
    valid = (c.observed >= 0) & (c.observed <= c.start) & (c.start <= now) & (now < c.end)
    in_time: Flags = valid & (now - c.observed <= rules.max_age) & (c.start >= c.old_start)
    return in_time


def _in_bounds(c: _Columns, rules: Rules) -> Flags:
    """Return whether margins are within their bounds, in order, and move no further than allowed.

    With the lowest of the maintenance margins and the highest of the initial ones, all are.
    """
    initial, maintenance = c.margins[:, ::2], c.margins[:, 1::2]
    inside = (maintenance.min(axis=1) >= rules.floor) & (initial.max(axis=1) <= rules.cap)
    ordered = (maintenance <= initial).all(axis=1)
    rise, fall, period = rules.regimes[np.arange(len(c.regime)), c.regime].T
    periods = np.maximum(c.start - c.old_start, 0) // period
    times = np.minimum(periods, _MOST_PERIODS)
    moves = c.margins - c.before
    small = (moves.max(axis=1) <= rise * times) & (-moves.min(axis=1) <= fall * times)
    fits = (c.horizon >= 0) & (c.horizon <= _LARGEST_32)
    passes: Flags = inside & ordered & fits & (~c.held | (small & (periods <= _MOST_PERIODS)))
    return passes


def _consistent(forecast: Sequence[Decimals]) -> Flags:
    sigma, lower, upper = forecast[:3]
    usual = np.all([numbers.usual for numbers in forecast], axis=0) & sigma.known
    below = ~upper.known | (sigma.up <= upper.up)
    fits: Flags = usual & (lower.down <= sigma.up) & below
    return fits


def _numbers(c: _Columns, chosen: Ints, *, epoch: int) -> dict[str, Any]:
    columns = (*c.margins.T, c.regime, c.status, c.horizon, c.observed, c.start, c.end, c.seq)
    names = (*_NUMBERS[:4], *_NUMBERS[10:17])
    fields = {name: column[chosen] for name, column in zip(names, columns, strict=True)}
    fields["seq"] = fields["prev_seq"] + 1
    fields["epoch"] = np.full(len(chosen), epoch, np.int64)
    return fields


def _fractions(forecast: Sequence[Decimals], chosen: Flags) -> dict[str, Any]:
    """Return fractions as columns of (high, low) halves of 128 bit, or of 64 bit."""
    fields: dict[str, Any] = {}
    for name, numbers in zip(_NUMBERS[4:10], forecast, strict=True):
        known = numbers.known[chosen]
        if name == "sigma_lower_e18":  # rounded down, and 0 where it is not known
            low, largest = numbers.down[chosen].astype(np.uint64), np.uint64(0)
        else:
            low, largest = numbers.up[chosen].astype(np.uint64), np.uint64(UNKNOWN_64)
        low = np.where(known, low, largest)
        high = np.where(known, np.uint64(0), largest)
        fields[name] = np.stack([high, low], axis=1) if name.startswith("sigma") else low
    return fields


def _hashes(
    quotes: Sequence[Looked],
    digests: Mapping[str, tuple[bytes, bytes]],
) -> dict[str, Any]:
    bundles = [digests[known.bundle] for _, known, _ in quotes]
    return {
        "market_id": [market_id(quote.instrument) for quote, _, _ in quotes],
        "prev_digest": [last[1] for _, _, last in quotes],
        "model_digest": [digest for digest, _ in bundles],
        "evidence_root": [root for _, root in bundles],
    }
