"""``foremargin keys``: who may ask the service what."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Create, list and revoke API keys of the service.", no_args_is_help=True)

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="File of keys, keys_file of the settings."),
]


@app.callback()
def keys() -> None:
    """Create, list and revoke API keys of the service."""


@app.command()
def create(
    file: File,
    scope: Annotated[
        list[str], typer.Option(help="read, simulate, publish or admin; may be repeated.")
    ],
    label: Annotated[str, typer.Option(help="Whose key it is.")] = "",
    days: Annotated[
        float | None, typer.Option(help="Days until it expires.", show_default="never", min=0.0)
    ] = None,
    signs: Annotated[
        bool, typer.Option("--signs", help="Requests must be signed with it (HMAC-SHA256).")
    ] = False,
) -> None:
    """Add a key to the file and show its token, this once.

    Example: `foremargin keys create keys.json --scope read --scope simulate --label desk`.
    """
    from ..errors import InputError
    from ..serving.security import Scope, create_key

    try:
        scopes = [Scope(one) for one in scope]
    except ValueError as error:
        raise InputError(
            f"a scope must be one of {[one.value for one in Scope]}, found {scope}"
        ) from error
    now = time.time_ns()
    expires = 0 if days is None else now + int(days * 86_400e9)
    record, token = create_key(file, scopes, now=now, label=label, expires=expires, signs=signs)
    typer.echo(f"{record.id} in {file}; the token is shown this once:", err=True)
    typer.echo(token)


@app.command("list")
def list_keys(file: File) -> None:
    """Show the keys of a file; no secret is in it."""
    from ..serving.security import KeyStore

    now = time.time_ns()
    for record in KeyStore(file).keys.values():
        state = "expired" if 0 < record.expires <= now else "valid"
        if 0 < record.revoked <= now:
            state = "revoked"
        scopes = ",".join(sorted(one.value for one in record.scopes))
        until = f" until {_day(record.expires)}" if record.expires else ""
        typer.echo(f"{record.id}  {state}{until}  {scopes}  {record.label}")


@app.command()
def revoke(
    file: File, identifier: Annotated[str, typer.Argument(metavar="ID", help="Of the key.")]
) -> None:
    """Revoke a key; a running service notices within seconds."""
    from ..serving.security import revoke_key

    record = revoke_key(file, identifier, now=time.time_ns())
    typer.echo(f"{record.id} is revoked")


def _day(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1e9, tz=UTC):%Y-%m-%d}"
