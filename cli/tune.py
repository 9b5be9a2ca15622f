"""``foremargin tune``: hyper-parameters, on validation only."""

from typing import Annotated

import typer
from rich.console import Console

from . import options


def tune(
    config: options.Config = None,
    data: options.Data = None,
    period: options.Period = None,
    horizons: options.Horizons = None,
    test_from: options.TestFrom = None,
    seed: options.Seed = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Settings that are tried.", show_default="the experiment's"),
    ] = None,
    workers: options.Workers = 2,
    cluster: options.Cluster = None,
    resume: options.Resume = True,
    out: options.Out = None,
    mlruns: options.Mlruns = None,
    progress: options.ShowProgress = True,
) -> None:
    """Search the hyper-parameters of one model, which the experiment's section `tune` names.

    Every setting walks forward over validation, on data that end where the test period begins.
    Leaves `best.yaml`, an experiment with the best setting, `trials.parquet`, and a run in MLflow
    with one run per trial. Stopped and given again, it goes on where it stopped.

    Example: `foremargin tune tune --data my_bars/ --trials 30`.
    """
    # Imported here: torch and MLflow take seconds to load, and --help needs neither.
    from ..training import open_store, prepare_validation, run_tuning
    from ..training.tuning import searched
    from . import runs, tuning_table

    experiment = runs.read_experiment(
        config,
        data=data,
        period=period,
        horizons=horizons,
        test_from=test_from,
        seed=seed,
        trials=trials,
    )
    searched(experiment)
    validation = prepare_validation(experiment)
    runs.say_what_was_found(validation)
    folder, store = runs.output_folder(out, experiment), open_store(mlruns)
    execution = runs.execution(store, workers=workers, cluster=cluster, resume=resume)
    with runs.progress_bar(shown=progress) as tell:
        result = run_tuning(
            validation, store=store, folder=folder, execution=execution, progress=tell
        )
    tuning_table.print_tuning(result, Console(highlight=False))
    typer.echo(f"experiment  {folder / 'best.yaml'}")
    typer.echo(f"trials      {folder / 'trials.parquet'}")
    typer.echo(f"MLflow run  {result.run_id}")
