"""``foremargin models``: the registered models, and which of them is champion."""

import json
from typing import Annotated

import typer

from . import options

app = typer.Typer(help="List, compare and promote registered models.", no_args_is_help=True)

Name = Annotated[
    str | None,
    typer.Option(
        help="Registered model: the name of its experiment.", show_default="the only one there is"
    ),
]
Number = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Number of the version.")]


@app.callback()
def models() -> None:
    """List, compare and promote registered models."""


@app.command("list")
def list_versions(
    name: Annotated[
        str | None, typer.Option(help="Registered model.", show_default="all of them")
    ] = None,
    mlruns: options.Mlruns = None,
    as_json: options.AsJson = False,
) -> None:
    """Show versions, what points to them, and whether they passed their gates."""
    # Imported here: MLflow takes seconds to load, and --help does not need it.
    from ..training import Registry, open_store
    from . import registry_table

    registry = Registry(open_store(mlruns))
    names = registry.names() if name is None else (registry.only(name),)
    versions = [version for one in names for version in registry.versions(one)]
    if as_json:
        typer.echo(json.dumps([version.as_dict() for version in versions], indent=1))
        return
    if not versions:
        typer.echo(f"no model is registered in {registry.store.root}; see foremargin train --help")
        return
    registry_table.print_versions(versions)
    for one in names:
        registry_table.print_events(one, registry.events(one))


@app.command()
def compare(
    first: Annotated[int, typer.Argument(metavar="A", min=1, help="Number of a version.")],
    second: Annotated[int, typer.Argument(metavar="B", min=1, help="Number of another.")],
    name: Name = None,
    mlruns: options.Mlruns = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the scores of two versions on the origins that both have forecast.

    The forecasts are those of the walk-forward runs in which they were trained; p is that of
    equal expected losses (Diebold and Mariano).
    """
    from ..training import Registry, compare_bundles, open_store
    from . import registry_table

    registry = Registry(open_store(mlruns))
    chosen = registry.only(name)
    versions = [registry.version(chosen, number) for number in (first, second)]
    scores = compare_bundles(*(registry.bundle(version) for version in versions))
    if as_json:
        typer.echo(scores.to_json(orient="records", indent=1))
    else:
        registry_table.print_comparison(scores, versions)


@app.command()
def promote(
    version: Number,
    name: Name = None,
    force: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Promote although the gates do not allow it; the reason is kept.",
            show_default="the gates decide",
        ),
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Make it the shadow, which runs without effect, instead."),
    ] = False,
    mlruns: options.Mlruns = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a version champion, if it passed its gates against the present one.

    Example: `foremargin models promote 4 --force "the old one fails on the new listing"`.
    """
    from ..training import Registry, open_store
    from . import registry_table

    registry = Registry(open_store(mlruns))
    chosen = registry.only(name)
    if shadow:
        registry.shadow(chosen, version)
        registry_table.say(
            {"name": chosen, "version": version, "alias": "shadow"},
            f"{chosen} version {version} is shadow",
            as_json=as_json,
        )
        registry_table.warn_unserved(registry, chosen, version)
        return
    event = registry.promote(chosen, version, force=force)
    registry_table.say_event(registry, chosen, event, as_json)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "no reason given",
    name: Name = None,
    mlruns: options.Mlruns = None,
    as_json: options.AsJson = False,
) -> None:
    """Make the version champion again that was so before the present one."""
    from ..training import Registry, open_store
    from . import registry_table

    registry = Registry(open_store(mlruns))
    chosen = registry.only(name)
    event = registry.rollback(chosen, reason=reason)
    registry_table.say_event(registry, chosen, event, as_json)
