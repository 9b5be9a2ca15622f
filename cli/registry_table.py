"""Registered models in the terminal: gates, versions, comparisons and changes of champion."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pandas as pd
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ..training import ChampionEvent, Gate, Registry, TrainingResult, Version

_WIDTH = 100  # where the output goes to no terminal
_LOWER_IS_BETTER = ("qlike_loss", "fz0_loss", "calibration_error")


def print_gates(gates: Sequence[Gate]) -> None:
    """Print every gate, and why those that failed did."""
    console = _console()
    table = _table("gate", "horizon", "against", "measured", "limit", "", right=(1, 3))
    for gate in gates:
        table.add_row(
            gate.name,
            "" if gate.horizon is None else str(gate.horizon),
            gate.against or "",
            f"{gate.measured:.4g}",
            _limit(gate),
            "passed" if gate.passed else "FAILED",
            style=None if gate.passed else "bold red",
        )
    console.print(table)
    for gate in gates:
        if not gate.passed:
            where = "" if gate.horizon is None else f", horizon {gate.horizon}"
            console.print(f"{gate.name}{where}: {gate.why}", style="red")


def print_versions(versions: Sequence[Version]) -> None:
    """Print one row per version, the newest of each model last."""
    table = _table(
        *("name", "version", "aliases", "model", "trained until", "gates", "compared with", "run"),
        right=(1,),
    )
    for one in versions:
        against = "references" if one.gated_against is None else f"version {one.gated_against}"
        table.add_row(
            one.name,
            str(one.version),
            ", ".join(one.aliases),
            one.model,
            one.trained_until[:16].replace("T", " "),
            _gates_text(one),
            against if one.complete else "",
            one.run_id[:8],
        )
    _console().print(table)


def print_events(name: str, events: Sequence[ChampionEvent]) -> None:
    """Print every change of champion."""
    console = _console()
    for event in events:
        console.print(
            f"{event.at} {name} version {event.version} {event.action.value} by {event.by}: "
            f"{event.reason}"
        )


def print_comparison(scores: pd.DataFrame, versions: Sequence[Version]) -> None:
    """Print the scores of two versions side by side."""
    heads = [f"version {version.version}" for version in versions]
    table = _table("horizon", "score", "rows", *heads, "change", "DM p", right=(0, 2, 3, 4, 5, 6))
    for row in scores.to_dict("records"):
        first, second = float(row["first"]), float(row["second"])
        loss = row["score"] in _LOWER_IS_BETTER
        table.add_row(
            str(row["horizon"]),
            str(row["score"]),
            f"{row['n_rows']:,}",
            f"{first:.4f}",
            f"{second:.4f}",
            f"{second / first - 1.0:+.1%}" if loss and first > 0.0 else "",
            "" if pd.isna(row["p_value"]) else f"{row['p_value']:.3f}",
        )
    _console().print(table)


def say_trained(result: TrainingResult, *, as_json: bool) -> None:
    """Say what a training left."""
    version = result.version
    if as_json:
        content = {
            **version.as_dict(),
            "promoted": result.promoted,
            "verdict": result.verdict,
            "bundle": str(result.folder),
            "signed": result.signed,
            "notes": list(result.notes),
            "gates": [gate.as_dict() for gate in result.gates],
        }
        typer.echo(json.dumps(content, indent=1))
        return
    print_gates(result.gates)
    typer.echo(f"{version.name} version {version.version} {result.verdict}")
    signed = "signed" if result.signed else "not signed: FOREMARGIN_SIGNING_KEY names no key"
    typer.echo(f"bundle      {result.folder} ({signed})")
    typer.echo(f"MLflow run  {version.run_id}")


def say_event(registry: Registry, name: str, event: ChampionEvent, as_json: bool) -> None:
    """Say which version is champion now, and whether a service would refuse it."""
    text = f"{name} version {event.version} is champion ({event.action.value}): {event.reason}"
    say({"name": name, **asdict(event)}, text, as_json=as_json)
    warn_unserved(registry, name, event.version)


def warn_unserved(registry: Registry, name: str, number: int) -> None:
    """Say on standard error why a service would refuse a version, if it would."""
    if reason := registry.unserved(registry.version(name, number)):
        typer.secho(
            f"warning: foremargin serve refuses version {number} of {name}: {reason}",
            err=True,
            fg="yellow",
        )


def say(content: Mapping[str, object], text: str, *, as_json: bool) -> None:
    """Say something to people, or to machines."""
    typer.echo(json.dumps(dict(content)) if as_json else text)


def _console() -> Console:
    console = Console(markup=False, highlight=False)
    return console if console.is_terminal else Console(markup=False, highlight=False, width=_WIDTH)


def _table(*heads: str, right: Sequence[int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i in right else "left", overflow="fold")
    return table


def _limit(gate: Gate) -> str:
    if gate.low is None:
        return f"at most {gate.high:g}"
    return f"at least {gate.low:g}" if gate.high is None else f"{gate.low:g} to {gate.high:g}"


def _gates_text(version: Version) -> str:
    if not version.complete:
        return "incomplete"
    if version.passed:
        return f"passed {version.n_gates}"
    return f"failed {version.n_gates - version.n_passed} of {version.n_gates}"
