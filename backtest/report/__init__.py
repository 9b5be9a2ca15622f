"""Pages for people, of a backtest and of an evaluation; their figures are tables first."""

from .calibration import HitRateDisplay, ReliabilityDisplay, VarianceCalibrationDisplay
from .coverage import CoverageDisplay, QuintileDisplay
from .disclosure import DisclosureDisplay, render_disclosure
from .displays import FrontierDisplay, ProcyclicalityDisplay, ScoreDisplay
from .episode import EpisodeDisplay
from .evaluation import Evaluation, EvaluationFigure, evaluation_figures, render_evaluation
from .murphy import MurphyDisplay
from .page import ReportContext, render_report
from .scenario import render_scenario
from .scenario_displays import (
    CumulatedShortfallDisplay,
    RelativeMarginDisplay,
    instrument_displays,
    shown_policies,
)
from .skill import AdvantageDisplay, SkillDisplay

__all__ = [
    "AdvantageDisplay",
    "CoverageDisplay",
    "CumulatedShortfallDisplay",
    "DisclosureDisplay",
    "EpisodeDisplay",
    "Evaluation",
    "EvaluationFigure",
    "FrontierDisplay",
    "HitRateDisplay",
    "MurphyDisplay",
    "ProcyclicalityDisplay",
    "QuintileDisplay",
    "RelativeMarginDisplay",
    "ReliabilityDisplay",
    "ReportContext",
    "ScoreDisplay",
    "SkillDisplay",
    "VarianceCalibrationDisplay",
    "evaluation_figures",
    "instrument_displays",
    "render_disclosure",
    "render_evaluation",
    "render_report",
    "render_scenario",
    "shown_policies",
]
