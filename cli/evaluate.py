"""``foremargin evaluate``: forecast skill alone."""

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ..training import EvaluationResult, open_store, prepare, run_evaluation
from . import options

_COLUMNS = {
    "model": ("model", "{}"),
    "n": ("rows", "{:,}"),
    "qlike_loss": ("QLIKE", "{:.4f}"),
    "dm_p_value": ("DM p", "{:.3f}"),
    "mse_ratio": ("MSE/HAR", "{:.3f}"),
    "bias": ("bias", "{:.2f}"),
    "hits_lower": ("lower", "{:.2%}"),
    "hits_upper": ("upper", "{:.2%}"),
    "fz0_loss": ("FZ0", "{:.3f}"),
    "brier_skill_score": ("Brier", "{:.3f}"),
}
"""Column of the scores, its heading and its format."""


def evaluate(
    config: options.Config = None,
    data: options.Data = None,
    period: options.Period = None,
    horizons: options.Horizons = None,
    test_from: options.TestFrom = None,
    seed: options.Seed = None,
    workers: options.Workers = 2,
    out: options.Out = None,
    mlruns: options.Mlruns = None,
    progress: options.ShowProgress = True,
) -> None:
    """Compare the forecasts of all models, side by side on the same rows.

    Leaves `forecasts.parquet` and `scores.parquet`, and a run in MLflow.

    Example: `foremargin evaluate --data my_bars/ --horizons 1,5,10`.
    """
    experiment = options.read_experiment(
        config, data=data, period=period, horizons=horizons, test_from=test_from, seed=seed
    )
    prepared = prepare(experiment, margins=False)
    options.say_what_was_found(prepared)
    folder = options.output_folder(out, experiment)
    with options.progress_bar(shown=progress) as tell:
        result = run_evaluation(
            prepared, store=open_store(mlruns), folder=folder, workers=workers, progress=tell
        )
    console = Console(highlight=False)
    for horizon in sorted(result.scores.horizon.unique()):
        console.print(_table(result, int(horizon)))
    typer.echo(f"tables      {folder}")
    typer.echo(f"MLflow run  {result.run_id}")


def _table(result: EvaluationResult, horizon: int) -> Table:
    table = Table(
        title=f"Forecasts over {horizon} period(s), best QLIKE first",
        title_justify="left",
        caption="DM p: QLIKE against the best other model; bias: realised over forecast variance; "
        "lower, upper: share of returns beyond the 1 % value at risk; FZ0: its joint loss with "
        "expected shortfall; Brier: skill of the stress probability over the base rate",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 0),
        show_edge=False,
    )
    for heading, _ in _COLUMNS.values():
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    rows = result.scores[result.scores.horizon == horizon]
    for row in rows[list(_COLUMNS)].itertuples(index=False):
        cells = zip(_COLUMNS.values(), row, strict=True)
        table.add_row(*[form.format(value) for (_, form), value in cells])
    return table
