"""The ladder: what is answered when something better is missing, never less margin."""

from .admission import Admission, AdmissionLimits, Known, Trial, Verdict
from .breaker import Breaker, BreakerSettings, BreakerState
from .consensus import is_dislocated
from .ladder import Ladder, Level, Standing, differs
from .sound import unsound

__all__ = [
    "Admission",
    "AdmissionLimits",
    "Breaker",
    "BreakerSettings",
    "BreakerState",
    "Known",
    "Ladder",
    "Level",
    "Standing",
    "Trial",
    "Verdict",
    "differs",
    "is_dislocated",
    "unsound",
]
