"""Walk-forward fitting, experiments, tracking, and the main jobs."""

from .backtest_job import BacktestResult, run_backtest
from .evaluation_job import EvaluationResult, run_evaluation
from .experiment import Experiment, load_experiment, shipped_experiments
from .preparation import Preparation, prepare
from .seeds import stream
from .split import Split, make_split
from .tables import FORECAST_COLUMNS, forecasts_table, margins_table
from .tracking import Store, open_store, tracked_run
from .walk_forward import WalkForward, make_blocks, walk_forward

__all__ = [
    "FORECAST_COLUMNS",
    "BacktestResult",
    "EvaluationResult",
    "Experiment",
    "Preparation",
    "Split",
    "Store",
    "WalkForward",
    "forecasts_table",
    "load_experiment",
    "make_blocks",
    "make_split",
    "margins_table",
    "open_store",
    "prepare",
    "run_backtest",
    "run_evaluation",
    "shipped_experiments",
    "stream",
    "tracked_run",
    "walk_forward",
]
