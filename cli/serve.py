"""``foremargin serve``: the service, or its demonstration."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", help="TOML file with the settings of the service.", show_default="none"
    ),
]
Bundle = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the bundle to serve; by default the one that was active last.",
        show_default=False,
    ),
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port.", show_default="8750")]
StateDir = Annotated[
    Path | None,
    typer.Option(help="Folder of journal, snapshots and records.", show_default="out/serve"),
]
Unsigned = Annotated[
    bool,
    typer.Option("--accept-unsigned", help="Serve a bundle that no trusted key has signed."),
]
Demo = Annotated[
    bool,
    typer.Option(
        "--demo", help="Replay the autumn of 2008, from data inside arch, through the service."
    ),
]
Speed = Annotated[
    float,
    typer.Option(help="With --demo: days of the past in a second.", min=0.001, max=100.0),
]


def serve(
    settings: SettingsFile = None,
    bundle: Bundle = None,
    host: Host = None,
    port: Port = None,
    state_dir: StateDir = None,
    accept_unsigned: Unsigned = False,
    demo: Demo = False,
    speed: Speed = 1.0,
) -> None:
    """Answer a margin engine: margins, forecasts, streams, what-if, signed updates, a live page.

    It listens on this machine only unless there is a file of keys (`foremargin keys create`).
    SIGTERM and Ctrl-C end it when everything is on the disk.

    Examples: `foremargin serve --demo`, then open http://127.0.0.1:8750;
    `foremargin serve --bundle mlruns/bundles/bars/3` with the key that `FOREMARGIN_TRUSTED_KEY`
    names.
    """
    # Imported here: it needs the extra [serve], and other verbs do not.
    try:
        from msgspec.structs import replace

        from ..serving.assembly import read_settings
    except ModuleNotFoundError as error:
        raise InputError(
            f"the service needs {error.name}; install it with: pip install 'foremargin[serve]'"
        ) from error
    given = {
        "host": host,
        "port": port,
        "state_dir": None if state_dir is None else str(state_dir),
        "bundle": None if bundle is None else str(bundle),
        "accept_unsigned": accept_unsigned or None,
    }
    chosen = replace(
        read_settings(settings), **{name: one for name, one in given.items() if one is not None}
    )
    typer.echo(f"http://{chosen.host}:{chosen.port} (Ctrl-C ends it)")
    if demo:
        from ..serving.demo.start import run_demo

        if settings is not None or bundle is not None:
            raise InputError("--demo has settings and a model of its own; leave the others out")
        folder = state_dir or Path(tempfile.mkdtemp(prefix="foremargin-demo-"))
        run_demo(folder, host=chosen.host, port=chosen.port, speed=speed * 86_400.0)
        return
    from ..serving.assembly.deployed import run_deployed

    run_deployed(chosen)
