"""Smart-contract, admin-key and governance risk: a scorecard of declared facts.

Every fact maps to a risk in [0, 1], 0 the best of its range; what is not known counts as the
worst. The haircut is the sum of weight times risk: it rises with every risk, and lies between 0 and
the sum of the weights. The weights are judgement. They are estimated from nothing; each says its
reason.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .addon import Addon, Floats, finite, share


class AdminKey(StrEnum):
    """Who can change the contracts."""

    NOBODY = "nobody"
    VOTE = "vote"
    MULTISIG = "multisig"
    SINGLE_KEY = "single-key"


class PausePower(StrEnum):
    """What a pause stops."""

    NEW_RISK = "new-risk"
    """Only what adds risk: holders can leave."""
    NONE = "none"
    """Nothing can be paused, an exploit neither."""
    EVERYTHING = "everything"
    """Withdrawal and liquidation too: collateral can be frozen."""


class Upgrade(StrEnum):
    """How code can be replaced."""

    NEVER = "never"
    DELAYED = "delayed"
    AT_ONCE = "at-once"


class OracleKind(StrEnum):
    """Where the contracts take prices from."""

    SEVERAL = "several"
    """Median of providers that do not depend on each other."""
    ONE_PROVIDER = "one-provider"
    ONE_VENUE = "one-venue"
    """The book or pool of one venue, which a trade can move."""


@dataclass(frozen=True, kw_only=True)
class ProtocolFacts:
    """What is declared about one protocol; None is not known.

    Attributes
    ----------
    audit_age_days : float or None
        Days since the last independent audit of the code that runs.
    deployed_days : float or None
        Days since that code was deployed.
    admin_key : AdminKey or None
        Who can change it.
    admin_delay_h : float or None
        Hours between the announcement of a change and its effect.
    pause_power : PausePower or None
        What a pause stops.
    upgrade : Upgrade or None
        How code can be replaced.
    oracle : OracleKind or None
        Where prices come from.
    tvl_drawdown : float or None
        Fall of the value locked from its highest point, fraction in [0, 1]; see
        :func:`tvl_drawdown`.
    past_incidents : int or None
        Losses to exploits or governance so far.
    """

    audit_age_days: float | None = None
    deployed_days: float | None = None
    admin_key: AdminKey | None = None
    admin_delay_h: float | None = None
    pause_power: PausePower | None = None
    upgrade: Upgrade | None = None
    oracle: OracleKind | None = None
    tvl_drawdown: float | None = None
    past_incidents: int | None = None

    def __post_init__(self) -> None:
        for name in ("audit_age_days", "deployed_days", "admin_delay_h", "past_incidents"):
            if getattr(self, name) is not None:
                finite(name, getattr(self, name), least=0.0)
        if self.tvl_drawdown is not None:
            share("tvl_drawdown", self.tvl_drawdown)
        kinds = (AdminKey, PausePower, Upgrade, OracleKind)
        for name, kind in zip(
            ("admin_key", "pause_power", "upgrade", "oracle"), kinds, strict=True
        ):
            value = getattr(self, name)
            if value is not None and value not in list(kind):
                raise InputError(f"{name} must be one of {[k.value for k in kind]}, was {value!r}")


class Scale(Protocol):
    """From a fact to a risk in [0, 1]."""

    def risk(self, value: float | str) -> float:
        """Return the risk of a known fact."""


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """Linear between a value without risk and one with all of it, and flat beyond."""

    best: float
    worst: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.best) and math.isfinite(self.worst)) or self.best == self.worst:
            raise InputError(
                f"a ramp needs two different finite ends, were {self.best} and {self.worst}"
            )

    def risk(self, value: float | str) -> float:
        """Return the risk of a number."""
        return min(max((float(value) - self.best) / (self.worst - self.best), 0.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A risk in [0, 1] for every value of a closed set."""

    risks: Mapping[str, float]

    def __post_init__(self) -> None:
        for name, risk in self.risks.items():
            share(f"risk of {name}", risk)
        object.__setattr__(self, "risks", MappingProxyType(dict(self.risks)))

    def risk(self, value: float | str) -> float:
        """Return the risk of a value."""
        if value not in self.risks:
            raise InputError(f"this scale knows {sorted(self.risks)}, was {value!r}; add its risk")
        return self.risks[str(value)]


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """One line of a scorecard.

    Attributes
    ----------
    fact : str
        Attribute of :class:`ProtocolFacts`.
    most : float
        Haircut at the worst, fraction of notional in [0, 1].
    scale : Scale
        From the fact to its risk.
    reason : str
        Why it weighs what it weighs.
    """

    fact: str
    most: float
    scale: Scale
    reason: str

    def __post_init__(self) -> None:
        share(f"weight of {self.fact}", self.most)
        if self.fact not in {field.name for field in fields(ProtocolFacts)}:
            raise InputError(f"a scorecard weighs facts of ProtocolFacts, {self.fact!r} is none")
        if not self.reason.strip():
            raise InputError(f"the weight of {self.fact} needs a reason")


DEFAULT_WEIGHTS = (
    Weighted(
        fact="admin_key",
        most=0.02,
        scale=Choice(risks={"nobody": 0.0, "vote": 0.4, "multisig": 0.6, "single-key": 1.0}),
        reason="one stolen key takes everything; several must collude, a vote is seen coming",
    ),
    Weighted(
        fact="oracle",
        most=0.02,
        scale=Choice(risks={"several": 0.0, "one-provider": 0.5, "one-venue": 1.0}),
        reason="a price that one trade can move is the most frequent way to drain a protocol",
    ),
    Weighted(
        fact="admin_delay_h",
        most=0.01,
        scale=Ramp(best=168.0, worst=0.0),
        reason="a week is time for everybody to leave; without delay nobody can",
    ),
    Weighted(
        fact="upgrade",
        most=0.01,
        scale=Choice(risks={"never": 0.0, "delayed": 0.5, "at-once": 1.0}),
        reason="code that is replaced at once makes what was audited yesterday worth nothing",
    ),
    Weighted(
        fact="deployed_days",
        most=0.01,
        scale=Ramp(best=1_095.0, worst=0.0),
        reason="most exploits hit young code; three years with money at stake are a test",
    ),
    Weighted(
        fact="tvl_drawdown",
        most=0.01,
        scale=Ramp(best=0.0, worst=1.0),
        reason="money that leaves knows something or leaves less to absorb a loss",
    ),
    Weighted(
        fact="past_incidents",
        most=0.01,
        scale=Ramp(best=0.0, worst=3.0),
        reason="who lost money before had faults in code or process; three are a pattern",
    ),
    Weighted(
        fact="audit_age_days",
        most=0.005,
        scale=Ramp(best=0.0, worst=730.0),
        reason="an audit ages as attacks are invented; many audited protocols were drained",
    ),
    Weighted(
        fact="pause_power",
        most=0.005,
        scale=Choice(risks={"new-risk": 0.0, "none": 0.5, "everything": 1.0}),
        reason="a pause may stop a theft, and one that stops exits freezes collateral",
    ),
)
"""Together at most 10 % of notional."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ContractHaircut:
    """Haircuts of several protocols; read-only arrays.

    Attributes
    ----------
    facts : tuple of str
        Facts in the order of the scorecard.
    risk : ndarray, shape (n_protocols, n_facts)
        In [0, 1]; 1 also where the fact is not known.
    known : ndarray of bool, shape (n_protocols, n_facts)
        Whether the fact was declared.
    rate : ndarray, shape (n_protocols, n_facts)
        Contribution to the haircut, fraction of notional.
    """

    facts: tuple[str, ...]
    risk: Floats
    known: NDArray[np.bool_]
    rate: Floats

    def __post_init__(self) -> None:
        for array in (self.risk, self.known, self.rate):
            array.setflags(write=False)

    def addon(self) -> Addon:
        """Return the haircut as an add-on, shape (n_protocols,)."""
        return Addon(name="contract", risk="contract", rate=self.rate.sum(axis=1))

    def frame(self) -> pd.DataFrame:
        """Return one row per protocol and fact: known, risk and contribution."""
        n_protocols, n_facts = self.rate.shape
        return pd.DataFrame(
            {
                "protocol": np.repeat(np.arange(n_protocols), n_facts),
                "fact": list(self.facts) * n_protocols,
                "known": self.known.ravel(),
                "risk": self.risk.ravel(),
                "rate": self.rate.ravel(),
            }
        )


def contract_haircut(
    protocols: Sequence[ProtocolFacts], *, weights: Sequence[Weighted] = DEFAULT_WEIGHTS
) -> ContractHaircut:
    """Score protocols.

    Parameters
    ----------
    protocols : sequence of ProtocolFacts
        What is declared about each.
    weights : sequence of Weighted
        The scorecard; every fact at most once.

    Returns
    -------
    ContractHaircut
        Of at most the sum of the weights.
    """
    facts = tuple(line.fact for line in weights)
    if len(set(facts)) < len(facts):
        raise InputError(f"a scorecard weighs every fact at most once, were {facts}")
    shape = (len(protocols), len(facts))
    risk, known = np.ones(shape), np.zeros(shape, dtype=bool)
    for i, protocol in enumerate(protocols):
        for j, line in enumerate(weights):
            value = getattr(protocol, line.fact)
            if value is not None:
                risk[i, j], known[i, j] = line.scale.risk(value), True
    most = np.array([line.most for line in weights])
    return ContractHaircut(facts=facts, risk=risk, known=known, rate=risk * most)


def tvl_drawdown(value_locked: NDArray[np.float64]) -> float:
    """Fall of the value locked from its highest point to its last.

    Parameters
    ----------
    value_locked : ndarray, shape (n,)
        Value locked, oldest first, at least 0; its highest positive.

    Returns
    -------
    float
        In [0, 1].
    """
    if value_locked.ndim != 1 or not len(value_locked):
        raise ShapeError(
            f"value_locked must be one-dimensional and not empty, was {value_locked.shape}"
        )
    highest = finite("value_locked", value_locked, least=0.0).max()
    if highest == 0.0:
        raise InputError("value_locked must have been positive once; leave tvl_drawdown unknown")
    return float(1.0 - value_locked[-1] / highest)
