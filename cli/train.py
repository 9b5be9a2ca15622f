"""``foremargin train``: fit the final forecaster, gate it, register it."""

from typing import Annotated

import typer

from . import options


def train(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="Experiment file (YAML) or the name of a shipped one; its section train says "
            "which model, and what it must pass.",
        ),
    ],
    data: options.Data = None,
    period: options.Period = None,
    horizons: options.Horizons = None,
    test_from: options.TestFrom = None,
    seed: options.Seed = None,
    workers: options.Workers = 2,
    cluster: options.Cluster = None,
    resume: options.Resume = True,
    mlruns: options.Mlruns = None,
    progress: options.ShowProgress = True,
    as_json: options.AsJson = False,
) -> None:
    """Fit the final forecaster on all data, put it through the gates, and register it.

    It becomes challenger, and champion if every gate passes: accuracy against the champion,
    coverage, probabilities, leak audit, latency. If one fails, the exit code is 1 and the version
    is kept. Leaves a bundle in `mlruns/bundles`, and a run in MLflow.

    Example: `foremargin train bars --data my_bars/`.
    """
    # Imported here: torch and MLflow take seconds to load, and --help needs neither.
    from ..errors import GateError
    from ..training import open_store, prepare, run_training
    from . import registry_table, runs

    experiment = runs.read_experiment(
        config, data=data, period=period, horizons=horizons, test_from=test_from, seed=seed
    )
    prepared = prepare(experiment, margins=False)
    runs.say_what_was_found(prepared)
    store = open_store(mlruns)
    execution = runs.execution(store, workers=workers, cluster=cluster, resume=resume)
    with runs.progress_bar(shown=progress) as tell:
        result = run_training(prepared, store=store, execution=execution, progress=tell)
    registry_table.say_trained(result, as_json=as_json)
    runs.say_notes(note for note in result.notes if note not in prepared.notes)
    if not result.promoted:
        version = result.version
        raise GateError(f"{version.name} version {version.version} {result.verdict}")
