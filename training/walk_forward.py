"""Walk-forward: every model is fitted on the past, forecasts a block, and is fitted again.

A fit gets :meth:`History.upto` the first origin of its block, in which every outcome that was not
complete by then is missing: the embargo of one horizon.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace

import numpy as np

from ..features import History
from ..models import Block, BlockTask, Forecast, Forecaster, WarmForecaster, join_forecasts
from .backends import Execution, Pool, open_pool
from .finished_blocks import BlockStore
from .seeds import stream
from .windows import Schedule

_LOGGER = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""Called with fits done, fits in all, and the name of the model just fitted."""


@dataclass(frozen=True, kw_only=True)
class WalkForward:
    """Forecasts of all models over the same origins.

    Attributes
    ----------
    first_row : int
        Panel row of the first origin.
    forecasts : mapping of str to Forecast
        By name of the model.
    notes : tuple of str
        What a reader must know, for example fits that did not converge.
    n_fitted, n_kept : int
        Blocks that were fitted now, and that were there from an earlier run.
    """

    first_row: int
    forecasts: Mapping[str, Forecast]
    notes: tuple[str, ...]
    n_fitted: int
    n_kept: int


def make_blocks(history: History, *, first_row: int, refit_days: int) -> list[slice]:
    """Split the panel rows from `first_row` on into blocks of `refit_days` calendar days."""
    time = history.panel.time
    starts = [first_row]
    while True:
        after = time[starts[-1]] + np.timedelta64(refit_days, "D")
        row = int(np.searchsorted(time, after))
        if row >= len(time):
            break
        starts.append(row)
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(time)], strict=True)]


def walk_forward(
    history: History,
    forecasters: Sequence[Forecaster],
    *,
    first_row: int,
    seed: int,
    origins: slice | None = None,
    schedule: Schedule | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> WalkForward:
    """Fit and forecast every model over every block.

    Parameters
    ----------
    history : History
        The whole past.
    forecasters : sequence of Forecaster
        Specifications.
    first_row : int
        Panel row of the first origin.
    seed : int
        Every fit draws from its own stream, so that how it is carried out changes nothing.
    origins : slice, optional
        Panel rows from `first_row` on whose forecasts are wanted; by default all. Blocks are cut
        from `first_row` on all the same, so that a run over a part finds the fits of a whole one;
        those that hold none of these rows are left out.
    schedule : Schedule, optional
        Windows and warm starts; by default every fit sees the whole past and starts cold.
    execution : Execution, optional
        Where fits run and where finished blocks are kept; by default one after the other in this
        process, and nowhere.
    progress : callable, optional
        See :data:`Progress`.

    Raises
    ------
    InputError
        If the cluster or the folder of finished blocks cannot be used.
    """
    schedule, execution = schedule or Schedule(), execution or Execution()
    wanted = origins or slice(first_row, history.panel.n_periods)
    every = (
        chain
        for forecaster in forecasters
        for chain in _chains(forecaster, history, schedule, first_row=first_row, seed=seed)
    )
    chains = [needed for chain in every if (needed := chain.needed_for(wanted)) is not None]
    n_blocks = sum(len(chain.tasks) for chain in chains)
    store = None if execution.blocks is None else BlockStore.open(execution.blocks, history)
    kept: list[Block] = []
    left: list[_Chain] = chains
    if store is not None:
        rests = [_take_kept(chain, store, kept, fresh=execution.fresh) for chain in chains]
        left = [rest for rest in rests if rest is not None]
        _LOGGER.info("%d of %d blocks are kept from an earlier run", len(kept), n_blocks)
    blocks = list(kept)
    for block in _run(left, history, execution, store):
        blocks.append(block)
        if progress is not None:
            progress(len(blocks), n_blocks, block.forecast.model)
    of_model = {
        forecaster.name: sorted(
            (block for block in blocks if block.forecast.model == forecaster.name),
            key=lambda block: block.first_row,
        )
        for forecaster in forecasters
    }
    return WalkForward(
        first_row=wanted.start,
        forecasts={name: _joined(own, wanted) for name, own in of_model.items()},
        notes=tuple(
            f"{name}: {note}" for name, own in of_model.items() for b in own for note in b.notes
        ),
        n_fitted=len(blocks) - len(kept),
        n_kept=len(kept),
    )


@dataclass(frozen=True, kw_only=True)
class _Chain:
    """Blocks that must be made one after the other; without warm starts, a single one.

    `keys` names them in the store; None for those that are not kept.
    """

    tasks: tuple[BlockTask, ...]
    keys: tuple[str | None, ...]

    def needed_for(self, wanted: slice) -> "_Chain | None":
        """Return the tasks without which the forecasts of some rows cannot be made."""
        if self.tasks[-1].origins.stop <= wanted.start:
            return None
        n_tasks = sum(task.origins.start < wanted.stop for task in self.tasks)
        return _Chain(tasks=self.tasks[:n_tasks], keys=self.keys[:n_tasks]) if n_tasks else None

    def rest(self, done: Block, *, count: int = 1) -> "_Chain | None":
        """Return what is left after `count` blocks, the last of which is `done`."""
        if count == len(self.tasks):
            return None
        following, *later = self.tasks[count:]
        tasks = (replace(following, previous=done.fitted), *later)
        return _Chain(tasks=tasks, keys=self.keys[count:])


def _joined(blocks: Sequence[Block], wanted: slice) -> Forecast:
    """Join the forecasts of one model, and keep the rows that are wanted."""
    joined, first = join_forecasts([block.forecast for block in blocks]), blocks[0].first_row
    return joined.rows(wanted.start - first, wanted.stop - first)


def _chains(
    forecaster: Forecaster, history: History, schedule: Schedule, *, first_row: int, seed: int
) -> list[_Chain]:
    window = schedule.window_of(forecaster.name)
    expanding = window.sessions is None
    warm = schedule.warm_starts and expanding and isinstance(forecaster, WarmForecaster)
    tasks = tuple(
        BlockTask(
            forecaster=forecaster,
            origins=origins,
            rng=stream(seed, f"{forecaster.name}/{origins.start}"),
            first_row=window.first_row(history.panel, stop=origins.start),
            keep_fitted=warm,
        )
        for origins in make_blocks(history, first_row=first_row, refit_days=forecaster.refit_days)
    )
    groups = [tasks] if warm else [(task,) for task in tasks]
    return [_Chain(tasks=group, keys=(None,) * len(group)) for group in groups]


def _take_kept(
    chain: _Chain, store: BlockStore, kept: list[Block], *, fresh: bool
) -> _Chain | None:
    """Name the blocks of a chain, take those that are there, and return the rest."""
    keys: list[str | None] = []
    for task in chain.tasks:
        keys.append(store.key(task, after=keys[-1] if keys else None))
    chain = replace(chain, keys=tuple(keys))
    found: list[Block] = []
    for key in () if fresh else keys:
        block = None if key is None else store.load(key)
        if block is None:
            break
        found.append(block)
    kept.extend(replace(block, fitted=None) for block in found)
    return chain.rest(found[-1], count=len(found)) if found else chain


def _run(
    chains: Sequence[_Chain],
    history: History,
    execution: Execution,
    store: BlockStore | None,
) -> Iterator[Block]:
    """Yield blocks as they are finished; each is kept before the next one is looked at."""
    # What takes longest first, so that no worker is left with it at the end.
    waiting = deque(sorted(chains, key=_length, reverse=True))
    if not waiting:
        return
    with open_pool(execution, history) as pool:
        running: dict[Future[Block], _Chain] = {}
        while waiting or running:
            _hand_over(waiting, running, pool)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                chain = running.pop(future)
                block = future.result()
                if store is not None and chain.keys[0] is not None:
                    store.save(chain.keys[0], block)
                rest = chain.rest(block)
                if rest is not None:
                    waiting.appendleft(rest)
                yield replace(block, fitted=None)


def _length(chain: _Chain) -> tuple[int, int]:
    """Fits that must wait for one another; a model that is fitted rarely takes long to fit."""
    return len(chain.tasks), chain.tasks[0].forecaster.refit_days


def _hand_over(waiting: deque[_Chain], running: dict[Future[Block], _Chain], pool: Pool) -> None:
    while waiting and len(running) < pool.slots:
        chain = waiting.popleft()
        running[pool.submit(chain.tasks[0])] = chain
