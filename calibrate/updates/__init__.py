"""Parameter updates: coupled, bounded, in order, and tried on the accounts before they are sent."""

from .accounts import Accounts
from .consumer import ConsumerOutcome, clamped
from .limits import Excess, Limit, RateLimits, Step
from .parameters import CAP_KINDS, Kind, Parameter, margin_parameters
from .plan import PlanStatus, StagedPlan, staged_plan
from .preflight import AccountImpact, PreflightReport, preflight
from .state import ParameterState
from .update import ParameterUpdate, Reason, Refusal

__all__ = [
    "CAP_KINDS",
    "AccountImpact",
    "Accounts",
    "ConsumerOutcome",
    "Excess",
    "Kind",
    "Limit",
    "Parameter",
    "ParameterState",
    "ParameterUpdate",
    "PlanStatus",
    "PreflightReport",
    "RateLimits",
    "Reason",
    "Refusal",
    "StagedPlan",
    "Step",
    "clamped",
    "margin_parameters",
    "preflight",
    "staged_plan",
]
