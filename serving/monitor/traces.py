"""Traces: which step of an observation's way took how long.

Off unless an exporter is given; then nothing of OpenTelemetry is imported and a span costs a
context manager. The steps have fixed names, so that a dashboard can name them. A step that is done
for several requests at once is a child of the first that is sampled, and linked to the others. What
a span belongs to comes from elsewhere, and goes there, as a W3C ``traceparent``.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from ...errors import InputError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Status


class Step(StrEnum):
    """Steps from an observation to a published margin."""

    ACCEPT = "accept"
    """Admission of observations."""
    JOURNAL = "journal"
    """Write and fsync."""
    CALCULATE = "calculate"
    """The calculator's work."""
    QUOTE = "quote"
    """Ladder, and the quotes as bytes."""
    PUBLISH = "publish"
    """From the plan of updates to their signature; the disk is in between."""
    SIGN = "sign"
    """The signature."""
    WEBHOOK = "webhook"
    """One attempt to send an alert."""


class Tracer(Protocol):
    """Opens spans."""

    def span(
        self, step: Step, *, traceparent: str = "", **attributes: str | int | float
    ) -> AbstractContextManager[None]:
        """Return the context of one step; its parent is the open span, or the one given.

        An exception that leaves the block marks the span as failed, by its name alone: what it
        says may be a secret.
        """
        ...

    def record(
        self,
        step: Step,
        causes: Sequence[str],
        *,
        span: tuple[int, int],
        failed: bool = False,
        **attributes: str | int | float,
    ) -> None:
        """Add a step that is over.

        Parameters
        ----------
        step : Step
            Which.
        causes : sequence of str
            ``traceparent`` of the requests that it was done for; without any a trace begins.
        span : tuple of int
            When it began and ended, ns UTC by the clock of the machine.
        failed : bool
            Whether it did not succeed.
        """
        ...

    def traceparent(self) -> str:
        """Return the open span for elsewhere; empty if there is none, or it is not sampled."""
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

    def record(
        self,
        step: Step,
        causes: Sequence[str],
        *,
        span: tuple[int, int],
        failed: bool = False,
        **attributes: str | int | float,
    ) -> None:
        """Do nothing."""

    def traceparent(self) -> str:
        """Return the empty string."""
        return ""

    def close(self) -> None:
        """Do nothing."""


def make_tracer(
    processor: "SpanProcessor | None" = None, *, version: str = "", share: float = 1.0
) -> Tracer:
    """Return a tracer that hands spans to `processor`; one that traces nothing if None.

    Parameters
    ----------
    processor : opentelemetry.sdk.trace.SpanProcessor
        ``BatchSpanProcessor(exporter)`` in a service.
    version : str
        Of the package, for the resource.
    share : float
        Of the traces that begin here and are kept, in (0, 1]; drawn when one begins.

    Raises
    ------
    InputError
        If `share` is not a share.
    """
    if not 0.0 < share <= 1.0:
        raise InputError(f"the share of traces must be in (0, 1], was {share}; write 0.01")
    return NoTracer() if processor is None else _Traced(processor, version, share)


class _Traced:
    def __init__(self, processor: "SpanProcessor", version: str, share: float) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        name = {"service.name": "foremargin", "service.version": version}
        provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(share),
            resource=Resource(name),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(processor)
        self._provider = provider
        self._tracer = provider.get_tracer("foremargin")
        self._propagator = TraceContextTextMapPropagator()
        self._api = trace

    @contextmanager
    def span(
        self, step: Step, *, traceparent: str = "", **attributes: str | int | float
    ) -> Iterator[None]:
        with self._tracer.start_as_current_span(
            step.value,
            # What a caller sends may be anything; one that is none begins a trace of its own.
            context=self._context(traceparent) if traceparent else None,
            attributes=_named(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(self._failed(type(error).__name__))
                raise

    def record(
        self,
        step: Step,
        causes: Sequence[str],
        *,
        span: tuple[int, int],
        failed: bool = False,
        **attributes: str | int | float,
    ) -> None:
        contexts = [self._context(cause) for cause in causes] or [self._context("")]
        others = [self._api.get_current_span(one).get_span_context() for one in contexts[1:]]
        began, ended = span
        made = self._tracer.start_span(
            step.value,
            context=contexts[0],
            attributes=_named(attributes),
            links=[self._api.Link(one) for one in others],
            start_time=began,
        )
        if failed:
            made.set_status(self._failed(""))
        made.end(max(began, ended))  # a clock that was set back makes no negative time

    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        if self._api.get_current_span().is_recording():
            self._propagator.inject(carrier)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        self._provider.shutdown()

    def _context(self, traceparent: str) -> "Context":
        from opentelemetry.context import Context

        # Not the context of whoever calls: its span has nothing to do with this one.
        return self._propagator.extract({"traceparent": traceparent}, context=Context())

    def _failed(self, why: str) -> "Status":
        return self._api.Status(self._api.StatusCode.ERROR, why or None)


def _named(attributes: dict[str, str | int | float]) -> dict[str, str | int | float]:
    return {f"foremargin.{name}": value for name, value in attributes.items()}
