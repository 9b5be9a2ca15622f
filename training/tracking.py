"""The one writer to MLflow, and the one place that knows where its store is.

A run is tagged ``status`` = ``started``, and ``completed`` only at the end; one that was stopped
becomes ``interrupted`` or ``failed``. A run whose process died without a word is marked when the
next one opens the store.
"""

import logging
import os
import socket
import sqlite3
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .records import Artifact, Metric, Param, Record, Tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_LOGGER = logging.getLogger(__name__)

STORE_VARIABLE = "FOREMARGIN_MLRUNS"
"""Environment variable with the folder of the store; ``mlruns`` here if it is not set."""

PARAM_LENGTH = 6_000
"""MLflow's limit on the length of a parameter; longer ones are cut."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where runs are kept; both absolute.

    Attributes
    ----------
    root : Path
        The folder ``mlruns``.
    """

    root: Path

    @property
    def tracking_uri(self) -> str:
        """Address of the tracking database."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def artifact_uri(self) -> str:
        """Address of the artifact folder."""
        return (self.root / "artifacts").as_uri()

    @property
    def blocks(self) -> Path:
        """Folder of finished blocks, which a run with the same input takes up again."""
        return self.root / "blocks"


def open_store(root: Path | None = None) -> Store:
    """Return the store, made if it is not there; nothing relies on MLflow's defaults.

    Parameters
    ----------
    root : Path, optional
        Folder; by default the one named by ``FOREMARGIN_MLRUNS``, or ``mlruns`` here.
    """
    folder = (root or Path(os.environ.get(STORE_VARIABLE, "mlruns"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(folder / "mlflow.db") as connection:
        # Readers (the MLflow page) and the writer do not block each other.
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return Store(root=folder)


def open_client(store: Store) -> "MlflowClient":
    """Return MLflow's client of the store, for runs and for registered models.

    MLflow is imported here and nowhere above: it takes seconds and 200 MB, which whoever only
    loads a bundle need not spend.
    """
    # Set before MLflow is imported: no telemetry, and nothing stored is ever unpickled.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    with warnings.catch_warnings():
        # MLflow's own imports warn about its dependencies; nothing here can be done about them.
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient
    # That a database is made is no news to the user of a backtest; MLflow's import sets the level.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=store.tracking_uri, registry_uri=store.tracking_uri)


@dataclass(frozen=True, kw_only=True)
class RunWriter:
    """An open run; :meth:`write` is the only thing that writes to MLflow.

    Attributes
    ----------
    run_id : str
        Of the run.
    client : MlflowClient
        Bound to the store.
    """

    run_id: str
    client: "MlflowClient"

    def write(self, records: Iterable[Record]) -> None:
        """Store records in the order given."""
        from mlflow import entities

        tags: list[entities.RunTag] = []
        params: list[entities.Param] = []
        metrics: list[entities.Metric] = []
        for record in records:
            match record:
                case Tag(key, value):
                    tags.append(entities.RunTag(key, value))
                case Param(key, value):
                    params.append(entities.Param(key, value[:PARAM_LENGTH]))
                case Metric(key, value):
                    metrics.append(entities.Metric(key, value, 0, 0))
                case Artifact(path, folder):
                    self.client.log_artifact(self.run_id, str(path), folder)
        for start in range(0, max(len(tags), len(params), len(metrics)), 100):
            block = slice(start, start + 100)
            self.client.log_batch(
                self.run_id, metrics=metrics[block], params=params[block], tags=tags[block]
            )


@contextmanager
def tracked_run(store: Store, *, experiment: str, opening: Iterable[Record]) -> Iterator[RunWriter]:
    """Open a run, and mark at the end how it ended.

    Parameters
    ----------
    store : Store
        Where.
    experiment : str
        Name of the MLflow experiment; made if it is not there.
    opening : iterable of Record
        What is written first.
    """
    client = open_client(store)
    _mark_dead_runs(client)
    found = client.get_experiment_by_name(experiment)
    experiment_id = (
        found.experiment_id
        if found is not None
        else client.create_experiment(experiment, artifact_location=store.artifact_uri)
    )
    run = client.create_run(experiment_id, tags={"status": "started", **_process()})
    writer = RunWriter(run_id=run.info.run_id, client=client)
    try:
        writer.write(opening)
        yield writer
    except KeyboardInterrupt:
        _end(client, writer.run_id, status="interrupted", state="KILLED")
        raise
    except BaseException:
        _end(client, writer.run_id, status="failed", state="FAILED")
        raise
    _end(client, writer.run_id, status="completed", state="FINISHED")


def _end(client: "MlflowClient", run_id: str, *, status: str, state: str) -> None:
    client.set_tag(run_id, "status", status)
    client.set_terminated(run_id, state)


def _process() -> dict[str, str]:
    return {"host": socket.gethostname(), "process": str(os.getpid())}


def _mark_dead_runs(client: "MlflowClient") -> None:
    """Mark runs of this host whose process is gone: they were killed and could not say so."""
    for experiment in client.search_experiments():
        running = client.search_runs(
            [experiment.experiment_id], filter_string="tags.status = 'started'"
        )
        for run in running:
            if run.data.tags.get("host") == socket.gethostname() and not _alive(run):
                _LOGGER.warning("run %s was killed; marking it interrupted", run.info.run_id)
                _end(client, run.info.run_id, status="interrupted", state="KILLED")


def _alive(run: "Run") -> bool:
    try:
        os.kill(int(run.data.tags["process"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
