from collections import Counter

import pytest

from foremargin.tests.serving.service.simulator import simulate

N_SEEDS = 200


@pytest.mark.slow
def test_no_law_is_broken_in_any_simulated_world():
    """The seed of a failure is in its message: ``simulate(seed)`` runs it again."""
    happened: Counter[str] = Counter()
    for seed in range(N_SEEDS):
        happened += simulate(seed)
    rare = {
        *("kill", "power cut", "append failed", "reopened", "calculator_dies", "lower"),
        *("accepted", "duplicate", "late", "invalid", "outlier"),
        *("ok", "degraded", "stale", "fallback"),
    }
    assert {name for name in rare if happened[name] < 20} == set()
