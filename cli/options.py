"""Options that several verbs share; nothing here takes time to import."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    str | None,
    typer.Argument(
        metavar="[CONFIG]",
        help="Experiment file (YAML) or the name of a shipped one; see the folder configs.",
        show_default="default, or bars with --data",
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        help="Bar file, folder of bar files (one per instrument), or 'arch'; may be repeated. "
        "Bars finer than the period become realised measures.",
        show_default="the experiment's",
    ),
]
Period = Annotated[
    str | None,
    typer.Option(help="Length of a period: 1D, 8h, 1h, 15min.", show_default="the experiment's"),
]
Horizons = Annotated[
    str | None,
    typer.Option(
        help="Forecast horizons, numbers of periods: 1,5,10.", show_default="the experiment's"
    ),
]
TestFrom = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        help="First day of the test period (UTC).",
        show_default="the experiment's",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="Seed of all random streams.", show_default="the experiment's"),
]
Workers = Annotated[
    int, typer.Option(min=1, help="Processes for the fits; changes time, not numbers.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Dask cluster for the fits in place of --workers: local:2 starts one here, "
        "tcp://host:8786 names a scheduler; needs the extra [cluster].",
        show_default="none",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume/--fresh",
        help="Take the fits that an earlier run with the same input has finished, or fit again.",
    ),
]


class Group(StrEnum):
    """What `foremargin evaluate` can print every model's scores by."""

    INSTRUMENT = "instrument"
    TERCILE = "tercile"


By = Annotated[
    list[Group] | None,
    typer.Option(
        "--by",
        help="Print every model's QLIKE and FZ0 by instrument, or by tercile of volatility at the "
        "origin; may be repeated. The files hold both in any case.",
        show_default="the best model of each",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Output folder.", show_default="out/ and the experiment's name"),
]
Mlruns = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the tracking store.",
        envvar="FOREMARGIN_MLRUNS",
        show_default="mlruns",
    ),
]
ShowProgress = Annotated[
    bool, typer.Option("--progress/--no-progress", help="Show a progress bar.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, for machines, in place of a table.")
]
