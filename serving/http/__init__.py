"""HTTP: the API, version 1, and its fast path.

What needs numpy, the scenarios of portfolio what-if, is in :mod:`.whatif` and :mod:`.scenarios`.
"""

from .app import make_app
from .context import Additions, UpdatesPort
from .gate import Gate, Infer
from .problems import PROBLEMS, Problem, ProblemError
from .settings import HttpSettings
from .simulate import Part, Position, Simulation, SimulationRequest

__all__ = [
    "PROBLEMS",
    "Additions",
    "Gate",
    "HttpSettings",
    "Infer",
    "Part",
    "Position",
    "Problem",
    "ProblemError",
    "Simulation",
    "SimulationRequest",
    "UpdatesPort",
    "make_app",
]
