"""The section of an experiment that says what `foremargin tune` searches."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from .section import Section

Scalar = bool | int | float | str
"""A value that a hyper-parameter may have in an experiment file."""


class TuneMetric(StrEnum):
    """What a search makes small, a mean over the rows of validation."""

    QLIKE = "qlike_loss"
    """QLIKE of the variance."""
    FZ0 = "fz0_loss"
    """FZ0 of the 1 % tails, both sides, after calibration; percent returns."""
    BRIER = "brier_loss"
    """Squared error of the stress probability, after calibration."""


class ParameterSpace(Section):
    """Values of one hyper-parameter that are tried: a range, or a list."""

    low: float | None = None
    """Smallest value of a range."""
    high: float | None = None
    """Largest value of a range."""
    log: bool = False
    """Whether the range is searched on a logarithmic scale."""
    step: Annotated[float, Field(gt=0.0)] | None = None
    """Distance between the values of a range; any value, or any whole number, if not given."""
    choices: tuple[Scalar, ...] | None = None
    """The values of a list."""

    @model_validator(mode="after")
    def _is_a_range_or_a_list(self) -> "ParameterSpace":
        if self.choices is not None:
            if (self.low, self.high, self.step, self.log) != (None, None, None, False):
                raise ValueError("a list of choices has no low, high, step or log")
            if len(set(self.choices)) < 2:
                raise ValueError(f"choices must hold two different values, was {self.choices}")
            return self
        if self.low is None or self.high is None:
            raise ValueError("low and high must be given, or choices")
        if not self.low < self.high:
            raise ValueError(f"low must be below high, was {self.low} and {self.high}")
        if self.log and (self.low <= 0.0 or self.step is not None):
            raise ValueError("a logarithmic range must have low above 0 and no step")
        return self


class TuneConfig(Section):
    """A search over the hyper-parameters of one model, scored on validation only."""

    model: str
    """Name of a registered forecaster."""
    space: Annotated[dict[str, ParameterSpace], Field(min_length=1)]
    """Hyper-parameters, named as in `forecast.options`, and the values that are tried."""
    trials: Annotated[int, Field(ge=1)] = 20
    """Settings that are tried beside the default one."""
    metric: TuneMetric = TuneMetric.QLIKE
    """What is made small: `qlike_loss`, `fz0_loss` or `brier_loss`."""
    horizons: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Horizons whose mean counts, among those forecast; all of them if not given."""
