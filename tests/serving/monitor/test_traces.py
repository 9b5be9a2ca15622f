import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from foremargin.errors import InputError
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
    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "lost" not in span.to_json()  # what an exception says may be a secret


def test_step_of_several_is_a_child_of_the_first_and_linked_to_the_others(traced):
    tracer, exporter = traced
    causes = []
    for _ in range(3):
        with tracer.span(Step.ACCEPT):
            causes.append(tracer.traceparent())
    with tracer.span(Step.PUBLISH):  # the open span has nothing to do with it
        tracer.record(Step.JOURNAL, causes, span=(5, 9), failed=True, bytes=3)
    *asked, journal, _ = exporter.get_finished_spans()
    assert journal.parent.span_id == asked[0].context.span_id
    assert journal.context.trace_id == asked[0].context.trace_id
    assert [link.context.span_id for link in journal.links] == [
        one.context.span_id for one in asked[1:]
    ]
    assert (journal.start_time, journal.end_time) == (5, 9)
    assert journal.attributes == {"foremargin.bytes": 3}
    assert journal.status.status_code is StatusCode.ERROR


def test_step_of_nobody_begins_a_trace_and_takes_no_negative_time(traced):
    tracer, exporter = traced
    with tracer.span(Step.PUBLISH):
        tracer.record(Step.WEBHOOK, (), span=(9, 5))
    webhook, _ = exporter.get_finished_spans()
    assert webhook.parent is None
    assert (webhook.start_time, webhook.end_time) == (9, 9)


def test_share_of_the_traces_is_kept_and_the_others_leave_no_cause():
    exporter, causes = InMemorySpanExporter(), []
    tracer = make_tracer(SimpleSpanProcessor(exporter), share=0.25)
    for _ in range(400):
        with tracer.span(Step.ACCEPT):
            causes.append(tracer.traceparent())
            with tracer.span(Step.JOURNAL):
                pass
    kept = sum(cause != "" for cause in causes)
    assert 50 <= kept <= 150  # 100 are expected, with a standard deviation of 9
    assert len(exporter.get_finished_spans()) == 2 * kept


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_share_that_is_none_is_refused(share):
    with pytest.raises(InputError, match=r"share of traces must be in \(0, 1\]"):
        make_tracer(share=share)


def test_nothing_is_traced_unless_told():
    tracer = make_tracer()
    assert isinstance(tracer, NoTracer)
    with tracer.span(Step.ACCEPT, n=1):
        assert tracer.traceparent() == ""
    tracer.record(Step.JOURNAL, (), span=(1, 2))
