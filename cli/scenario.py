"""``foremargin scenario``: one dated window of stress, replayed by name."""

from typing import Annotated

import typer

from ..errors import InputError
from . import options

Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Name of a scenario; see --list.", show_default=False),
]
Listed = Annotated[bool, typer.Option("--list", help="List the scenarios and stop.")]
Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        help="Policy to draw and to print; may be repeated. All are replayed and are in the files.",
        show_default="those without a tool, and the best reactive",
    ),
]


def scenario(
    name: Name = None,
    config: options.Config = None,
    listed: Listed = False,
    policy: Policies = None,
    data: options.Data = None,
    period: options.Period = None,
    seed: options.Seed = None,
    workers: options.Workers = 2,
    cluster: options.Cluster = None,
    resume: options.Resume = True,
    out: options.Out = None,
    mlruns: options.Mlruns = None,
    progress: options.ShowProgress = True,
) -> None:
    """Replay every policy through a dated window of stress.

    The window is the test period; validation and forecasts come before it. Leaves
    `scenario.html`, `scenario.json` and `scenario.parquet` (the columns of `margins.parquet`), and
    a run in MLflow. Fits that `foremargin backtest` has finished with the same experiment, and
    other scenarios, are not made again.

    Examples: `foremargin scenario crisis-2008` runs on the data inside arch;
    `foremargin scenario august-2024 --data my_bars/ --period 1D` on your own.
    """
    from . import scenario_table

    console = scenario_table.new_console()
    if listed:
        scenario_table.print_scenarios(console)
        return
    if name is None:
        raise InputError(
            "a scenario must be named, found no name; foremargin scenario --list shows them"
        )
    # Imported here: torch and MLflow take seconds to load, and --help and --list need neither.
    from ..backtest import scenario_named
    from ..training import check_policies, open_store, prepare, prepare_scenario, run_scenario
    from . import runs

    chosen = scenario_named(name)
    experiment = runs.read_experiment(config, data=data, period=period, seed=seed)
    whole = prepare(experiment)
    check_policies(whole, policy or ())
    prepared = prepare_scenario(whole, chosen)
    runs.say_what_was_found(whole)
    folder = out if out is not None else runs.output_folder(None, experiment) / chosen.name
    store = open_store(mlruns)
    execution = runs.execution(store, workers=workers, cluster=cluster, resume=resume)
    with runs.progress_bar(shown=progress) as tell:
        result = run_scenario(
            prepared,
            store=store,
            folder=folder,
            policies=policy or (),
            execution=execution,
            progress=tell,
        )
    for episode in result.episodes:
        scenario_table.print_episode(episode, console, policies=policy or ())
    typer.echo(f"page        {folder / 'scenario.html'}")
    typer.echo(f"tables      {folder}")
    typer.echo(f"MLflow run  {result.run_id}")
