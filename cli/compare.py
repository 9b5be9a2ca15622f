"""``foremargin compare``: two runs on the rows that both have."""

import json
from typing import Annotated

import typer

from . import options


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Id of an MLflow run, the beginning of one, or an output folder.",
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Another; changes are those of this run."),
    ],
    mlruns: options.Mlruns = None,
    as_json: options.AsJson = False,
) -> None:
    """Compare two runs of backtest or evaluate on the rows that both have.

    Shows what the runs were given that differs (code, data, seed, configuration, packages); then,
    over the part of the test period that both have, policies of the same name and the judged ones
    by quantile loss, and models of the same name by QLIKE and FZ0, with 90 % intervals and
    Diebold-Mariano tests, Holm-corrected within each table.

    Example: `foremargin compare out/before out/after`.
    """
    # Imported here: MLflow takes seconds to load, and --help does not need it.
    from ..training import compare_runs, open_store, read_run
    from . import run_table

    store = open_store(mlruns)
    compared = compare_runs(read_run(first, store), read_run(second, store))
    if as_json:
        typer.echo(json.dumps(compared.as_dict(), indent=1))
    else:
        run_table.print_comparison(compared)
