"""What can be asked of a GARCH model, and the order of its parameters."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .kernel_rows import Plan

T = TypeVar("T", bound=StrEnum)

ALL_PARAMETERS = ("mu", "omega", "alpha", "gamma", "beta", "nu", "lambda")
"""Columns of the compiled code; a model has some of them."""


class Volatility(StrEnum):
    """Which recursion the variance follows."""

    GARCH = "garch"
    GJR = "gjr"
    EGARCH = "egarch"


class Distribution(StrEnum):
    """Which law the standardised residuals follow."""

    NORMAL = "normal"
    T = "t"
    SKEW_T = "skewt"


class Mean(StrEnum):
    """What is expected of a return."""

    CONSTANT = "constant"
    ZERO = "zero"


class StartVariance(StrEnum):
    """What stands for the variance before the first observation."""

    EXPONENTIAL = "exponential"
    """Exponentially weighted mean of the first 75 squared residuals (the default of `arch`)."""
    MEAN_SQUARE = "mean-square"
    """Mean squared residual at the current mean (Fiorentini, Calzolari and Panattoni 1996)."""


@dataclass(frozen=True, kw_only=True)
class GarchModel:
    """A model of the family, by its four choices.

    Attributes
    ----------
    volatility : Volatility
        The recursion.
    distribution : Distribution
        The law of the standardised residuals.
    mean : Mean
        Constant or zero.
    start_variance : StartVariance
        What stands before the first observation.
    """

    volatility: Volatility
    distribution: Distribution
    mean: Mean
    start_variance: StartVariance

    @property
    def columns(self) -> NDArray[np.intp]:
        """Places of the model's parameters among :data:`ALL_PARAMETERS`."""
        has = {
            "mu": self.mean is Mean.CONSTANT,
            "gamma": self.volatility is not Volatility.GARCH,
            "nu": self.distribution is not Distribution.NORMAL,
            "lambda": self.distribution is Distribution.SKEW_T,
        }
        return np.flatnonzero([has.get(name, True) for name in ALL_PARAMETERS])

    @property
    def param_names(self) -> tuple[str, ...]:
        """Names of the parameters in their order."""
        return tuple(ALL_PARAMETERS[i] for i in self.columns)

    def plan(self, *, chained: bool = False) -> Plan:
        """Return the same in the codes of the compiled functions."""
        return Plan(
            list(Volatility).index(self.volatility),
            list(Distribution).index(self.distribution),
            self.mean is Mean.CONSTANT,
            self.start_variance is StartVariance.EXPONENTIAL,
            chained,
        )


def garch_model(
    *, volatility: str, distribution: str, mean: str, start_variance: str
) -> GarchModel:
    """Return the model of four words, or say which words there are."""
    return GarchModel(
        volatility=_choice(Volatility, "volatility", volatility),
        distribution=_choice(Distribution, "distribution", distribution),
        mean=_choice(Mean, "mean", mean),
        start_variance=_choice(StartVariance, "start_variance", start_variance),
    )


def _choice(kind: type[T], name: str, value: str) -> T:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(repr(str(member)) for member in kind)
        raise InputError(f"{name} must be one of {allowed}, was {value!r}") from None
