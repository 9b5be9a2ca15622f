"""Monitoring: metrics, coverage and drift by sequential tests, alerts, logs and traces."""

from .alerts import Alert, AlertEngine, AlertRule, Notification, Signal, Sink, State
from .burn import BURN_RULES, Burn, BurnRate, BurnRule, Objective
from .changes import Change, Cusum, PageHinkley, breach_evidence, excess_log_score
from .conditions import ALERT_RULES, EVALUATE_EVERY_S
from .coverage import CoverageStanding, CoverageTest
from .distributions import Compared, KolmogorovSmirnov, PopulationStability, Tumbling
from .drift import DriftSettings, DriftStanding, InstrumentDrift
from .logs import bound, make_logger
from .metrics import CONTENT_TYPE, Metrics
from .monitor import Monitor, watch
from .outcomes import InstrumentOutcomes, Judged
from .reactive import Reactive, ReactiveMargin
from .traces import NoTracer, Step, Tracer, make_tracer
from .watched import HeightStanding, MonitorSettings

__all__ = [
    "ALERT_RULES",
    "BURN_RULES",
    "CONTENT_TYPE",
    "EVALUATE_EVERY_S",
    "Alert",
    "AlertEngine",
    "AlertRule",
    "Burn",
    "BurnRate",
    "BurnRule",
    "Change",
    "Compared",
    "CoverageStanding",
    "CoverageTest",
    "Cusum",
    "DriftSettings",
    "DriftStanding",
    "HeightStanding",
    "InstrumentDrift",
    "InstrumentOutcomes",
    "Judged",
    "KolmogorovSmirnov",
    "Metrics",
    "Monitor",
    "MonitorSettings",
    "NoTracer",
    "Notification",
    "Objective",
    "PageHinkley",
    "PopulationStability",
    "Reactive",
    "ReactiveMargin",
    "Signal",
    "Sink",
    "State",
    "Step",
    "Tracer",
    "Tumbling",
    "bound",
    "breach_evidence",
    "excess_log_score",
    "make_logger",
    "make_tracer",
    "watch",
]
