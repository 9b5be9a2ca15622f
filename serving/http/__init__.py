"""HTTP: the API, version 1, and its fast path.

What needs numpy, the scenarios of portfolio what-if, is in :mod:`.whatif` and :mod:`.scenarios`.
"""

from .app import make_app
from .context import Additions
from .gate import Gate
from .hot import HotWork
from .problems import PROBLEMS, Problem, ProblemError
from .settings import HttpSettings
from .simulate import Part, Position, Simulation, SimulationRequest
from .updates import UpdatesPort

__all__ = [
    "PROBLEMS",
    "Additions",
    "Gate",
    "HotWork",
    "HttpSettings",
    "Part",
    "Position",
    "Problem",
    "ProblemError",
    "Simulation",
    "SimulationRequest",
    "UpdatesPort",
    "make_app",
]
