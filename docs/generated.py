"""The parts of the pages that are made from the code, so that they cannot fall behind it.

A page asks for one with a line ``<!-- generated: name -->``; the names are those of
:data:`SECTIONS`.
"""

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import typer
from pydantic import BaseModel
from sphinx.pycode import ModuleAnalyzer

from foremargin.backtest import ALL_SCENARIOS, CONTROL_POLICIES
from foremargin.calibrate import ALL_POLICIES, EMIR_TOOLS
from foremargin.cli import app
from foremargin.cli.root import EXIT_CODE
from foremargin.features import ALL_FEATURES, FEATURE_SETS, Feature
from foremargin.markets import FIELD_FAMILIES, FIELDS, SOURCES
from foremargin.markets.columns import COLUMNS
from foremargin.models import ALL_FORECASTERS
from foremargin.training import Experiment

FLOORS = ("bundles", "markets", "features", "models", "calibrate", "backtest", "training", "cli")
"""From the lowest to the highest; each imports from the ones before it only."""

ROOMS = tuple(
    f"calibrate.{name}"
    for name in (
        *("laws", "coverage", "path", "liquidity", "options"),
        *("portfolio", "addons", "venues", "updates"),
    )
)
"""Packages of the calibration layer; their names are not among those of the floor."""

SERVICE = (
    *(f"serving.{name}" for name in ("calculator", "bundles", "journal", "ladder", "service")),
    *(f"serving.{name}" for name in ("http", "stream", "inference", "publish", "security")),
    *(f"serving.{name}" for name in ("monitor", "page", "assembly")),
    "client",
)
"""Rooms of the service, which has no names of its own, and the client."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; bars inside cells are escaped."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def features() -> str:
    """Every registered feature."""
    rows = [(f"`{f.name}`", f.meaning, f.unit, _look_back(f), _used_for(f)) for f in ALL_FEATURES]
    return table(("feature", "meaning", "unit", "look-back", "used for"), rows)


def feature_sets() -> str:
    """Every set of features."""
    rows = [
        (f"`{name}`", len(one_set), ", ".join(f"`{f.name}`" for f in one_set))
        for name, one_set in FEATURE_SETS.items()
    ]
    return table(("set", "features", "names"), rows)


def panel_columns() -> str:
    """Every numeric column of a bar file and the panel field that it becomes."""
    rows = [
        (f"`{name}`", f"`{column.field}`", _unit_of(column.field), column.rule.value)
        for name, column in COLUMNS.items()
    ]
    return table(("column", "panel field", "what it is", "bars of a period become one by"), rows)


def made_fields() -> str:
    """Panel fields that no column of a bar file becomes directly."""
    read = {column.field for column in COLUMNS.values()}
    every = {**FIELDS, **FIELD_FAMILIES}
    rows = [(f"`{name}`", one.meaning) for name, one in every.items() if name not in read]
    return table(("panel field", "what it is"), rows)


def sources() -> str:
    """Every registered source."""
    rows = [(source.name, _summary(type(source))) for source in SOURCES]
    return table(("source", "what it reads"), rows)


def forecasters() -> str:
    """Every registered forecaster."""
    rows = [
        (f"`{f.name}`", _summary(inspect.getmodule(f)), f"{f.refit_days} calendar days")
        for f in ALL_FORECASTERS
    ]
    return table(("model", "what it is", "fitted again every"), rows)


def policies() -> str:
    """Every registered policy, then the controls."""
    rows = [
        (f"`{p.name}`", p.generation.value, ", ".join(f"`{m}`" for m in p.models) or "none")
        for p in (*ALL_POLICIES, *CONTROL_POLICIES)
    ]
    return table(("policy", "generation", "forecasts that it needs"), rows)


def tools() -> str:
    """Every anti-procyclicality tool."""
    rows = [(f"`+{tool.name}`", _summary(tool.apply)) for tool in EMIR_TOOLS]
    return table(("suffix", "what it does"), rows)


def scenarios() -> str:
    """Every scenario, its marked day and its window."""
    rows = [
        (f"`{s.name}`", s.day, f"{s.first} to {s.last}", s.happened, s.source)
        for s in ALL_SCENARIOS
    ]
    return table(("scenario", "marked day", "window", "what happened", "source"), rows)


def experiment() -> str:
    """Every key of an experiment file."""
    rows = [
        (f"`{key}`", description, "none" if default is None else f"`{default}`")
        for key, description, default in _keys(Experiment)
    ]
    return table(("key", "meaning", "default"), rows)


def exit_codes() -> str:
    """Exit codes of the command."""
    raised = [(code, _summary(error)) for error, code in EXIT_CODE.items()]
    rows = [(0, "Done."), *raised, (130, "Interrupted (Ctrl-C or a polite kill).")]
    return table(("code", "meaning"), sorted(rows))


def command_line() -> str:
    """Every verb with its arguments and options."""
    command: Any = typer.main.get_command(app)
    return "\n\n".join(_command(command, ("foremargin",)))


def api() -> str:
    """Return directives for the public names of every floor."""
    return "\n\n".join(_floor(name) for name in _packages())


SECTIONS: Mapping[str, Callable[[], str]] = {
    "api": api,
    "command_line": command_line,
    "exit_codes": exit_codes,
    "experiment": experiment,
    "feature_sets": feature_sets,
    "features": features,
    "forecasters": forecasters,
    "made_fields": made_fields,
    "panel_columns": panel_columns,
    "policies": policies,
    "scenarios": scenarios,
    "sources": sources,
    "tools": tools,
}
"""What a page can ask for."""

_WITHOUT_DOCSTRING = {"app": "The typer application behind the command; see :doc:`cli`."}


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |"


def _summary(described: object) -> str:
    """First paragraph of a docstring, with Markdown's single backticks."""
    text = inspect.getdoc(described) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`")


def _look_back(feature: Feature) -> str:
    known = math.isfinite(feature.look_back_days)
    return f"{feature.look_back_days:g} days" if known else "everything"


def _used_for(feature: Feature) -> str:
    return "periods within the day" if feature.intraday_only else "all"


def _unit_of(field: str) -> str:
    known = FIELDS.get(field)
    return known.meaning if known else "last price of the period, quote currency"


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, object]]:
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _keys(section, f"{prefix}{name}.")
        else:
            meaning = " ".join((field.description or "").split()).replace("``", "`")
            yield f"{prefix}{name}", meaning, field.get_default(call_default_factory=True)


def _command(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    arguments = [p.metavar or p.name.upper() for p in command.params if _is_argument(p)]
    usage = " ".join([*path, *(["COMMAND"] if inner else []), *arguments, "[OPTIONS]"])
    yield f"{'#' * (len(path) + 1)} `{' '.join(path)}`"
    yield (command.help or "").strip()
    yield f"```text\n{usage}\n```"
    if command.params:
        rows = [(_names(p), p.help or "", _default(p)) for p in command.params]
        yield table(("argument or option", "meaning", "default"), rows)
    for name, each in inner.items():
        yield from _command(each, (*path, name))


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _names(parameter: Any) -> str:
    if _is_argument(parameter):
        return f"`{parameter.metavar or parameter.name.upper()}`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.default is None or callable(parameter.default):
        return "none"
    if isinstance(parameter.default, bool):
        return "yes" if parameter.default else "no"
    return f"`{parameter.default}`"


def _packages() -> tuple[str, ...]:
    """Every documented package, the lowest first."""
    place = FLOORS.index("calibrate") + 1
    return (*FLOORS[:place], *ROOMS, *FLOORS[place:-1], *SERVICE, FLOORS[-1])


def _floor(name: str) -> str:
    module = importlib.import_module(f"foremargin.{name}")
    members = [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
    documented = "\n\n".join(_directive(module, member) for member in members)
    intro = _summary(module)
    return (
        f"## `foremargin.{name}`\n\n{intro}\n\n"
        f"```{{eval-rst}}\n.. currentmodule:: foremargin.{name}\n\n{documented}\n```"
    )


def _directive(module: ModuleType, name: str) -> str:
    member = getattr(module, name)
    if inspect.isclass(member):
        # Links lead to the lowest package that lists it.
        again = "\n   :no-index:" if _is_listed_below(module, name) else ""
        return f".. autoclass:: {name}\n   :members:{again}"
    if inspect.isfunction(inspect.unwrap(member) if callable(member) else member):
        return f".. autofunction:: {name}"
    meaning = _comments(module, name) or _WITHOUT_DOCSTRING[name]
    indented = "\n".join(f"   {line}" for line in meaning.splitlines())
    return f".. py:data:: {name}\n\n{indented}"


def _is_listed_below(module: ModuleType, name: str) -> bool:
    packages = [f"foremargin.{package}" for package in _packages()]
    below = packages[: packages.index(module.__name__)]
    lists = (importlib.import_module(package) for package in below)
    return any(
        getattr(one, name, None) is getattr(module, name) for one in lists if name in one.__all__
    )


def _comments(module: ModuleType, name: str) -> str:
    """Docstring below a constant, of a package or of the module that it takes it from."""
    for source in (module.__name__, *_sources(module, name)):
        analyzer = ModuleAnalyzer.for_module(source)
        analyzer.analyze()
        texts = {found: text for (_, found), text in analyzer.attr_docs.items()}
        if name in texts:
            return "\n".join(texts[name]).strip()
    return ""


def _sources(module: ModuleType, name: str) -> list[str]:
    """Names of the loaded modules that have the very constant, those inside the package first."""
    member = getattr(module, name)
    found = [
        other.__name__
        for other in list(sys.modules.values())
        if getattr(other, "__name__", "").startswith("foremargin.")
        and vars(other).get(name) is member
    ]
    return sorted(found, key=lambda other: not other.startswith(f"{module.__name__}."))
