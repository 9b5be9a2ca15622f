"""Completed runs of ``backtest`` and ``evaluate``: found by id or by folder, read back.

A run is found in the tracking store by its id or the beginning of it; an output folder speaks for
itself, by the ``run.json`` that the run has left in it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pandas as pd

from ..errors import InputError
from .records import Param, Record, Tag
from .tracking import PARAM_LENGTH, Store, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_FILE = "run.json"
"""What a folder says about the run that filled it."""

VERBS = ("backtest", "evaluate")
"""Verbs whose runs can be read back."""

_LISTED = 5  # runs that a message names


@dataclass(frozen=True, kw_only=True, eq=False)
class CompletedRun:
    """What a run was given, and where its files are.

    Attributes
    ----------
    run_id : str
        The MLflow run.
    tags, params : mapping of str to str
        As they were tracked (see the page on tracking).
    folder : Path
        Holds its tables.
    """

    run_id: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    folder: Path

    @property
    def verb(self) -> str:
        """What was run, one of :data:`VERBS`."""
        return self.tags["verb"]

    @property
    def test_from(self) -> pd.Timestamp:
        """First origin of the test period, UTC."""
        if "test_from" in self.tags:
            return pd.Timestamp(self.tags["test_from"])
        if self.verb == "backtest":  # tracked before the tag was
            return min(pd.Timestamp(one["test_from"]) for one in self.verdicts())
        raise InputError(
            f"run {self.run_id[:8]} must say where its test period begins, but was tracked by an "
            "earlier version that did not; run it again"
        )

    def table(self, name: str) -> pd.DataFrame:
        """Return one of its tables, for example ``margins``.

        Raises
        ------
        InputError
            If the file is not there any more.
        """
        return pd.read_parquet(self._file(f"{name}.parquet"))

    def verdicts(self) -> list[dict[str, Any]]:
        """Return the entries of ``verdict.json``, one per margin period of risk."""
        found = json.loads(self._file("verdict.json").read_text(encoding="utf-8"))
        verdicts: list[dict[str, Any]] = found["horizons"]
        return verdicts

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise InputError(
                f"run {self.run_id[:8]} must have left {name}, but {self.folder} does not hold "
                "it; run it again, or name a folder that does"
            )
        return path


def write_run_file(folder: Path, run_id: str, opening: Sequence[Record]) -> None:
    """Leave in a folder what its run was given, as :data:`RUN_FILE`."""
    content = {
        "run_id": run_id,
        "tags": {one.key: one.value for one in opening if isinstance(one, Tag)},
        # Cut where MLflow cuts, or a run would differ from itself.
        "params": {one.key: one.value[:PARAM_LENGTH] for one in opening if isinstance(one, Param)},
    }
    (folder / RUN_FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_run(run: str, store: Store) -> CompletedRun:
    """Find a completed run of ``backtest`` or ``evaluate``.

    Parameters
    ----------
    run : str
        Id of an MLflow run, the beginning of one that no other run shares, or an output folder.
    store : Store
        Where ids are looked up.

    Raises
    ------
    InputError
        If there is no such run or several, it was another verb, or it did not complete.
    """
    if Path(run).is_dir():
        found = _of_folder(Path(run))
    else:
        client = open_client(store)
        found = _of_store(_only(client, run, store))
    if found.verb not in VERBS:
        raise InputError(
            f"a run must be one of backtest or evaluate to be compared, but {run} is one of "
            f"{found.verb}; models compare compares what foremargin train has registered"
        )
    return found


def _of_folder(folder: Path) -> CompletedRun:
    path = folder / RUN_FILE
    if not path.is_file():
        raise InputError(
            f"an output folder must hold {RUN_FILE}, which every completed backtest and evaluate "
            f"leaves, but {folder} does not; name the run by its id, or run it again"
        )
    content = json.loads(path.read_text(encoding="utf-8"))
    return CompletedRun(folder=folder, **content)


def _of_store(run: "Run") -> CompletedRun:
    run_id, tags = run.info.run_id, run.data.tags
    status = tags.get("status", "unknown")
    if status != "completed":
        raise InputError(
            f"a run must have completed to be compared, but {run_id[:8]} is {status}; run it "
            "again, or wait for its end"
        )
    return CompletedRun(
        run_id=run_id,
        tags={"verb": "an unknown verb", **tags},
        params=dict(run.data.params),
        folder=Path(url2pathname(urlparse(run.info.artifact_uri).path)),
    )


def _only(client: "MlflowClient", run: str, store: Store) -> "Run":
    experiments = [one.experiment_id for one in client.search_experiments()]
    # Whatever else was typed is no part of an id, and must not become part of a search.
    known = re.fullmatch(r"[0-9a-f]{1,32}", run) is not None
    wanted = f"attributes.run_id LIKE '{run}%'"
    found = list(client.search_runs(experiments, filter_string=wanted)) if known else []
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{run} must be the beginning of one run's id, but is that of {len(found)}: "
            f"{_listed(found)}; write more of it"
        )
    latest = list(client.search_runs(experiments, max_results=_LISTED))
    there = f"the latest are {_listed(latest)}" if latest else "no run is tracked there"
    raise InputError(
        f"a run must be an output folder, or the id of a run in {store.root} or its beginning, "
        f"was {run}; {there}"
    )


def _listed(runs: Sequence["Run"]) -> str:
    names = [
        f"{run.info.run_id[:8]} ({run.data.tags.get('verb', '?')}, "
        f"{run.data.tags.get('status', '?')})"
        for run in runs[:_LISTED]
    ]
    return ", ".join(names) + (" and more" if len(runs) > _LISTED else "")
