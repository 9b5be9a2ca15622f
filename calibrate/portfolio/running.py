"""Share rows among threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba


def run_rows(task: Callable[[int, int], None], n_rows: int, *, least: int = 512) -> None:
    """Call ``task(first, last)`` for ranges that together cover all rows, on numba's threads.

    Parameters
    ----------
    task : callable
        Compiled code that holds no lock; ranges may run at the same time.
    n_rows : int
        Rows to cover.
    least : int
        Rows below which a range is not worth a thread.
    """
    threads = int(numba.get_num_threads())
    n_ranges = min(4 * threads if threads > 1 else 1, max(n_rows // least, 1))
    edges = [n_rows * i // n_ranges for i in range(n_ranges + 1)]
    ranges = list(pairwise(edges))
    if n_ranges == 1:
        task(0, n_rows)
        return
    # Plain threads survive forks and nested pools, which numba's own do not.
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: task(*part), ranges))
