"""Where fits run changes no number, and a place that cannot be used is named."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Ewma, Forecaster, Garch, LogHar
from foremargin.training import Execution, backends, walk_forward
from foremargin.training.code_version import code_digest


@pytest.fixture(scope="module")
def history(make_panel: Callable[..., Panel]) -> History:
    return build_history(make_panel(n_periods=700), horizons=(1, 5))


def _walk(history: History, execution: Execution | None) -> list[np.ndarray]:
    models: list[Forecaster] = [Ewma(), LogHar(), Garch()]
    walked = walk_forward(history, models, first_row=600, seed=1, execution=execution)
    return [forecast.variance for forecast in walked.forecasts.values()]


@pytest.mark.slow
# Dask's own clean-up of a cluster on one machine: it closes its sockets as it ends.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_cluster_of_two_workers_gives_the_very_same_numbers(
    history: History, tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    here = _walk(history, None)
    # Blocks are kept by the process that asked for them, whoever made them.
    there = _walk(history, Execution(cluster="local:2", blocks=tmp_path))
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(list(tmp_path.glob("*.block"))) == 1 + 4 + 2


def test_without_dask_the_sentence_says_how_to_get_it(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'foremargin\[cluster\]'"):
        _walk(history, Execution(cluster="local:2"))


@pytest.mark.parametrize("cluster", ["local:", "local:none", "local:0", "nowhere", ""])
def test_a_cluster_is_a_number_of_workers_here_or_an_address(cluster: str) -> None:
    with pytest.raises(InputError, match=rf"like local:2, or .* tcp://host:8786, was '{cluster}'"):
        Execution(cluster=cluster)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_scheduler_that_does_not_answer_is_named(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    monkeypatch.setattr(backends, "_CONNECT_S", 0.3)
    with pytest.raises(InputError, match=r"running Dask scheduler, was 'tcp://127\.0\.0\.1:1'"):
        _walk(history, Execution(cluster="tcp://127.0.0.1:1"))


class _Client:
    """A cluster as seen through the client: what its workers answer."""

    def __init__(self, answer: dict[str, str] | Exception) -> None:
        self.answer = answer

    def wait_for_workers(self, n: int, timeout: float) -> None:
        pass

    def run(self, function: Callable[[], str]) -> dict[str, str]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.answer, 3) if isinstance(self.answer, dict) else {}


def test_workers_that_run_other_code_are_refused() -> None:
    ours = code_digest()
    assert backends._checked_workers(_Client({"a": ours, "b": ours}), "tcp://x") == 6
    with pytest.raises(InputError, match=r"must run the same foremargin .* another one at b;"):
        backends._checked_workers(_Client({"a": ours, "b": "older"}), "tcp://x")
    missing = ModuleNotFoundError("No module named 'foremargin'")
    with pytest.raises(InputError, match=r"every worker of tcp://x .* No module named"):
        backends._checked_workers(_Client(missing), "tcp://x")


def test_a_run_needs_a_worker() -> None:
    with pytest.raises(InputError, match="workers must be at least 1, was 0"):
        Execution(workers=0)
