"""Early warning: whether margins rose before stress began, and how often for nothing."""

from .alarms import Baseline, alarm_starts, alarm_strength, margin_baseline
from .cases import StressMeasure, WarningCases, WarningRule, WarningSeries, warning_cases
from .comparison import EqualBy, WarningComparison, compare_warnings
from .display import LeadTimeDisplay
from .onsets import ONSET_QUANTILE, Onsets, find_onsets
from .scores import Warnings, match_alarms, warning_area, warning_curve, warning_scores
from .summary import FALSE_ALARMS_PER_YEAR, WarningSummary, summarise_warnings

__all__ = [
    "FALSE_ALARMS_PER_YEAR",
    "ONSET_QUANTILE",
    "Baseline",
    "EqualBy",
    "LeadTimeDisplay",
    "Onsets",
    "StressMeasure",
    "WarningCases",
    "WarningComparison",
    "WarningRule",
    "WarningSeries",
    "WarningSummary",
    "Warnings",
    "alarm_starts",
    "alarm_strength",
    "compare_warnings",
    "find_onsets",
    "margin_baseline",
    "match_alarms",
    "summarise_warnings",
    "warning_area",
    "warning_cases",
    "warning_curve",
    "warning_scores",
]
