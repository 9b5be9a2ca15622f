"""``foremargin evaluate``: forecast skill alone."""

import typer
from rich.console import Console

from . import options


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
    # Imported here: torch and MLflow take seconds to load, and --help needs neither.
    from ..training import open_store, prepare, run_evaluation
    from . import runs, score_table

    experiment = runs.read_experiment(
        config, data=data, period=period, horizons=horizons, test_from=test_from, seed=seed
    )
    prepared = prepare(experiment, margins=False)
    runs.say_what_was_found(prepared)
    folder = runs.output_folder(out, experiment)
    with runs.progress_bar(shown=progress) as tell:
        result = run_evaluation(
            prepared, store=open_store(mlruns), folder=folder, workers=workers, progress=tell
        )
    score_table.print_scores(result.scores, Console(highlight=False))
    typer.echo(f"tables      {folder}")
    typer.echo(f"MLflow run  {result.run_id}")
