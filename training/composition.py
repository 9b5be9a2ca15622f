"""Margin policies composed in an experiment file, part by part.

A policy is a forecast, how far it is followed, a law of scores, coverage control, tools against
procyclicality, limits on how the margin may move, the liquidity of a position, and add-ons; each
part is named or left at its default:

.. code-block:: yaml

    margin:
      policies:
        - predictive-har
        - name: house
          model: har-pooled
          responsiveness: [1.0, 0.5]
          coverage: {rule: aci, gain: 0.1}
          tools: [floor]
          limits:
            speed: [{rise: 0.5, periods: 20}]
            lift: {headroom: {size: 0.1}}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from ..calibrate import (
    EMIR_TOOLS,
    Generation,
    MarginMarket,
    Policy,
    Predictive,
    Tool,
    WithTool,
)
from ..calibrate.addons import Addon, Addons
from ..calibrate.coverage import ALL_RULES, CoverageRule
from ..calibrate.laws import SCORE_LAWS, ScoreLaw
from ..calibrate.path import MarginLimits, limits_tool
from ..calibrate.policies import PositionLiquidity, addons_tool, liquidity_tool
from ..errors import InputError
from .section import Section


class CoverageConfig(BaseModel):
    """Coverage control of a composed policy: a rule and the numbers it is given."""

    model_config = ConfigDict(frozen=True, extra="allow")

    rule: str = "aci"
    """Name of a rule; its other fields follow as keys."""


class PolicyConfig(Section):
    """One composed policy."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]+$")]
    """Name in every table; not that of a registered policy."""
    model: str
    """Forecaster whose variances it follows."""
    generation: Literal["reactive", "predictive"] = "predictive"
    """What the verdict counts it as: reactive if its forecaster only looks back at returns."""
    responsiveness: Literal["learned"] | tuple[float, float] = "learned"
    """How far the margin follows: learned, one exponent, or one above and one below the usual."""
    law: str | None = None
    """Law that scores are divided by before coverage control; by default none."""
    coverage: CoverageConfig = CoverageConfig()
    """What holds the breach rate."""
    pooled_sessions: Annotated[float, Field(ge=0.0)] = 500.0
    """Trading days of own scores that the tail of all instruments counts as; 0 is alone."""
    tools: tuple[str, ...] = ()
    """Anti-procyclicality tools of EMIR, the first innermost."""
    limits: dict[str, Any] | None = None
    """How the margin may move; see :class:`foremargin.calibrate.path.MarginLimits`."""

    @field_validator("responsiveness", mode="before")
    @classmethod
    def _pair(cls, given: object) -> object:
        pair = given if isinstance(given, list | tuple) else (given, given)
        numbers = [x for x in pair if isinstance(x, int | float) and 0.0 <= x <= 1.0]
        if given == "learned" or len(pair) == len(numbers) == 2:
            return given if given == "learned" else tuple(pair)
        raise ValueError(
            "responsiveness must be 'learned', a number in [0, 1], or two of them, above and below "
            f"the usual volatility; was {given!r}"
        )

    liquidity: dict[str, Any] | None = None
    """Position to be closed: `notional`, `spread`, `participation`, and a `model` whose stress
    probabilities count; by default none."""
    addons: dict[str, Annotated[float, Field(ge=0.0, lt=1.0)]] = Field(default_factory=dict)
    """Charges by name, fractions of notional, that are added at the end."""

    def policy(self) -> Policy:
        """Build it.

        Raises
        ------
        InputError
            If a name is not registered or a number is out of range.
        """
        plain: Policy = self.predictive()
        tools = [_tool(name, where=self.name) for name in self.tools]
        if self.limits is not None:
            tools.append(limits_tool(self.margin_limits()))
        if self.liquidity is not None:
            what = f"liquidity of policy {self.name}"
            position = _checked(PositionLiquidity, self._position(), what=what)
            tools.append(liquidity_tool(position))
        if self.addons:
            parts = (Addon(name=k, risk=k, rate=np.array(v)) for k, v in self.addons.items())
            tools.append(addons_tool(Addons(parts=tuple(parts))))
        return _Composed(name=self.name, policy=with_tools(plain, tools)) if tools else plain

    def predictive(self) -> Predictive:
        """Build it without tools, limits, liquidity and add-ons.

        Raises
        ------
        InputError
            If a name is not registered or a number is out of range.
        """
        return Predictive(
            model=self.model,
            name=self.name,
            generation=Generation(self.generation),
            coverage=_rule(self.coverage, where=self.name),
            law=None if self.law is None else _law(self.law, where=self.name),
            pooled_sessions=self.pooled_sessions,
            **self._exponents(),
        )

    def margin_limits(self) -> MarginLimits:
        """Return its limits; without any the margin may move as it likes."""
        return MarginLimits() if self.limits is None else _limits(self.limits, where=self.name)

    def _position(self) -> dict[str, Any]:
        return {"model": self.model, **(self.liquidity or {})}

    def _exponents(self) -> dict[str, tuple[tuple[float, float], ...]]:
        if self.responsiveness == "learned":
            return {}
        return {"exponents": (self.responsiveness,)}


@dataclass(frozen=True, kw_only=True)
class _Composed:
    """A policy with tools around it, under a name of its own."""

    name: str
    policy: Policy

    @property
    def generation(self) -> Generation:
        """That of the policy."""
        return self.policy.generation

    @property
    def models(self) -> tuple[str, ...]:
        """Those of the policy."""
        return self.policy.models

    def margin(self, market: MarginMarket) -> NDArray[np.float64]:
        """Return the margins of the whole composition."""
        return self.policy.margin(market)


def with_tools(policy: Policy, tools: Sequence[Tool]) -> Policy:
    """Put tools around a policy, the first innermost."""
    for tool in tools:
        policy = WithTool(policy=policy, tool=tool)
    return policy


def _law(name: str, *, where: str) -> ScoreLaw:
    return _named(name, {law.name: law for law in SCORE_LAWS}, what=f"law of policy {where}")


def _tool(name: str, *, where: str) -> Tool:
    return _named(name, {tool.name: tool for tool in EMIR_TOOLS}, what=f"tools of policy {where}")


def _rule(config: CoverageConfig, *, where: str) -> CoverageRule:
    what = f"coverage of policy {where}"
    rule = _named(config.rule, {rule.name: rule for rule in ALL_RULES}, what=what)
    own = dict(config.model_extra or {})
    settled = sorted(set(own) & {"window", "needed", "name"})
    if settled:
        raise InputError(
            f"{what}: {settled} cannot be set: a policy keeps the scores of 1,000 trading days"
        )
    changed: CoverageRule = _checked(type(rule), {**_fields(rule), **own}, what=what)
    return changed


def _fields(specification: Any) -> dict[str, Any]:
    return {field.name: getattr(specification, field.name) for field in fields(specification)}


def _limits(values: dict[str, Any], *, where: str) -> MarginLimits:
    return _checked(MarginLimits, values, what=f"limits of policy {where}")


T = TypeVar("T")


def _named(name: str, registered: Mapping[str, T], *, what: str) -> T:
    if name not in registered:
        raise InputError(f"{what} must be among {sorted(registered)}, was {name!r}")
    return registered[name]


def _checked(kind: type[T], values: dict[str, Any], *, what: str) -> T:
    """Build a frozen specification from keys and values, nested ones too; no key is ignored."""
    _refuse_unknown(kind, values, what=what)
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "values"
        raise InputError(f"{what}: {place}: {first['msg']}, was {first.get('input')!r}") from error


def _refuse_unknown(kind: Any, values: Any, *, what: str) -> None:
    """Raise where a mapping has a key that its dataclass does not know."""
    inner = [part for part in get_args(kind) if part is not type(None)]
    if not is_dataclass(kind):
        for part in inner:
            for value in values if isinstance(values, list | tuple) else [values]:
                _refuse_unknown(part, value, what=what)
        return
    if not isinstance(values, dict):
        return
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"{what}: keys must be among {known}, found {unknown}")
    for name, value in values.items():
        _refuse_unknown(hints[name], value, what=f"{what}: {name}")
