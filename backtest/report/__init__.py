"""The report: figures that are tables first, and one HTML page for a risk manager."""

from .coverage import CoverageDisplay, QuintileDisplay
from .displays import FrontierDisplay, ProcyclicalityDisplay, ScoreDisplay
from .episode import EpisodeDisplay
from .page import ReportContext, render_report

__all__ = [
    "CoverageDisplay",
    "EpisodeDisplay",
    "FrontierDisplay",
    "ProcyclicalityDisplay",
    "QuintileDisplay",
    "ReportContext",
    "ScoreDisplay",
    "render_report",
]
