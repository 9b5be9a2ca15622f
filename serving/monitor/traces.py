"""Traces: which step of an observation's way took how long.

Off unless an exporter is given; then nothing of OpenTelemetry is imported and a span costs a
context manager. The steps have fixed names, so that a dashboard can name them. The trace goes to
another process, or comes from a caller, as a W3C ``traceparent``.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor


class Step(StrEnum):
    """Steps from an observation to a published margin."""

    ACCEPT = "accept"
    """Admission of observations."""
    JOURNAL = "journal"
    """Write and fsync."""
    CALCULATE = "calculate"
    """The calculator's work."""
    QUOTE = "quote"
    """Ladder and table."""
    PUBLISH = "publish"
    """Signature and transport."""


class Tracer(Protocol):
    """Opens spans."""

    def span(
        self, step: Step, *, traceparent: str = "", **attributes: str | int | float
    ) -> AbstractContextManager[None]:
        """Return the context of one step; its parent is the open span, or the one given.

        An exception that leaves the block marks the span as failed.
        """
        ...

    def traceparent(self) -> str:
        """Return the open span for another process; empty if there is none."""
        ...

    def close(self) -> None:
        """Hand over what has not been handed over; nothing is traced afterwards."""
        ...


class NoTracer:
    """Traces nothing."""

    def span(
        self, step: Step, *, traceparent: str = "", **attributes: str | int | float
    ) -> AbstractContextManager[None]:
        """Return a context that does nothing."""
        del step, traceparent, attributes
        return nullcontext()

    def traceparent(self) -> str:
        """Return the empty string."""
        return ""

    def close(self) -> None:
        """Do nothing."""


def make_tracer(processor: "SpanProcessor | None" = None, *, version: str = "") -> Tracer:
    """Return a tracer that hands spans to `processor`; one that traces nothing if None.

    Parameters
    ----------
    processor : opentelemetry.sdk.trace.SpanProcessor
        ``BatchSpanProcessor(exporter)`` in a service.
    version : str
        Of the package, for the resource.
    """
    return NoTracer() if processor is None else _Traced(processor, version)


class _Traced:
    def __init__(self, processor: "SpanProcessor", version: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        name = {"service.name": "foremargin", "service.version": version}
        provider = TracerProvider(resource=Resource(name), shutdown_on_exit=False)
        provider.add_span_processor(processor)
        self._provider = provider
        self._tracer = provider.get_tracer("foremargin")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self, step: Step, *, traceparent: str = "", **attributes: str | int | float
    ) -> Iterator[None]:
        parent = None
        if traceparent:
            # What a caller sends may be anything; one that is none begins a trace of its own.
            parent = self._propagator.extract({"traceparent": traceparent})
        named = {f"foremargin.{name}": value for name, value in attributes.items()}
        with self._tracer.start_as_current_span(step.value, context=parent, attributes=named):
            yield

    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        self._provider.shutdown()
