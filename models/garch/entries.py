"""The compiled functions that Python calls, kept on disk between processes.

numba compares a function kept on disk with the file of that function alone: a change in a kernel
that it calls would go unseen. Only the entries here are kept, each with a stamp of all kernels.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_curvature import curvature_rows
from .kernel_rows import Plan, fit_rows

Array = NDArray[np.float64]


def _stamp() -> int:
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("kernel_*.py"))]
    return int.from_bytes(hashlib.sha256(b"".join(sources)).digest()[:6], "big")


def _compile_fit(stamp: int) -> Callable[..., None]:
    @njit(error_model="numpy", cache=True, nogil=True)
    def fit_entry(
        flat: Array,
        rows: NDArray[np.int64],
        plan: Plan,
        theta: Array,
        value: Array,
        verdict: NDArray[np.int64],
    ) -> None:
        if stamp >= 0:  # a name that is not used would not be part of the function
            fit_rows(flat, rows, plan, theta, value, verdict)

    return fit_entry


def _compile_curvature(stamp: int) -> Callable[..., None]:
    @njit(error_model="numpy", cache=True, nogil=True)
    def curvature_entry(
        flat: Array,
        rows: NDArray[np.int64],
        plan: Plan,
        theta: Array,
        hessian: Array,
        outer: Array,
    ) -> None:
        if stamp >= 0:
            curvature_rows(flat, rows, plan, theta, hessian, outer)

    return curvature_entry


fit_entry = _compile_fit(_stamp())
curvature_entry = _compile_curvature(_stamp())
