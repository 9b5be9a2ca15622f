"""What a consumer would really do with an update, its rate limits taken into account."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pandas as pd

from ...errors import InputError
from .limits import Excess, RateLimits
from .parameters import Parameter
from .state import ParameterState, incoherences
from .update import ParameterUpdate, Reason, Refusal, limit_refusals


@dataclass(frozen=True, kw_only=True)
class ConsumerOutcome:
    """What becomes of an update behind a consumer's limits.

    Attributes
    ----------
    before : ParameterState
        The state that it meets.
    asked, result : mapping of Parameter to int
        The values that the update wants and those that the consumer would hold, whole units.
    state : ParameterState or None
        The state after it; None where the values do not fit each other.
    refusals : tuple of Refusal
        What is wrong with the result; empty if it is rejected by nobody and consistent.
    """

    before: ParameterState
    asked: Mapping[Parameter, int]
    result: Mapping[Parameter, int]
    state: ParameterState | None
    refusals: tuple[Refusal, ...]

    def shares(self) -> dict[Parameter, Fraction]:
        """Return the share of its way that each parameter moves, for those that were to move."""
        before = self.before.values
        return {
            p: Fraction(self.result[p] - before[p], asked - before[p])
            for p, asked in self.asked.items()
            if asked != before[p]
        }

    @property
    def whole(self) -> bool:
        """Whether the consumer does exactly what is asked."""
        return dict(self.result) == dict(self.asked)

    def frame(self) -> pd.DataFrame:
        """Return a table: each parameter's units before, asked for and held after, and its share.

        The share is NaN for a parameter that was to stay.
        """
        shares = self.shares()
        rows = [
            (p.instrument, p.kind.value, p.side, self.before.values[p], asked, self.result[p])
            for p, asked in self.asked.items()
        ]
        columns = ["instrument", "kind", "side", "before", "asked", "result"]
        table = pd.DataFrame(rows, columns=columns)
        table["share"] = [float(shares[p]) if p in shares else np.nan for p in self.asked]
        return table


def clamped(
    update: ParameterUpdate, limits: RateLimits, state: ParameterState, *, time: int | None = None
) -> ConsumerOutcome:
    """Return what a consumer with these limits would make of an update.

    Every parameter is clamped, skipped or lets the whole fail as its own limit says, without
    regard to the others: that is how consumers are built, and how coupled parameters part. The
    result is consistent if one common share of the way, up to rounding, explains every value.

    Parameters
    ----------
    update : ParameterUpdate
        What is asked; every parameter must be one of the state's.
    limits : RateLimits
        The consumer's.
    state : ParameterState
        What it holds.
    time : int, optional
        When it is executed, seconds since 1970 UTC; by default as soon as it is in effect.

    Examples
    --------
    A ratio that may rise by 3 % and its time, which may move at will:

    >>> from foremargin.calibrate.updates import CAP_KINDS, Kind, Limit, Step
    >>> ratio, since, growth = (Parameter("wstETH", kind) for kind in CAP_KINDS)
    >>> state = ParameterState(values={ratio: 100, since: 0, growth: 900})
    >>> update = ParameterUpdate(
    ...     values={ratio: 110, since: 50}, sequence=1, previous_sequence=0,
    ...     announced=60, effective=60, expiry=70, reason="new snapshot",
    ... )
    >>> limits = RateLimits(by_kind={Kind.SNAPSHOT_RATIO: Limit(rise=Step(basis_points=300))})
    >>> outcome = clamped(update, limits, state)
    >>> outcome.result[ratio], outcome.result[since], outcome.refusals[0].reason.value
    (103, 50, 'unequal-shares')
    """
    time = update.effective if time is None else time
    unknown = [str(p) for p in update.values if p not in state.values]
    if unknown:
        raise InputError(f"every parameter must be one of the state's, found {unknown}")
    result, refusals = {}, []
    for p, asked in update.values.items():
        limit, before = limits.of(p), state.values[p]
        broken = limit_refusals(state, p, asked, limit, time=time)
        result[p] = asked
        if not broken:
            continue
        if limit.on_excess is Excess.REJECT:
            refusals.append(Refusal(Reason.REJECTED, broken[0].message, p))
        too_soon = any(refusal.reason is Reason.TOO_SOON for refusal in broken)
        stays = too_soon or limit.on_excess is not Excess.CLAMP
        result[p] = before if stays else limit.reachable(before, asked)
    if refusals:
        result = {p: state.values[p] for p in update.values}
    return _judged(update, state, result, refusals, time=time)


def _judged(
    update: ParameterUpdate,
    state: ParameterState,
    result: dict[Parameter, int],
    refusals: list[Refusal],
    *,
    time: int,
) -> ConsumerOutcome:
    """Look for what does not fit in a result."""
    if refusals:
        end: ParameterState | None = state
    else:
        problems = incoherences({**state.values, **result}, time=time)
        end = None if problems else update.settle(state, result, time=time)
        refusals = [Refusal(Reason.INCOHERENT, problem) for problem in problems]
        refusals += _share_refusals(update, state, result)
    return ConsumerOutcome(
        before=state,
        asked=update.values,
        result=MappingProxyType(result),
        state=end,
        refusals=tuple(refusals),
    )


def _share_refusals(
    update: ParameterUpdate, state: ParameterState, result: Mapping[Parameter, int]
) -> list[Refusal]:
    """Find the two parameters that no common share of the way explains.

    A share explains a value that is less than one unit from it, since it had to be rounded.
    """
    spans = []
    for p, asked in update.values.items():
        way, gone = asked - state.values[p], result[p] - state.values[p]
        if way:
            ends = sorted((Fraction(gone - 1, way), Fraction(gone + 1, way)))
            spans.append((ends[0], ends[1], p))
    if not spans:
        return []
    if all(result[p] == state.values[p] for _, _, p in spans):
        text = "the consumer must move something, found that its limits leave nothing"
        return [Refusal(Reason.NO_EFFECT, text)]
    least, most = max(spans, key=lambda s: s[0]), min(spans, key=lambda s: s[1])
    if least[0] < most[1]:
        return []
    found = []
    for _, _, p in (most, least):
        before = state.values[p]
        found.append(f"{p} by {(result[p] - before) / (update.values[p] - before):.1%}")
    text = (
        f"coupled parameters must move by the same share of their way, found {found[0]} and "
        f"{found[1]}; send a smaller step, or several"
    )
    return [Refusal(Reason.UNEQUAL_SHARES, text, most[2])]
