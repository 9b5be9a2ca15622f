"""The trial of a signed update on the consumer's accounts, by :mod:`foremargin.calibrate.updates`.

It needs what the calculator has (pandas, numba), so the room does not import it by itself: a
publisher in the light front is given another trial, or asks a process that has this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...calibrate import SIDES
from ...calibrate.updates import (
    Accounts,
    Kind,
    Parameter,
    ParameterState,
    ParameterUpdate,
    RateLimits,
    preflight,
)
from .fixed_point import REGIMES
from .limits import Held, Margins
from .update import MarginUpdate

_KINDS = (Kind.INITIAL_MARGIN, Kind.MAINTENANCE_MARGIN)


class AccountsPreflight:
    """Refuses what would alone make a healthy account liquidatable, or would arrive in pieces.

    Parameters
    ----------
    accounts : Accounts
        The consumer's, as they are.
    state : ParameterState
        What the consumer holds besides the margins that were published; margins too, for markets
        that were not.
    limits : RateLimits
        The limits of a consumer that clamps single parameters; those of the contract need not be
        repeated.
    prices : ndarray, shape (n_instruments,)
        Market prices in the order of the accounts' instruments, settlement currency.
    along : mapping of str to mapping of Parameter to int, optional
        By instrument, other parameters that the consumer changes in the same breath, such as a
        price cap; whole units. They are coupled with the margins.

    Notes
    -----
    `accounts`, `state`, `prices` and `along` are attributes to be replaced as they change. A
    failing trial is a refusal, and so are data that are missing.
    """

    def __init__(
        self,
        accounts: Accounts,
        state: ParameterState,
        limits: RateLimits,
        prices: NDArray[np.float64],
        *,
        along: Mapping[str, Mapping[Parameter, int]] | None = None,
    ) -> None:
        self.accounts = accounts
        self.state = state
        self.limits = limits
        self.prices = prices
        self.along = dict(along or {})

    def refusals(
        self, instrument: str, update: MarginUpdate, held: Held | None, *, now: int
    ) -> Sequence[str]:
        """Return the refusals of the pre-flight, as sentences."""
        state = self.state
        if held is not None:
            known = {**state.values, **_parameters(instrument, held.update.margins)}
            state = replace(state, values=known)
        regime = REGIMES[update.regime]
        asked = ParameterUpdate(
            values={**_parameters(instrument, update.margins), **self.along.get(instrument, {})},
            sequence=state.sequence + 1,
            previous_sequence=state.sequence,
            announced=now,
            effective=now,
            expiry=update.valid_until,
            reason=f"update {update.seq} of epoch {update.epoch}, {regime}",
        )
        report = preflight(asked, self.accounts, state, self.limits, self.prices, time=now)
        return [str(refusal) for refusal in report.refusals]


def _parameters(instrument: str, margins: Margins) -> dict[Parameter, int]:
    names = [Parameter(instrument, kind, side) for side in SIDES for kind in _KINDS]
    return dict(zip(names, margins, strict=True))
