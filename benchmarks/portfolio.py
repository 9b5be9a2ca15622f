"""Margins of many accounts beside sparse matrices: seconds, accounts per second, memory, ratio.

*plain* is what one writes first: a sparse matrix of positions times the scenarios, and
``np.partition`` of every row. Both run on the same accounts, take turns, and have to agree: *gap*
is their largest difference, of margins of some tens. Times are medians of several runs; *cpu s* is
processor time of all threads, and *by core* the ratio of processor times, which other work on the
machine does not change. *MiB* are arrays at the peak of a call.

The second table moves one instrument after another by some basis points and brings all margins up
to date. It is held by one account in fifty, by 60 %, or by all. *least* is the fastest of the
moves, *cpu ms* the least processor time, and *ratio* against computing all margins anew by this
package. Set ``NUMBA_NUM_THREADS`` for the number of threads.
"""

import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

import numba
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from foremargin.calibrate.portfolio import (
    Accounts,
    IncrementalMargin,
    ScenarioSet,
    portfolio_margin,
)

Array = NDArray[np.float64]

N_INSTRUMENTS, N_POSITIONS = 500, 10
REPEATS = 7
MOVES = 40
CASES = (
    (1_000_000, 64, 0.975),
    (100_000, 500, 0.975),
    (100_000, 500, 0.99),
)


def draw_accounts(n_accounts: int, *, seed: int, popular: bool = False) -> Accounts:
    """Return accounts of ten instruments each; 0 is held by all and 1 by 60 % if `popular`."""
    rng = np.random.default_rng(seed)
    # One instrument from each of ten ranges: distinct and sorted without a loop.
    width = N_INSTRUMENTS // N_POSITIONS
    instrument = rng.integers(0, width, (n_accounts, N_POSITIONS)) + width * np.arange(N_POSITIONS)
    if popular:
        instrument[:, 0] = 0
        most = rng.uniform(size=n_accounts) < 0.6
        instrument[:, 1] = np.where(most, 1, instrument[:, 1])
    return Accounts(
        offsets=np.arange(n_accounts + 1) * N_POSITIONS,
        instrument=instrument.ravel().astype(np.int32),
        quantity=rng.normal(size=instrument.size),
    )


def draw_scenarios(n_scenarios: int, *, seed: int) -> ScenarioSet:
    """Return heavy-tailed moves with a common part."""
    rng = np.random.default_rng(seed)
    common = rng.standard_t(4, size=n_scenarios)
    return ScenarioSet(pnl=common + rng.standard_t(4, size=(N_INSTRUMENTS, n_scenarios)))


def ours(accounts: Accounts, scenarios: ScenarioSet, confidence_level: float) -> Array:
    """Compute expected shortfalls by the package."""
    return portfolio_margin(accounts, scenarios, confidence_level=confidence_level)


def plain(accounts: Accounts, scenarios: ScenarioSet, confidence_level: float) -> Array:
    """Compute the same by a sparse product and a partition."""
    shape = (accounts.n_accounts, scenarios.n_instruments)
    held = sp.csr_matrix((accounts.quantity, accounts.instrument, accounts.offsets), shape=shape)
    pnl = np.asarray(held @ scenarios.pnl)
    tail = (1.0 - confidence_level) * scenarios.n_scenarios
    count = int(np.ceil(tail - 1e-9))
    worst = np.partition(pnl, count - 1, axis=1)[:, :count]
    edge = worst.max(axis=1)
    return np.asarray(np.maximum(-(worst.sum(axis=1) - (count - tail) * edge) / tail, 0.0))


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Time one call by the clock and by the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - clock, time.process_time() - processor


def added_memory(call: Callable[[], object]) -> float:
    """Return the MiB of arrays that a call holds at its peak."""
    tracemalloc.start()
    call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def compare(n_accounts: int, n_scenarios: int, confidence_level: float) -> None:
    """Print one line of the first table."""
    accounts = draw_accounts(n_accounts, seed=1)
    scenarios = draw_scenarios(n_scenarios, seed=2)
    calls = [partial(margin, accounts, scenarios, confidence_level) for margin in (ours, plain)]
    # The first run compiles, and both have to agree.
    gap = np.abs(calls[0]() - calls[1]()).max()
    taken = np.array([[seconds(call) for call in calls] for _ in range(REPEATS)])
    (fast, fast_cpu), (slow, slow_cpu) = np.median(taken, axis=0)
    memory = [added_memory(call) for call in calls]
    print(
        f"{n_accounts:>10,}{n_scenarios:>11}{confidence_level:>7}{fast:>8.3f}{slow:>9.3f}"
        f"{slow / fast:>7.1f}{fast_cpu:>8.3f}{slow_cpu / fast_cpu:>9.1f}"
        f"{n_accounts / fast:>12,.0f}{memory[0]:>7.0f}{memory[1]:>11.0f}{gap:>8.0e}"
    )


def follow(confidence_level: float) -> None:
    """Print the lines of the second table at one confidence level."""
    accounts = draw_accounts(100_000, seed=3, popular=True)
    scenarios = draw_scenarios(500, seed=4)
    ours(accounts, scenarios, confidence_level)
    call = partial(ours, accounts, scenarios, confidence_level)
    anew = statistics.median(seconds(call)[0] for _ in range(REPEATS))
    state = IncrementalMargin(accounts, scenarios, confidence_level=confidence_level)
    rng = np.random.default_rng(5)
    for instrument in (100, 1, 0):
        row, taken, rebooked = scenarios.pnl[instrument], [], 0
        holders = len(state.move(instrument, row))
        for _ in range(MOVES):
            row = row * (1.0 + 0.001 * rng.normal())
            clock, processor = seconds(partial(state.move, instrument, row))
            taken.append((1e3 * clock, 1e3 * processor))
            rebooked += state.rebooked
        fresh = portfolio_margin(accounts, state.scenarios(), confidence_level=confidence_level)
        middle, least = np.median(taken, axis=0), np.min(taken, axis=0)
        print(
            f"{confidence_level:>7}{holders:>10,}{middle[0]:>9.2f}{least[0]:>9.2f}{least[1]:>9.2f}"
            f"{1e3 * anew / middle[0]:>8.0f}{rebooked / MOVES:>10.1f}{state.nbytes / 2**20:>7.0f}"
            f"{np.abs(fresh - state.margin).max():>8.0e}"
        )


def main() -> None:
    """Print both tables."""
    print(f"{numba.get_num_threads()} threads; {N_POSITIONS} positions, medians of {REPEATS} runs")
    print(
        f"{'accounts':>10}{'scenarios':>11}{'level':>7}{'s':>8}{'plain s':>9}{'ratio':>7}"
        f"{'cpu s':>8}{'by core':>9}{'accounts/s':>12}{'MiB':>7}{'plain MiB':>11}{'gap':>8}"
    )
    for case in CASES:
        compare(*case)
    print("\none instrument moves: 100,000 accounts, 500 scenarios")
    print(
        f"{'level':>7}{'holders':>10}{'ms':>9}{'least':>9}{'cpu ms':>9}{'ratio':>8}{'rebooked':>10}"
        f"{'MiB':>7}{'gap':>8}"
    )
    for confidence_level in (0.975, 0.99):
        follow(confidence_level)


if __name__ == "__main__":
    main()
