"""``foremargin evaluate``: forecast skill alone."""

import typer

from . import options


def evaluate(
    config: options.Config = None,
    data: options.Data = None,
    period: options.Period = None,
    horizons: options.Horizons = None,
    test_from: options.TestFrom = None,
    seed: options.Seed = None,
    workers: options.Workers = 2,
    cluster: options.Cluster = None,
    resume: options.Resume = True,
    out: options.Out = None,
    mlruns: options.Mlruns = None,
    progress: options.ShowProgress = True,
    by: options.By = None,
) -> None:
    """Compare the forecasts of all models, side by side on the same rows.

    Leaves `forecasts.parquet`, `scores.parquet` (and by instrument and tercile), figures,
    `evaluation.html` to read, and a run in MLflow.

    Example: `foremargin evaluate --data my_bars/ --horizons 1,5,10`.
    """
    # Imported here: torch and MLflow take seconds to load, and --help needs neither.
    from ..backtest import Grouping
    from ..training import open_store, prepare, run_evaluation
    from . import runs, score_table

    experiment = runs.read_experiment(
        config, data=data, period=period, horizons=horizons, test_from=test_from, seed=seed
    )
    prepared = prepare(experiment, margins=False)
    runs.say_what_was_found(prepared)
    folder, store = runs.output_folder(out, experiment), open_store(mlruns)
    execution = runs.execution(store, workers=workers, cluster=cluster, resume=resume)
    with runs.progress_bar(shown=progress) as tell:
        result = run_evaluation(
            prepared, store=store, folder=folder, execution=execution, progress=tell
        )
    console = score_table.new_console()
    groupings = [Grouping(group.value) for group in by or ()]
    score_table.print_scores(result.scores, list(result.grouped.items()), console, by=groupings)
    # Notes about the data were said before the run.
    score_table.print_notes([n for n in result.notes if n not in prepared.notes], console)
    typer.echo(f"page        {folder / 'evaluation.html'}")
    typer.echo(f"tables      {folder}")
    typer.echo(f"MLflow run  {result.run_id}")
