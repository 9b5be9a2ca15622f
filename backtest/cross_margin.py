"""Whole accounts: margins that are summed over positions beside margins of the book.

The replay judges one instrument and side at a time. What cross-margin saves, and whether it still
covers, shows only on accounts that hold several. Here accounts take the place of instruments:
their losses and margins are fractions of their gross notional, and the numbers are those of the
verdict (:func:`.metrics.policy_table`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calibrate import MarginMarket
from ..calibrate.policies.cross import account_known_at, account_loss
from ..errors import InputError
from .cells import Cells
from .metrics import cost_factors, policy_table

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountReplay:
    """Losses and margins of accounts over validation and test.

    Attributes
    ----------
    market : MarginMarket
        Losses of the instruments.
    weight : ndarray, shape (n_accounts, n_instruments)
        Signed notional of each position over the account's gross notional.
    margin : mapping of str to ndarray, shape (n_periods, n_accounts)
        By policy; NaN where there is none.
    test_row : int
        Panel row of the first test origin.
    """

    market: MarginMarket
    weight: Values
    margin: Mapping[str, Values]
    test_row: int

    def __post_init__(self) -> None:
        shape = (self.market.history.panel.n_periods, len(self.weight))
        wrong = {name: m.shape for name, m in self.margin.items() if m.shape != shape}
        if not self.margin or wrong:
            raise InputError(f"margins must each have shape {shape}, had {wrong or 'no margin'}")

    def cells(self, *, test: bool) -> Cells:
        """Flatten the origins of test, or of validation, at which every policy has a margin.

        Raises
        ------
        InputError
            If there are none.
        """
        margins = np.stack(list(self.margin.values()))
        loss = account_loss(self.market, self.weight)
        row = np.arange(len(loss))
        first, last = self.market.first_row, len(loss)
        inside = (row >= self.test_row) if test else (row >= first) & (row < self.test_row)
        # A loss that validation could not know yet tunes nothing.
        known = account_known_at(self.market, self.weight) < (last if test else self.test_row)
        judged = np.isfinite(margins).all(axis=0) & np.isfinite(loss) & known & inside[:, None]
        account, origin = np.nonzero(judged.T)
        if not len(origin):
            raise InputError(
                f"the {'test' if test else 'validation'} period holds no origin at which every "
                "policy has a margin for an account; give more history or fewer instruments"
            )
        return Cells(
            policies=tuple(self.margin),
            margin=margins[:, origin, account],
            loss=loss[origin, account],
            origin=origin,
            instrument=account,
            side=np.zeros(len(origin), dtype=np.intp),
        )

    def table(self, *, reference: str) -> pd.DataFrame:
        """Return the columns of :func:`.metrics.policy_table`, one row per policy, over the test.

        Parameters
        ----------
        reference : str
            Policy that the others are compared with, at its mean margin; chosen beforehand.
        """
        if reference not in self.margin:
            raise InputError(f"reference must be one of {list(self.margin)}, was {reference!r}")
        return policy_table(
            self.cells(test=True),
            reference=reference,
            factors=cost_factors(self.cells(test=False), reference=reference),
            tail_probability=self.market.tail_probability,
            horizon=self.market.horizon,
        )


def draw_accounts(n: int, n_instruments: int, *, rng: np.random.Generator) -> Values:
    """Draw accounts of four kinds in turn: one position, a basket, a pair, a neutral book.

    A basket has three to six positions of one sign, a pair one of each, a neutral book as many as
    a basket with longs and shorts of equal notional. Every other four are short where the four
    before are long.

    Parameters
    ----------
    n : int
        Accounts.
    n_instruments : int
        At least 6.
    rng : numpy.random.Generator
        Draws.

    Returns
    -------
    ndarray, shape (n, n_instruments)
        Signed weights; absolute weights of an account sum to one.
    """
    if n_instruments < 6:
        raise InputError(f"accounts are drawn from at least 6 instruments, were {n_instruments}")
    weight = np.zeros((n, n_instruments))
    for account in range(n):
        kind = account % 4
        held = {0: 1, 2: 2}.get(kind, int(rng.integers(3, 7)))
        chosen = rng.permutation(n_instruments)[:held]
        size = rng.dirichlet(np.full(held, 2.0))
        sign = np.ones(held)
        if kind >= 2:
            sign[: max(1, held // 2)] = -1.0
            for side in (sign > 0.0, sign < 0.0):
                size[side] *= 0.5 / size[side].sum()
        weight[account, chosen] = size * sign * (1.0 if account % 8 < 4 else -1.0)
    return weight
