"""What a run records, as plain data: it can be tested without a server."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from ..backtest import Verdict
from ..calibrate import Generation
from ..markets import Panel
from .experiment import Experiment
from .provenance import git_state

_PACKAGES = ("foremargin", "arch", "mlflow", "numba", "numpy", "pandas", "scikit-learn", "torch")


@dataclass(frozen=True)
class Tag:
    """A fact about the run."""

    key: str
    value: str


@dataclass(frozen=True)
class Param:
    """An input of the run."""

    key: str
    value: str


@dataclass(frozen=True)
class Metric:
    """A result of the run; the key is the name of the function that computes it."""

    key: str
    value: float


@dataclass(frozen=True)
class Artifact:
    """A file of the run, and the folder among its files that it goes to."""

    path: Path
    folder: str | None = None


Record = Tag | Param | Metric | Artifact


def opening_records(
    experiment: Experiment, panel: Panel, *, verb: str, test_from: pd.Timestamp | None = None
) -> Iterator[Record]:
    """Yield what is known before anything is computed: code, data, configuration.

    Parameters
    ----------
    experiment, panel
        What is run, and on what.
    verb : str
        Of the command.
    test_from : pandas.Timestamp, optional
        First origin of the test period, UTC, of a run that has one.
    """
    commit, clean = git_state()
    yield Tag("verb", verb)
    yield Tag("git_commit", commit)
    yield Tag("git_clean", clean)
    for package in _PACKAGES:
        yield Tag(f"version.{package}", metadata.version(package))
    yield Tag("data_source", panel.source)
    yield Tag("data_fingerprint", panel.fingerprint())
    yield Tag("data_from", str(panel.time[0]))
    yield Tag("data_to", str(panel.time[-1]))
    yield Tag("instruments", ",".join(panel.instruments))
    if test_from is not None:
        yield Tag("test_from", test_from.isoformat())
    for key, value in _flatten(experiment.model_dump(mode="json")):
        yield Param(key, value)


def verdict_records(verdict: Verdict) -> Iterator[Record]:
    """Yield the verdict's numbers for the policies that a reader compares first."""
    prefix = f"h{verdict.horizon}"
    yield Tag(f"{prefix}.reference", verdict.reference)
    yield Metric(f"{prefix}/quantile_loss_change", verdict.quantile_loss_change.estimate)
    yield Metric(f"{prefix}/shortfall_change", verdict.shortfall_change.estimate)
    hindsight = verdict.hindsight_shortfall_change.estimate
    yield Metric(f"{prefix}/hindsight_shortfall_change", hindsight)
    replayed = verdict.replay
    shown = [
        *replayed.names(Generation.PREDICTIVE),
        verdict.reference,
        *replayed.names(Generation.CONTROL),
    ]
    for policy in shown:
        for name, value in verdict.row(policy).items():
            # A comparison with itself has no statistic, and MLflow takes only numbers.
            if isinstance(value, int | float) and value == value:
                yield Metric(f"{prefix}/{policy}/{name}".replace("+", "-"), float(value))


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
