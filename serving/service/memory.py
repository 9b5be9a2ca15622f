"""Garbage collection that does not walk what is here to stay."""

import gc

_YOUNG = 50_000
"""Containers more than there were before that are collected: a row of 5,000 instruments has less.

What a row leaves is without cycles and goes when the next one replaces it. With the usual 700, each
row was walked seventy times, and everything that had been kept since the start now and then.
"""


def settle_memory() -> None:
    """Set everything that is alive apart: collections walk only what is made from now on.

    They are rare from then on, since what is made is replaced row by row.

    Call it once, when a process has loaded what it serves with.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
