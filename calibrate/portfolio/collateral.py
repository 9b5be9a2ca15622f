"""What collateral is worth against a requirement, and what it is worth when the book loses."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .accounts import Accounts, sums_by_account
from .requirement import MarginRules
from .scenarios import ScenarioSet
from .tail import check_positions, scenario_risk, tail_rule


@dataclass(frozen=True, kw_only=True, eq=False)
class CollateralTerms:
    """On what terms each instrument is taken as collateral; read-only arrays (n_instruments,).

    Attributes
    ----------
    price : ndarray
        Money per unit, not negative. At most par for a stablecoin.
    haircut : ndarray
        Fraction of the value that does not count, in [0, 1]; 1 for what is not taken.
    limit : ndarray
        Largest part of the requirement that the instrument may cover, in [0, 1]; 1 for cash.
    """

    price: NDArray[np.float64]
    haircut: NDArray[np.float64]
    limit: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = np.shape(self.price)
        for name in ("price", "haircut", "limit"):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.ndim != 1 or array.shape != n:
                raise ShapeError(f"{name} must be one-dimensional as price {n}, was {array.shape}")
            highest = np.inf if name == "price" else 1.0
            if not (np.isfinite(array).all() and ((array >= 0.0) & (array <= highest)).all()):
                raise InputError(
                    f"{name} must be finite and in [0, {highest}], found "
                    f"{array.min(initial=np.inf)} to {array.max(initial=-np.inf)}"
                )
            array.setflags(write=False)
            object.__setattr__(self, name, array)


@dataclass(frozen=True, kw_only=True, eq=False)
class CollateralValue:
    """Collateral of every account; money, read-only arrays of shape (n_accounts,).

    Attributes
    ----------
    market_value : ndarray
        At prices.
    after_haircut : ndarray
        What is left of it.
    counted : ndarray
        What the concentration limits leave of that.
    wrong_way : ndarray
        Missing beyond the haircuts when collateral and book lose together; not negative.
    requirement : ndarray
        What has to be covered.
    """

    market_value: NDArray[np.float64]
    after_haircut: NDArray[np.float64]
    counted: NDArray[np.float64]
    wrong_way: NDArray[np.float64]
    requirement: NDArray[np.float64]

    def __post_init__(self) -> None:
        for array in vars(self).values():
            array.setflags(write=False)

    @property
    def excess(self) -> NDArray[np.float64]:
        """What is left beyond the requirement; negative if the account has to bring more."""
        return self.counted - self.wrong_way - self.requirement

    def frame(self) -> pd.DataFrame:
        """Return a table with one row per account."""
        return pd.DataFrame({**vars(self), "excess": self.excess}).rename_axis("account")


def collateral_value(
    book: Accounts,
    collateral: Accounts,
    scenarios: ScenarioSet,
    *,
    terms: CollateralTerms,
    requirement: ArrayLike,
    rules: MarginRules,
) -> CollateralValue:
    r"""Value the collateral of every account against its requirement.

    A unit counts at price times one less the haircut, and an instrument for no more than its limit
    times the requirement. That treats collateral as if it fell by its haircut whatever the book
    does. So book and collateral are also revalued together in every scenario, with
    :math:`\rho` the measure and D what haircuts take from that collateral,

    .. math:: \text{wrong way} = \max\bigl(0,\ \rho(\text{book + collateral})
              - \max(\rho(\text{book}), 0) - D\bigr)

    which is zero where haircuts are as strict as the measure, and bites where a haircut is a
    forecast for calm times, a floor or a lower confidence level and the book falls with it.
    Collateral that gains when the book loses earns nothing: correlations may turn. More collateral
    never lowers the excess, as long as a unit cannot lose more than its price.

    Parameters
    ----------
    book, collateral : Accounts
        Positions of the same accounts; quantities of collateral must not be negative.
    scenarios : ScenarioSet
        Money per unit of every instrument in either.
    terms : CollateralTerms
        Prices, haircuts and limits of all instruments.
    requirement : array_like, shape (n_accounts,)
        Money to be covered, not negative: :attr:`AccountMargin.total`, and debts.
    rules : MarginRules
        Measure of the joint revaluation.
    """
    need = np.array(requirement, dtype=np.float64)
    if need.shape != (book.n_accounts,):
        raise ShapeError(f"requirement must have shape ({book.n_accounts},), was {need.shape}")
    if not (np.isfinite(need).all() and (need >= 0.0).all()):
        raise InputError("requirement must be finite and not negative")
    if collateral.quantity.min(initial=0.0) < 0.0:
        raise InputError(
            f"quantities of collateral must not be negative, found {collateral.quantity.min()}; "
            "what is owed belongs to the requirement"
        )
    check_positions(collateral, scenarios)
    if len(terms.price) != scenarios.n_instruments:
        raise ShapeError(
            f"terms must have {scenarios.n_instruments} instruments, had {len(terms.price)}"
        )
    owner, row = collateral.owner(), collateral.instrument
    market = collateral.quantity * terms.price[row]
    kept = market * (1.0 - terms.haircut[row])
    counted = np.minimum(kept, terms.limit[row] * need[owner])
    # Collateral beyond its limit earns nothing, and its fall costs nothing either.
    part = np.divide(counted, kept, out=np.zeros_like(kept), where=kept > 0.0)
    relied_on = replace(collateral, quantity=collateral.quantity * part)
    cut = market * part * terms.haircut[row]
    by_account = [
        sums_by_account(values, owner, n_accounts=book.n_accounts)
        for values in (market, kept, counted, cut)
    ]
    rule = tail_rule(scenarios, confidence_level=rules.confidence_level, measure=rules.measure)
    alone = np.maximum(scenario_risk(book, scenarios, rule=rule), 0.0)
    joint = scenario_risk(book.together(relied_on), scenarios, rule=rule)
    return CollateralValue(
        market_value=by_account[0],
        after_haircut=by_account[1],
        counted=by_account[2],
        wrong_way=np.maximum(joint - alone - by_account[3], 0.0),
        requirement=need,
    )
