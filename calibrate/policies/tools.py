"""The three anti-procyclicality tools of EMIR, each around any policy.

Commission Delegated Regulation (EU) No 153/2013, Article 28(1): (a) a buffer of at least 25 % that
may be used up when margins rise; (b) at least 25 % weight on stressed observations; (c) never
below the margin from a ten-year look-back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..market import MarginMarket, SideSeries
from ..schedule import Generation
from .historical import historical_rate
from .policy import Policy

BUFFER = 0.25
"""Share by which the buffer lifts the margin in calm times."""

STRESS_WEIGHT = 0.25
"""Weight of the stressed margin."""

_STRESS_SESSIONS = 250  # length of the stressed window, trading days
_FLOOR_YEARS = 10
_RELEASE_QUANTILE = 0.99


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A rule that turns the margins of a policy into other margins.

    Attributes
    ----------
    name : str
        What is appended to the name of the policy.
    apply : callable
        From margins, shape ``market.shape``, and the market to margins of the same shape.
    """

    name: str
    apply: Callable[[NDArray[np.float64], MarginMarket], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class WithTool:
    """A policy with a tool around it.

    Attributes
    ----------
    policy : Policy
        The policy inside.
    tool : Tool
        The tool.
    """

    policy: Policy
    tool: Tool

    @property
    def name(self) -> str:
        """``hs-500+buffer``."""
        return f"{self.policy.name}+{self.tool.name}"

    @property
    def generation(self) -> Generation:
        """That of the policy."""
        return self.policy.generation

    @property
    def models(self) -> tuple[str, ...]:
        """Those of the policy."""
        return self.policy.models

    def margin(self, market: MarginMarket) -> NDArray[np.float64]:
        """Apply the tool to the policy's margins."""
        return self.tool.apply(self.policy.margin(market), market)


def buffered(plain: NDArray[np.float64], market: MarginMarket) -> NDArray[np.float64]:
    """Tool (a): ``max(M, min(1.25 M, R))``, R the 99 % quantile of the policy's past margins.

    The buffer is there in calm times and used up as the margin nears the highest it has asked.
    """
    release = np.full_like(plain, np.nan)
    for i, s in np.ndindex(plain.shape[1:]):
        known = np.isfinite(plain[:, i, s])
        past = pd.Series(plain[known, i, s]).expanding()
        release[known, i, s] = past.quantile(_RELEASE_QUANTILE)
    return np.maximum(plain, np.minimum((1.0 + BUFFER) * plain, release))


def stress_weighted(plain: NDArray[np.float64], market: MarginMarket) -> NDArray[np.float64]:
    """Tool (b): three quarters of the policy and one quarter of the stressed margin.

    The stressed margin is the highest quantile that any window of 250 trading days has shown up
    to the origin. While no window has shown a loss there is no stress to weigh: the policy's own
    margin stands.
    """
    stressed = market.each_side(_stressed_rate)
    blend = (1.0 - STRESS_WEIGHT) * plain + STRESS_WEIGHT * stressed
    return np.where(np.isfinite(stressed), blend, plain)


def floored(plain: NDArray[np.float64], market: MarginMarket) -> NDArray[np.float64]:
    """Tool (c): never below the quantile of the last ten years, or of all there is.

    While the past has shown no loss there is no floor: the policy's own margin stands.
    """
    floor = market.each_side(
        lambda series: historical_rate(series, window=round(_FLOOR_YEARS * series.periods_per_year))
    )
    return np.where(np.isfinite(floor), np.maximum(plain, floor), plain)


EMIR_TOOLS = (
    Tool(name="buffer", apply=buffered),
    Tool(name="stress", apply=stress_weighted),
    Tool(name="floor", apply=floored),
)
"""The three tools of Article 28(1)."""


def _stressed_rate(series: SideSeries) -> NDArray[np.float64]:
    recent = historical_rate(series, window=_STRESS_SESSIONS * series.session)
    return np.asarray(pd.Series(recent).cummax())
