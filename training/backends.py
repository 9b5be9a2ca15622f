"""Where fits run: in this process, in worker processes of this machine, or on a Dask cluster.

All give the same numbers, since a fit depends on its task alone. The history travels once, and
not with every task.
"""

import importlib
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from joblib.externals.loky import get_reusable_executor

from ..errors import InputError
from ..features import History
from ..features.shared import write_history
from ..models import Block, BlockTask
from ..models.block import run_beside_others
from .code_version import code_digest

_LOCAL = "local:"
_CLUSTER = re.compile(r"local:[1-9]\d*|\w+://\S+")
_CONNECT_S = 20.0  # how long a scheduler may take to answer


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the fits of a run are carried out; changes how long it takes and no number.

    Attributes
    ----------
    workers : int
        Processes on this machine; 1 stays in this one.
    cluster : str or None
        A Dask cluster in place of them: ``local:2`` starts one of two workers here,
        ``tcp://host:8786`` is the address of a scheduler.
    blocks : Path or None
        Folder of finished blocks, which a later run with the same input takes instead of fitting
        again; None keeps none.
    fresh : bool
        Whether to fit everything again all the same.
    """

    workers: int = 1
    cluster: str | None = None
    blocks: Path | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"workers must be at least 1, was {self.workers}")
        if self.cluster is not None and not _CLUSTER.fullmatch(self.cluster):
            raise InputError(
                "--cluster must be local: with the number of workers, like local:2, or the "
                f"address of a scheduler, like tcp://host:8786, was {self.cluster!r}"
            )


class Pool(Protocol):
    """Takes tasks and gives their results later."""

    @property
    def slots(self) -> int:
        """Tasks that are worth handing over before one is done."""
        ...

    def submit(self, task: BlockTask) -> Future[Block]:
        """Hand over a task."""
        ...


def open_pool(execution: Execution, history: History) -> AbstractContextManager[Pool]:
    """Return the pool that an execution asks for, with the history in place.

    Raises
    ------
    InputError
        If the cluster cannot be used; the message says what to do.
    """
    if execution.cluster is not None:
        return _dask_pool(execution.cluster, history)
    if execution.workers > 1:
        return _process_pool(execution.workers, history)
    return _own_pool(history)


@dataclass(frozen=True, kw_only=True)
class _OwnPool:
    """Makes each block when it is handed over."""

    history: History
    slots: int = 1

    def submit(self, task: BlockTask) -> Future[Block]:
        future: Future[Block] = Future()
        future.set_result(task.run(self.history))
        return future


@dataclass(frozen=True, kw_only=True)
class _ExecutorPool:
    """Hands tasks to an executor whose workers find the history by `history`."""

    executor: Executor
    history: Any  # a path, or a handle that the executor turns into a History
    slots: int

    def submit(self, task: BlockTask) -> Future[Block]:
        return self.executor.submit(run_beside_others, task, self.history)


@contextmanager
def _own_pool(history: History) -> Iterator[Pool]:
    yield _OwnPool(history=history)


@contextmanager
def _process_pool(workers: int, history: History) -> Iterator[Pool]:
    with tempfile.TemporaryDirectory(prefix="foremargin-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "history"
        write_history(history, path)
        executor = get_reusable_executor(max_workers=workers)
        try:
            # Twice as many tasks as workers, so that none waits for its next one.
            yield _ExecutorPool(executor=executor, history=path, slots=2 * workers)
        except BaseException:
            executor.shutdown(wait=True, kill_workers=True)
            raise


@contextmanager
def _dask_pool(cluster: str, history: History) -> Iterator[Pool]:
    distributed = _distributed()
    with _dask_cluster(cluster, distributed) as address:
        try:
            client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"--cluster must be the address of a running Dask scheduler, was {cluster!r}, "
                f"which did not answer within {_CONNECT_S:g} s: {error}"
            ) from error
        with client:
            workers = _checked_workers(client, cluster)
            handle = client.scatter(history, broadcast=True)
            executor = client.get_executor(pure=False)
            try:
                yield _ExecutorPool(executor=executor, history=handle, slots=2 * workers)
            finally:
                executor.shutdown(wait=False)


def _distributed() -> ModuleType:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise InputError(
            "--cluster needs the packages dask and distributed, which are not installed; "
            "install them with: pip install 'foremargin[cluster]'"
        ) from error


@contextmanager
def _dask_cluster(cluster: str, distributed: ModuleType) -> Iterator[str]:
    """Yield the address of a scheduler; one of our own for ``local:2``."""
    if not cluster.startswith(_LOCAL):
        yield cluster
        return
    with distributed.LocalCluster(
        n_workers=int(cluster.removeprefix(_LOCAL)),
        threads_per_worker=1,
        dashboard_address=":0",  # any free port, so that two runs do not meet
        silence_logs="ERROR",
    ) as local:
        yield local.scheduler_address


def _checked_workers(client: Any, cluster: str) -> int:
    """Return how many tasks the workers can take; those of others must run this very code."""
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
        # Workers that were started here have no other code than this process.
        digests = {} if cluster.startswith(_LOCAL) else client.run(code_digest)
    except Exception as error:  # whatever a worker raises without the package comes back here
        raise InputError(
            f"every worker of {cluster} must have foremargin installed and answer within "
            f"{_CONNECT_S:g} s, but: {error}"
        ) from error
    others = sorted(address for address, digest in digests.items() if digest != code_digest())
    if others:
        raise InputError(
            f"every worker of {cluster} must run the same foremargin as this process, found "
            f"another one at {', '.join(others)}; install the same version there"
        )
    return sum(client.nthreads().values())
