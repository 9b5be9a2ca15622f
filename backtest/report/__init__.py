"""Pages for people, of a backtest and of an evaluation; their figures are tables first."""

from .calibration import HitRateDisplay, ReliabilityDisplay, VarianceCalibrationDisplay
from .coverage import CoverageDisplay, QuintileDisplay
from .displays import FrontierDisplay, ProcyclicalityDisplay, ScoreDisplay
from .episode import EpisodeDisplay
from .evaluation import Evaluation, EvaluationFigure, evaluation_figures, render_evaluation
from .page import ReportContext, render_report
from .skill import AdvantageDisplay, SkillDisplay

__all__ = [
    "AdvantageDisplay",
    "CoverageDisplay",
    "EpisodeDisplay",
    "Evaluation",
    "EvaluationFigure",
    "FrontierDisplay",
    "HitRateDisplay",
    "ProcyclicalityDisplay",
    "QuintileDisplay",
    "ReliabilityDisplay",
    "ReportContext",
    "ScoreDisplay",
    "SkillDisplay",
    "VarianceCalibrationDisplay",
    "evaluation_figures",
    "render_evaluation",
    "render_report",
]
