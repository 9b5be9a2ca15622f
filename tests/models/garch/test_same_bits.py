"""The same bits in a process that compiles and in one that loads, whatever ran there before."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import foremargin

PACKAGE = Path(foremargin.__file__).parent

DIGESTS = """
import hashlib, sys
import numpy as np
from foremargin.models import fit_garch_batch

returns = np.random.default_rng(5).standard_t(5, size=(3, 333))

def estimate():
    return [fit_garch_batch(returns, volatility=volatility, distribution=law, n_threads=1)
            for volatility in ("garch", "gjr", "egarch") for law in ("normal", "t", "skewt")]

if sys.argv[1] == "curvature-first":
    from foremargin.models.garch.entries import curvature_entry
    from foremargin.models.garch.options import garch_model
    model = garch_model(
        volatility="gjr", distribution="t", mean="constant", start_variance="mean-square")
    theta = np.array([[0.0, 0.1, 0.05, 0.05, 0.8, 6.0, 0.0]])
    hessian, outer = np.empty((2, 1, 7, 7))
    curvature_entry(returns[0].copy(), np.array([[0, 333]]), model.plan(), theta, hessian, outer)
digest = hashlib.sha256()
for batch in estimate():
    errors = [batch.standard_errors(kind) for kind in ("hessian", "opg", "robust")]
    for numbers in (batch.params, batch.log_likelihood, batch.next_variance, batch.passes, *errors):
        digest.update(np.ascontiguousarray(numbers).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_estimates_have_the_same_bits_whether_code_is_compiled_or_loaded(tmp_path: Path) -> None:
    # An empty folder: the first process compiles, the second loads what it left there, and in
    # another order, so that other copies of the functions both need are met first.
    compiled = _digest(tmp_path, "curvature-first")
    assert list(tmp_path.rglob("*.nbc"))
    assert _digest(tmp_path, "fit-first") == compiled


def test_the_compiler_has_no_licence_to_reorder_arithmetic() -> None:
    # What it does with one differs between a copy of a function and another.
    licensed = [
        path.relative_to(PACKAGE)
        for folder in ("markets", "features", "models", "calibrate", "backtest")
        for path in sorted((PACKAGE / folder).rglob("*.py"))
        if re.search(r"fastmath\s*=\s*(?!False)", path.read_text())
    ]
    assert licensed == []


def _digest(cache: Path, order: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS, order],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout.strip()
