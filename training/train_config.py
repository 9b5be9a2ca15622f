"""The section of an experiment that says what `foremargin train` deploys, and what it must pass."""

from typing import Annotated

from pydantic import Field, model_validator

from .composition import PolicyConfig
from .section import Section


class GatesConfig(Section):
    """What a candidate must show, on the origins of validation and test, to become champion."""

    significance_level: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Of the tests: a candidate fails if it is worse, or covers badly, beyond chance at this."""
    largest_qlike_ratio: Annotated[float, Field(gt=0.0)] = 1.02
    """Mean QLIKE over that of the opponent, at most: few rows must not hide a worse model."""
    hit_rate: tuple[float, float] = (0.005, 0.015)
    """Smallest and largest share of returns beyond the 1 % value at risk, both sides pooled."""
    smallest_brier_skill: Annotated[float, Field(lt=1.0)] = 0.0
    """Skill of the probabilities of stress over the base rate, at least."""
    largest_calibration_error: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    """Mean distance of the probabilities of stress from what was seen, at most."""
    largest_latency_ms: Annotated[float, Field(gt=0.0)] = 2_000.0
    """99 % quantile of the time that calibrated forecasts at one new origin take, at most."""
    fewest_origins: Annotated[int, Field(ge=30)] = 250
    """Origins that candidate and opponent share, at least."""
    references: Annotated[tuple[str, ...], Field(min_length=1)] = ("log-har", "ewma-0.94")
    """Opponents of a candidate while there is no champion: registered forecasters."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> "GatesConfig":
        low, high = self.hit_rate
        if not 0.0 <= low < high <= 1.0:
            raise ValueError(f"hit_rate must be two increasing shares in [0, 1], was {low}, {high}")
        return self


class ServedConfig(Section):
    """Which margins the service makes of the forecasts."""

    horizon: Annotated[int, Field(ge=1)] | None = None
    """Margin period of risk, own periods; by default the shortest of the section `margin`."""
    policy: PolicyConfig | None = None
    """Composed policy, of which forecast, responsiveness, coverage, pooling and limits are served;
    by default the predictive one without limits."""

    @model_validator(mode="after")
    def _can_be_served(self) -> "ServedConfig":
        policy = self.policy
        if policy is not None and (policy.law or policy.tools or policy.liquidity or policy.addons):
            raise ValueError(
                "a served policy may have limits, but no law, tools, liquidity or addons: leave "
                "the law out, write the tools as limits (floor, buffer), the others belong to "
                "an engine"
            )
        return self


class TrainConfig(Section):
    """Which model is deployed."""

    model: str = "regime-network"
    """Registered forecaster or mixture."""
    gates: GatesConfig = GatesConfig()
    """What it must pass."""
    served: ServedConfig = ServedConfig()
    """Which margins the service makes of it."""
