"""Options that several verbs share; nothing here takes time to import."""

from datetime import datetime
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
