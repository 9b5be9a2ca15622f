import math
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from foremargin.serving.monitor import Metrics
from foremargin.serving.ports import Outcome, Receipt
from foremargin.serving.quote import Basis, Status


def read(metrics):
    """Samples of the exposition by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_requests_are_counted_in_fine_buckets(clock):
    metrics = Metrics(clock, version="1")
    for seconds in (0.00009, 0.0004, 0.0004, 0.02):
        metrics.request("/v1/margins/{instrument}", 200, seconds)
    metrics.request("/v1/audit", 500, 0.1)
    found = read(metrics)
    labels = (("route", "/v1/margins/{instrument}"), ("status", "200"))
    counts = {
        dict(key)["le"]: value
        for (name, key), value in found.items()
        if name == "foremargin_request_seconds_bucket" and set(labels) <= set(key)
    }
    assert counts["0.0001"] == 1
    assert counts["0.0005"] == 3
    assert counts["0.005"] == 3
    assert counts["+Inf"] == 4
    assert metrics.answers() == (5, 1)
    # What the engine counts is what Prometheus sees: the same two objectives.
    assert metrics.reads() == (counts["+Inf"], counts["+Inf"] - counts["0.005"])
    assert found["foremargin_request_seconds_sum", labels] == pytest.approx(0.02089)


def test_end_of_a_bucket_belongs_to_it(clock):
    metrics = Metrics(clock, version="1")
    for seconds in (0.005, 0.0051, 99.0):
        metrics.request("/v1/margins", 200, seconds)
    labels = (("le", "0.005"), ("route", "/v1/margins"), ("status", "200"))
    assert read(metrics)["foremargin_request_seconds_bucket", labels] == 1
    assert metrics.reads() == (3, 2)


def test_age_grows_while_nobody_does_anything(clock, make_quote):
    metrics = Metrics(clock, version="1")
    metrics.quoted([make_quote(origin=clock.now()), make_quote(instrument="N", origin=0)])
    clock.ahead(90.5)
    found = read(metrics)
    assert found["foremargin_data_age_seconds", (("instrument", "A"),)] == 90.5
    assert found["foremargin_data_age_seconds", (("instrument", "N"),)] == math.inf


def test_steps_down_are_counted_and_steps_up_are_not(clock, make_quote):
    metrics = Metrics(clock, version="1")
    for basis in (Basis.NETWORK, Basis.GARCH, Basis.NETWORK, Basis.GARCH, Basis.GARCH):
        metrics.quoted([make_quote(basis=basis, status=Status.OK)])
    found = read(metrics)
    assert found["foremargin_fallbacks_total", (("basis", "garch"),)] == 2
    assert ("foremargin_fallbacks_total", (("basis", "network"),)) not in found
    assert found["foremargin_quotes_total", (("basis", "garch"), ("status", "ok"))] == 3
    assert found["foremargin_margin_bps", (("instrument", "A"), ("side", "short"))] == 210


def test_labels_do_not_grow_without_bound(clock):
    metrics = Metrics(clock, version="1")
    for i in range(500):
        metrics.request(f"/path/{i}", 404, 0.001)
    routes = {
        dict(key)["route"] for name, key in read(metrics) if name.endswith("seconds_count") and key
    }
    assert len(routes) == 65
    assert "other" in routes


def test_unknown_state_of_a_breaker_is_the_worst(clock):
    metrics = Metrics(clock, version="1")
    metrics.breakers({"a": "closed", "b": "half-open", "c": "open", "d": "melted"})
    found = read(metrics)
    states = [found["foremargin_breaker_state", (("breaker", name),)] for name in "abcd"]
    assert states == [0, 1, 2, 2]


def test_rest_is_shown(clock):
    metrics = Metrics(clock, version="1.2")
    metrics.received([Receipt(outcome=Outcome.ACCEPTED), Receipt(outcome=Outcome.LATE)])
    metrics.synced(0.0001)
    metrics.calculated(0.01)
    metrics.published(0.02)
    metrics.built(model="m/7", bundle="abc")
    found = read(metrics)
    assert found["foremargin_observations_total", (("outcome", "late"),)] == 1
    for name in ("journal_fsync", "calculator", "publish_lag"):
        assert found[f"foremargin_{name}_seconds_count", ()] == 1
    builds = [dict(key) for name, key in found if name == "foremargin_build_info"]
    assert [(b["version"], b["model"], b["bundle"]) for b in builds] == [("1.2", "m/7", "abc")]
    assert found["process_resident_memory_bytes", ()] > 0


def test_two_services_of_one_process_do_not_mix(clock):
    one, two = Metrics(clock, version="1"), Metrics(clock, version="1")
    one.synced(0.1)
    assert read(two)["foremargin_journal_fsync_seconds_count", ()] == 0


@pytest.mark.parametrize("module", ["monitor", "page"])
def test_import_brings_nothing_heavy(module):
    heavy = "('pandas', 'numba', 'scipy', 'torch', 'mlflow', 'opentelemetry', 'onnxruntime')"
    script = (
        f"import sys, foremargin.serving.{module};print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert out.stdout.strip() == "[]"
