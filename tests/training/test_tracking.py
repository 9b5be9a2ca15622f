import os
from pathlib import Path

import mlflow
import pytest

from foremargin.training import open_store, tracked_run
from foremargin.training.records import Artifact, Metric, Param, Tag
from foremargin.training.tracking import Store

pytestmark = pytest.mark.slow  # a new database takes seconds


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("mlruns"))


def _client(store: Store) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri=store.tracking_uri)


def test_a_run_keeps_its_records_and_ends_completed(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "table.txt"
    file.write_text("a table")
    with tracked_run(store, experiment="one", opening=[Tag("verb", "test")]) as run:
        assert _client(store).get_run(run.run_id).data.tags["status"] == "started"
        run.write([Param("seed", "1"), Metric("qlike_loss", 0.5), Artifact(file)])
        run.write([Metric(f"many/{i}", float(i)) for i in range(250)])
    kept = _client(store).get_run(run.run_id)
    assert kept.data.tags["status"] == "completed"
    assert kept.data.tags["verb"] == "test"
    assert kept.data.params == {"seed": "1"}
    assert kept.data.metrics["qlike_loss"] == 0.5
    assert len(kept.data.metrics) == 251
    assert kept.info.artifact_uri.startswith((store.root / "artifacts").as_uri())
    copied = store.root / "artifacts" / run.run_id / "artifacts" / "table.txt"
    assert copied.read_text() == "a table"


@pytest.mark.parametrize(
    ("error", "status", "state"),
    [(KeyboardInterrupt, "interrupted", "KILLED"), (ValueError, "failed", "FAILED")],
)
def test_a_run_that_is_stopped_says_so(
    store: Store, error: type[BaseException], status: str, state: str
) -> None:
    with (
        pytest.raises(error, match="stop"),
        tracked_run(store, experiment="two", opening=[]) as run,
    ):
        raise error("stop")
    kept = _client(store).get_run(run.run_id)
    assert (kept.data.tags["status"], kept.info.status) == (status, state)


def test_a_run_whose_process_is_gone_is_marked_by_the_next_one(store: Store) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with tracked_run(store, experiment="three", opening=[Tag("process", str(pid))]) as killed:
        _client(store).set_tag(killed.run_id, "process", str(pid))
        with tracked_run(store, experiment="three", opening=[]) as alive:
            tags = _client(store).get_run(killed.run_id).data.tags
            assert tags["status"] == "interrupted"
            # A run whose process lives is left alone.
            with tracked_run(store, experiment="three", opening=[]):
                assert _client(store).get_run(alive.run_id).data.tags["status"] == "started"


def test_the_store_is_absolute_and_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREMARGIN_MLRUNS", str(tmp_path / "there"))
    store = open_store()
    assert store.tracking_uri == f"sqlite:///{tmp_path}/there/mlflow.db"
    assert store.root.is_absolute()
