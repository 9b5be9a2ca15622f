import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from foremargin.serving.monitor import NoTracer, Step, make_tracer


@pytest.fixture
def traced():
    exporter = InMemorySpanExporter()
    return make_tracer(SimpleSpanProcessor(exporter), version="1"), exporter


def test_steps_are_children_of_the_step_they_run_in(traced):
    tracer, exporter = traced
    with tracer.span(Step.ACCEPT, n=2), tracer.span(Step.JOURNAL, bytes=10):
        pass
    journal, accept = exporter.get_finished_spans()
    assert (accept.name, journal.name) == ("accept", "journal")
    assert journal.parent is not None
    assert accept.context is not None
    assert journal.parent.span_id == accept.context.span_id
    assert journal.attributes["foremargin.bytes"] == 10
    assert accept.resource.attributes["service.name"] == "foremargin"


def test_trace_goes_on_in_another_process(traced):
    tracer, exporter = traced
    with tracer.span(Step.QUOTE):
        carried = tracer.traceparent()
    other_exporter = InMemorySpanExporter()
    other = make_tracer(SimpleSpanProcessor(other_exporter))
    with other.span(Step.CALCULATE, traceparent=carried):
        pass
    (here,), (there,) = exporter.get_finished_spans(), other_exporter.get_finished_spans()
    assert there.context is not None
    assert here.context is not None
    assert there.context.trace_id == here.context.trace_id
    assert there.parent is not None
    assert there.parent.span_id == here.context.span_id
    assert tracer.traceparent() == ""


@pytest.mark.parametrize("sent", ["nonsense", "00-0-0-00", "\x00"])
def test_caller_who_sends_no_trace_begins_one(traced, sent):
    tracer, exporter = traced
    with tracer.span(Step.ACCEPT, traceparent=sent):
        pass
    assert exporter.get_finished_spans()[0].parent is None


def test_failed_step_is_marked(traced):
    tracer, exporter = traced
    with pytest.raises(ValueError, match="lost"), tracer.span(Step.PUBLISH):
        raise ValueError("lost")
    assert exporter.get_finished_spans()[0].status.status_code is StatusCode.ERROR


def test_nothing_is_traced_unless_told():
    tracer = make_tracer()
    assert isinstance(tracer, NoTracer)
    with tracer.span(Step.ACCEPT, n=1):
        assert tracer.traceparent() == ""
