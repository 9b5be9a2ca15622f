"""``foremargin backtest``: the main job."""

import typer
from rich.console import Console

from . import options


def backtest(
    config: options.Config = None,
    data: options.Data = None,
    period: options.Period = None,
    test_from: options.TestFrom = None,
    seed: options.Seed = None,
    workers: options.Workers = 2,
    cluster: options.Cluster = None,
    resume: options.Resume = True,
    out: options.Out = None,
    mlruns: options.Mlruns = None,
    progress: options.ShowProgress = True,
) -> None:
    """Compare predictive with reactive margin on replayed history.

    Forecasts walk forward, policies set margins, losses come, and every policy is judged over the
    test period. Leaves `report.html`, `disclosure.html`, `verdict.json`, the tables behind them
    (`forecasts.parquet`, `margins.parquet`, `scores.parquet`, `policies.parquet` and others), and a
    run in MLflow.

    Examples: `foremargin backtest` runs on the S&P 500, NASDAQ and WTI data inside arch;
    `foremargin backtest --data my_bars/ --period 8h` on your own.
    """
    # Imported here: torch and MLflow take seconds to load, and --help needs neither.
    from ..training import open_store, prepare, run_backtest
    from . import runs, verdict_table

    experiment = runs.read_experiment(
        config, data=data, period=period, test_from=test_from, seed=seed
    )
    prepared = prepare(experiment)
    runs.say_what_was_found(prepared)
    folder, store = runs.output_folder(out, experiment), open_store(mlruns)
    execution = runs.execution(store, workers=workers, cluster=cluster, resume=resume)
    with runs.progress_bar(shown=progress) as tell:
        result = run_backtest(
            prepared, store=store, folder=folder, execution=execution, progress=tell
        )
    console = Console(highlight=False)
    for verdict in result.verdicts:
        verdict_table.print_verdict(verdict, console)
    typer.echo(f"report      {folder / 'report.html'}")
    typer.echo(f"tables      {folder}")
    typer.echo(f"MLflow run  {result.run_id}")
