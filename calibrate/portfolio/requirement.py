"""The requirement of an account: netted, with limits on what netting may save."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .accounts import Accounts, sums_by_account
from .scenarios import ScenarioSet
from .tail import RiskMeasure, scenario_risk, tail_rule


@dataclass(frozen=True, kw_only=True)
class MarginRules:
    """How a requirement is made from scenarios.

    Attributes
    ----------
    confidence_level : float
        Of the measure, in [0.5, 1).
    measure : RiskMeasure or str
        As in :func:`portfolio_margin`.
    diversification_cap : float
        Largest part of the sum of the stand-alone margins that offsets between underlyings may
        save, in [0, 1]. Netting within an underlying is not limited.
    correlation_stress : float
        Share, in [0, 1], by which correlations move to those that hurt the account most.
    """

    confidence_level: float
    measure: RiskMeasure | str = RiskMeasure.EXPECTED_SHORTFALL
    diversification_cap: float = 0.8
    correlation_stress: float = 0.0

    def __post_init__(self) -> None:
        for name in ("diversification_cap", "correlation_stress"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(
                    f"{name} must be in [0, 1], was {getattr(self, name)}; it is a share"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class Concentration:
    """What can be closed within the horizon; read-only arrays.

    Attributes
    ----------
    size : ndarray, shape (n_instruments,)
        Size of one unit, signed as its exposure: coins per contract, or delta of an option. Sizes
        of one underlying are netted.
    capacity : mapping of int to float
        Size of each underlying that can be closed within the horizon of the scenarios, positive.
    """

    size: NDArray[np.float64]
    capacity: Mapping[int, float]

    def __post_init__(self) -> None:
        size = np.array(self.size, dtype=np.float64)
        if size.ndim != 1 or not np.isfinite(size).all():
            raise InputError(
                "size must be one-dimensional and finite, "
                f"had shape {size.shape} and {np.sum(~np.isfinite(size))} values that are not"
            )
        bad = {u: c for u, c in self.capacity.items() if not (np.isfinite(c) and c > 0.0)}
        if bad:
            raise InputError(f"capacity must be positive and finite, was {bad}")
        size.setflags(write=False)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "capacity", MappingProxyType(dict(self.capacity)))

    def scale(
        self, parts: Accounts, underlying: NDArray[np.int64], *, n_instruments: int
    ) -> NDArray[np.float64]:
        """Return by how much each part's margin grows with its time to close, at least one."""
        if len(self.size) != n_instruments:
            raise ShapeError(f"size must have shape ({n_instruments},), was {self.size.shape}")
        unknown = sorted(set(np.unique(underlying).tolist()) - set(self.capacity))
        if unknown:
            raise InputError(
                f"capacity must name every underlying held, lacks {unknown[:5]}; give a small one "
                "where it is not known"
            )
        net = _sums(parts.quantity * self.size[parts.instrument], parts.offsets)
        names = np.unique(underlying)
        capacity = np.array([self.capacity[int(name)] for name in names])
        share = np.abs(net) / capacity[np.searchsorted(names, underlying)]
        scale: NDArray[np.float64] = np.sqrt(np.maximum(share, 1.0))
        return scale


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountMargin:
    """Requirements and what they are made of; money, read-only arrays of shape (n_accounts,).

    Attributes
    ----------
    stand_alone : ndarray
        Sum of the margins of each underlying alone.
    netted : ndarray
        Margin of the whole book.
    correlation_add_on : ndarray
        Added for correlations that turn against the book.
    diversification_add_on : ndarray
        Added so that offsets save no more than they may.
    concentration_add_on : ndarray
        Added for positions that take longer to close than the horizon.
    """

    stand_alone: NDArray[np.float64]
    netted: NDArray[np.float64]
    correlation_add_on: NDArray[np.float64]
    diversification_add_on: NDArray[np.float64]
    concentration_add_on: NDArray[np.float64]

    def __post_init__(self) -> None:
        for array in vars(self).values():
            array.setflags(write=False)

    @property
    def total(self) -> NDArray[np.float64]:
        """The requirement."""
        return (
            self.netted
            + self.correlation_add_on
            + self.diversification_add_on
            + self.concentration_add_on
        )

    def frame(self) -> pd.DataFrame:
        """Return a table with one row per account."""
        return pd.DataFrame({**vars(self), "total": self.total}).rename_axis("account")


def account_margin(
    accounts: Accounts,
    scenarios: ScenarioSet,
    underlying: ArrayLike,
    *,
    rules: MarginRules,
    concentration: Concentration | None = None,
) -> AccountMargin:
    r"""Compute the requirement of every account.

    Spot, futures, perpetuals and options of one underlying, at all venues, are netted scenario by
    scenario; their basis is as risky as their rows say. Underlyings offset each other within
    limits. With :math:`M` the margin of the whole book, :math:`S` the sum of the margins
    :math:`M_u` of each underlying alone, :math:`\lambda` the correlation stress and :math:`c` the
    cap,

    .. math:: \max\bigl(\sqrt{(1-\lambda) M^2 + \lambda S^2},\ (1-c) S\bigr)
              + \sum_u M_u \bigl(\sqrt{\max(1, |Q_u|/C_u)} - 1\bigr).

    The root is what M becomes when the correlations of the underlyings' results move by
    :math:`\lambda` towards one, if they are elliptical: see :func:`stressed_correlation`. A
    position Q beyond the capacity C takes Q/C times as long to close, and the loss of a held
    position grows with the root of time.

    Without concentration the requirement of a coherent measure lies between M and S.

    Parameters
    ----------
    accounts : Accounts
        Positions; every instrument must have scenarios.
    scenarios : ScenarioSet
        Money per unit in each scenario.
    underlying : array_like of int, shape (n_instruments,)
        Number of each instrument's underlying.
    rules : MarginRules
        Measure and limits.
    concentration : Concentration, optional
        Sizes and capacities; no add-on without.
    """
    groups = np.asarray(underlying)
    if groups.shape != (scenarios.n_instruments,):
        raise ShapeError(
            f"underlying must have shape ({scenarios.n_instruments},), was {groups.shape}"
        )
    rule = tail_rule(scenarios, confidence_level=rules.confidence_level, measure=rules.measure)
    netted = np.maximum(scenario_risk(accounts, scenarios, rule=rule), 0.0)
    parts, owner, group = accounts.split(groups)
    alone = np.maximum(scenario_risk(parts, scenarios, rule=rule), 0.0)
    total = sums_by_account(alone, owner, n_accounts=accounts.n_accounts)
    # A value at risk may exceed the sum of its parts, and stays where it is.
    worst = np.maximum(total, netted)
    share = rules.correlation_stress
    stressed = np.maximum(np.sqrt((1.0 - share) * netted**2 + share * worst**2), netted)
    extra = np.zeros_like(alone)
    if concentration is not None:
        scale = concentration.scale(parts, group, n_instruments=scenarios.n_instruments)
        extra = alone * (scale - 1.0)
    return AccountMargin(
        stand_alone=total,
        netted=netted,
        correlation_add_on=stressed - netted,
        diversification_add_on=np.maximum(
            (1.0 - rules.diversification_cap) * total - stressed, 0.0
        ),
        concentration_add_on=sums_by_account(extra, owner, n_accounts=accounts.n_accounts),
    )


def _sums(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum slices, none of them empty."""
    if not len(values):
        return np.zeros(len(offsets) - 1)
    return np.asarray(np.add.reduceat(values, offsets[:-1]))
