"""The command itself: its verbs, and what a user sees when something is wrong."""

import logging
import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import ConvergenceError, ForemarginError, GateError, InputError, SourceError
from . import backtest, compare, data, evaluate, keys, models, scenario, serve, train, tune

EXIT_CODE: dict[type[ForemarginError], int] = {
    GateError: 1,
    InputError: 2,
    ConvergenceError: 3,
    SourceError: 4,
}
"""Exit codes by kind of error, for pipelines."""

_INTERRUPTED = 130  # what a shell reports for a command ended by Ctrl-C


class _Sentences(TyperGroup):
    """Turn errors raised on purpose into one sentence; a traceback is for bugs."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ForemarginError as error:
            typer.secho(f"error: {error}", err=True, fg="red")
            code = next(code for kind, code in EXIT_CODE.items() if isinstance(error, kind))
            raise typer.Exit(code) from error
        except KeyboardInterrupt:
            typer.secho("interrupted; the run is marked as not completed", err=True, fg="red")
            raise typer.Exit(_INTERRUPTED) from None


app = typer.Typer(
    cls=_Sentences,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("backtest")(backtest.backtest)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("scenario")(scenario.scenario)
app.command("train")(train.train)
app.command("tune")(tune.tune)
app.command("serve")(serve.serve)
app.add_typer(data.app, name="data")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"foremargin {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also show what the library logs.")
    ] = False,
) -> None:
    """Margin that is set before the market moves.

    Exit codes: 0 done, 1 an acceptance rule failed, 2 the input is wrong, 3 an optimiser found no
    solution, 4 a source on the network did not answer as it should, 130 interrupted.
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, stream=sys.stderr)
    # A polite kill ends the run as Ctrl-C does, so that it can still be marked.
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command; the entry point of the package."""
    app()
