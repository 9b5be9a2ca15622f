"""Walk-forward fitting, experiments, tracking, and the main jobs."""

from ..bundles import Manifest, Trust
from .backends import Execution
from .backtest_job import BacktestResult, run_backtest
from .bundle import Bundle, load_bundle
from .completed_runs import CompletedRun, read_run
from .evaluation_job import EvaluationResult, run_evaluation
from .experiment import Experiment, load_experiment, shipped_experiments
from .final import FinalForecaster
from .gates import Gate
from .model_version import Action, Alias, ChampionEvent, Version
from .preparation import Preparation, prepare
from .registry import Registry
from .run_comparison import RunComparison, compare_runs
from .scenario_job import ScenarioResult, run_scenario
from .scenario_preparation import ScenarioPreparation, check_policies, prepare_scenario
from .seeds import stream
from .split import Split, make_split
from .tables import FORECAST_COLUMNS, forecasts_table, margins_table
from .tracking import Store, open_store, tracked_run
from .train_job import TrainingResult, run_training
from .tuning import Trial, TuningResult, run_tuning
from .validation import Validation, prepare_validation
from .version_comparison import compare_bundles
from .walk_forward import WalkForward, make_blocks, walk_forward
from .windows import Schedule, Window

__all__ = [
    "FORECAST_COLUMNS",
    "Action",
    "Alias",
    "BacktestResult",
    "Bundle",
    "ChampionEvent",
    "CompletedRun",
    "EvaluationResult",
    "Execution",
    "Experiment",
    "FinalForecaster",
    "Gate",
    "Manifest",
    "Preparation",
    "Registry",
    "RunComparison",
    "ScenarioPreparation",
    "ScenarioResult",
    "Schedule",
    "Split",
    "Store",
    "TrainingResult",
    "Trial",
    "Trust",
    "TuningResult",
    "Validation",
    "Version",
    "WalkForward",
    "Window",
    "check_policies",
    "compare_bundles",
    "compare_runs",
    "forecasts_table",
    "load_bundle",
    "load_experiment",
    "make_blocks",
    "make_split",
    "margins_table",
    "open_store",
    "prepare",
    "prepare_scenario",
    "prepare_validation",
    "read_run",
    "run_backtest",
    "run_evaluation",
    "run_scenario",
    "run_training",
    "run_tuning",
    "shipped_experiments",
    "stream",
    "tracked_run",
    "walk_forward",
]
