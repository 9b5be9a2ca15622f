"""Margin policies: one rule, one file, one interface."""

from .charges import PositionLiquidity, addons_tool, liquidity_tool
from .chosen import NO_RUNG, Chosen, ChosenMargins
from .cross import CrossMargin, account_known_at, account_loss, summed_margin
from .filtered import Filtered
from .fixed import Fixed
from .historical import Historical
from .interval import ErrorInterval
from .online import OnlinePolicy, OnlinePredictive
from .policy import Policy
from .predictive import RESPONSIVENESS, Predictive
from .tools import EMIR_TOOLS, Tool, WithTool

_REACTIVE: tuple[Policy, ...] = (
    Fixed(),
    Filtered(model="ewma-0.94"),
    Filtered(model="ewma-0.97"),
    Filtered(model="ewma-0.99"),
    Historical(sessions=250),
    Historical(sessions=500),
    Historical(sessions=1_000),
    Filtered(model="garch-normal"),
    Filtered(model="gjr-t"),
)

REACTIVE_POLICIES: tuple[Policy, ...] = tuple(
    policy
    for plain in _REACTIVE
    for policy in (plain, *(WithTool(policy=plain, tool=tool) for tool in EMIR_TOOLS))
)
"""Every policy that a predictive one has to beat: nine, each plain and with three tools."""

PREDICTIVE_POLICIES: tuple[Policy, ...] = (
    Predictive(model="regime-network"),
    Predictive(model="har-pooled", name="predictive-har"),
)
"""Policies from forecasts; the first is the one that the verdict is about."""

ALL_POLICIES: tuple[Policy, ...] = (*REACTIVE_POLICIES, *PREDICTIVE_POLICIES)
"""Every registered policy; the conformance tests run for each."""

__all__ = [
    "ALL_POLICIES",
    "EMIR_TOOLS",
    "NO_RUNG",
    "PREDICTIVE_POLICIES",
    "REACTIVE_POLICIES",
    "RESPONSIVENESS",
    "Chosen",
    "ChosenMargins",
    "CrossMargin",
    "ErrorInterval",
    "Filtered",
    "Fixed",
    "Historical",
    "OnlinePolicy",
    "OnlinePredictive",
    "Policy",
    "PositionLiquidity",
    "Predictive",
    "Tool",
    "WithTool",
    "account_known_at",
    "account_loss",
    "addons_tool",
    "liquidity_tool",
    "summed_margin",
]
