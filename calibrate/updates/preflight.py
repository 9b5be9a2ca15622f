"""Pre-flight: an update is replayed against the accounts, and refused if it alone would harm."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .accounts import Accounts, Headroom, Terms, headroom, terms_of
from .consumer import ConsumerOutcome, clamped
from .limits import RateLimits
from .state import ParameterState
from .update import ParameterUpdate, Reason, Refusal

_BISECTIONS = 32  # leaves 2⁻³² of the way: no margin has so many units


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountImpact:
    """Accounts that something happens to.

    Attributes
    ----------
    account : ndarray of int, shape (n,)
        Indices into the accounts, the largest amount first.
    amount : ndarray, shape (n,)
        Money that each needs, positive, settlement currency; rounding is on the safe side.
    notional : ndarray, shape (n,)
        Sum of the absolute values of its positions after the update, settlement currency.
    """

    account: NDArray[np.int64]
    amount: NDArray[np.float64]
    notional: NDArray[np.float64]

    def __post_init__(self) -> None:
        order = np.argsort(-self.amount, kind="stable")
        for name in ("account", "amount", "notional"):
            array = getattr(self, name)[order]
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.account)

    def frame(self, *, most: int | None = None) -> pd.DataFrame:
        """Return a table: one row per account, at most so many, the largest amount first."""
        columns = {"account": self.account, "amount": self.amount, "notional": self.notional}
        return pd.DataFrame({name: array[:most] for name, array in columns.items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class PreflightReport:
    """What an update would do, and whether it may be sent.

    Attributes
    ----------
    update : ParameterUpdate
        What was asked.
    refusals : tuple of Refusal
        Why it may not be sent; empty if it may.
    outcome : ConsumerOutcome or None
        What the consumer would end up with; None if a parameter is unknown to it.
    liquidated : AccountImpact
        Healthy accounts that the result would make liquidatable, and what each would lack.
    called : AccountImpact
        Accounts whose lack of initial margin would grow, and by how much.
    prices : DataFrame
        For each instrument the ``market`` price, what counts ``before`` and ``after``, and
        ``below_market``, the distance of ``after`` from the market's as a fraction of that.
    safe_fraction : Fraction
        Share of the way that would pass; 1 if the update itself does, 0 if nothing was found.
    safe_update : ParameterUpdate or None
        The update with that share, which passes; None if there is none.
    """

    update: ParameterUpdate
    refusals: tuple[Refusal, ...]
    outcome: ConsumerOutcome | None
    liquidated: AccountImpact
    called: AccountImpact
    prices: pd.DataFrame
    safe_fraction: Fraction
    safe_update: ParameterUpdate | None

    @property
    def accepted(self) -> bool:
        """Whether the update may be sent."""
        return not self.refusals

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The kinds of refusals, each once."""
        return tuple(dict.fromkeys(refusal.reason for refusal in self.refusals))

    def frame(self) -> pd.DataFrame:
        """Return a table of one row: counts, sums, verdict."""
        row = {
            "sequence": self.update.sequence,
            "accepted": self.accepted,
            "reasons": ", ".join(reason.value for reason in self.reasons),
            "n_liquidated": len(self.liquidated),
            "liquidated_notional": float(self.liquidated.notional.sum()),
            "n_called": len(self.called),
            "called_amount": float(self.called.amount.sum()),
            "called_notional": float(self.called.notional.sum()),
            "safe_fraction": float(self.safe_fraction),
        }
        return pd.DataFrame([row])


def preflight(
    update: ParameterUpdate,
    accounts: Accounts,
    state: ParameterState,
    limits: RateLimits,
    prices: NDArray[np.float64],
    *,
    time: int | None = None,
) -> PreflightReport:
    """Replay an update against the accounts as they are, and say whether it may be sent.

    It is refused if the consumer would reject it, change nothing, or move coupled parameters by
    different shares; if the result does not fit together; or if an account that is healthy under
    the state before is liquidatable under the state that would result. Both are taken at the same
    time and the same market prices, so that nothing but the update makes the difference.

    Parameters
    ----------
    update : ParameterUpdate
        What is to be sent.
    accounts : Accounts
        All accounts.
    state : ParameterState
        What is in force; it must have the margins of every instrument of the accounts.
    limits : RateLimits
        The consumer's.
    prices : ndarray, shape (n_instruments,)
        Market prices in the order of the accounts' instruments, settlement currency.
    time : int, optional
        When it would be executed, seconds since 1970 UTC; by default as soon as it is in effect.

    Raises
    ------
    InputError
        If a price or margin is missing or not finite.
    """
    time = update.effective if time is None else time
    old = terms_of(state, prices, accounts.instruments, time=max(time, state.effective))
    refusals = update.sequence_refusals(state, time=time)
    outcome, new = None, old
    if not any(refusal.reason is Reason.UNKNOWN for refusal in refusals):
        outcome = clamped(update, limits, state, time=time)
        refusals += outcome.refusals
        # A replay or an update at the wrong time reaches no account.
        if outcome.state is not None and not _out_of_order(refusals):
            new = terms_of(outcome.state, prices, accounts.instruments, time=time)
    rooms = headroom(accounts, old, new)
    liquidated = liquidated_accounts(rooms)
    if len(liquidated):
        refusals += (_liquidation_refusal(liquidated),)
    passes = _Passes(update, accounts, state, limits, prices, time)
    fraction = (
        Fraction(1) if not refusals else passes.largest_fraction(refusals, liquidated.account)
    )
    return PreflightReport(
        update=update,
        refusals=refusals,
        outcome=outcome,
        liquidated=liquidated,
        called=_called(rooms),
        prices=_price_table(accounts, prices, old, new),
        safe_fraction=fraction,
        safe_update=update.scaled(state, fraction) if fraction else None,
    )


_ORDER = frozenset({Reason.REPLAY, Reason.GAP, Reason.NOT_YET, Reason.EXPIRED, Reason.UNKNOWN})


def _out_of_order(refusals: tuple[Refusal, ...]) -> bool:
    return any(refusal.reason in _ORDER for refusal in refusals)


def liquidated_accounts(rooms: Headroom) -> AccountImpact:
    """Return the healthy accounts that become liquidatable, and what would keep each healthy.

    The amount is what its cash must grow by, twice the rounding included.
    """
    hit = np.flatnonzero(rooms.liquidated)
    amount = 2.0 * rooms.slack[hit] - rooms.after[hit]
    return AccountImpact(account=hit, amount=amount, notional=rooms.notional[hit])


def _called(rooms: Headroom) -> AccountImpact:
    grown = rooms.call_after - rooms.call_before
    hit = np.flatnonzero(grown > 0.0)
    return AccountImpact(account=hit, amount=grown[hit], notional=rooms.notional[hit])


def _liquidation_refusal(liquidated: AccountImpact) -> Refusal:
    text = (
        f"no healthy account may become liquidatable by the update alone, found {len(liquidated)} "
        f"with positions of {liquidated.notional.sum():,.0f}; the worst, account "
        f"{liquidated.account[0]}, would lack {liquidated.amount[0]:,.2f}"
    )
    return Refusal(Reason.LIQUIDATES, text)


def _price_table(
    accounts: Accounts, prices: NDArray[np.float64], old: Terms, new: Terms
) -> pd.DataFrame:
    market = np.array(prices, dtype=np.float64)
    columns = {"market": market, "before": old.price, "after": new.price}
    table = pd.DataFrame(columns, index=pd.Index(accounts.instruments, name="instrument"))
    table["below_market"] = 1.0 - table["after"] / table["market"]
    return table


@dataclass(frozen=True, eq=False)
class _Passes:
    """Which shares of an update pass."""

    update: ParameterUpdate
    accounts: Accounts
    state: ParameterState
    limits: RateLimits
    prices: NDArray[np.float64]
    time: int

    def largest_fraction(
        self, refusals: tuple[Refusal, ...], suspects: NDArray[np.int64]
    ) -> Fraction:
        """Return a share of the way that passes, the largest where margins alone change.

        The consumer's limits give the first candidate exactly. Against the accounts it is
        bisected on those that fail, which are few; if it then fails for others, they join them.
        `suspects` are the accounts that failed so far.
        """
        if _out_of_order(refusals):
            return Fraction(0)
        fraction = whole_fraction(self.update, self.limits, self.state, time=self.time)
        watched = suspects
        while fraction:
            few = self.accounts.subset(watched)
            if len(self._failing(few, fraction)):
                fraction = self._bisect(few, fraction)
            if not len(failing := self._failing(self.accounts, fraction)):
                break
            watched = np.union1d(watched, failing)
        moves = dict(self._scaled(fraction).values).items() - self.state.values.items()
        return fraction if moves else Fraction(0)

    def _bisect(self, accounts: Accounts, upper: Fraction) -> Fraction:
        """Return the largest share found below one that does not pass; 0 if none."""
        lower = Fraction(0)
        for _ in range(_BISECTIONS):
            middle = (lower + upper) / 2
            if len(self._failing(accounts, middle)):
                upper = middle
            else:
                lower = middle
        return lower

    def _scaled(self, fraction: Fraction) -> ParameterUpdate:
        return self.update.scaled(self.state, fraction)

    def _failing(self, accounts: Accounts, fraction: Fraction) -> NDArray[np.int64]:
        values = self._scaled(fraction).values
        end = self.update.settle(self.state, values, time=self.time)
        old, new = (
            terms_of(state, self.prices, accounts.instruments, time=self.time)
            for state in (self.state, end)
        )
        return np.flatnonzero(headroom(accounts, old, new).liquidated)


def whole_fraction(
    update: ParameterUpdate, limits: RateLimits, state: ParameterState, *, time: int
) -> Fraction:
    """Return the largest share of an update that a consumer would take whole, exact.

    0 if a parameter moved too short a time ago, may not move, or the result does not fit together.
    """
    fraction = Fraction(1)
    for p, asked in update.values.items():
        before, limit = state.values[p], limits.of(p)
        if asked == before:
            continue
        way = limit.reachable(before, asked) - before
        fraction = min(fraction, Fraction(way, asked - before))
    if not fraction:
        return fraction
    outcome = clamped(update.scaled(state, fraction), limits, state, time=time)
    return fraction if outcome.whole and not outcome.refusals else Fraction(0)
