"""What Prometheus reads: every metric of the service in a registry of its own.

Ages are worked out when they are read, from the moment of the data and the clock, so that a front
that does nothing any more shows data that grow old. Labels are bounded: a route is a template and
never a path, and beyond a number of routes it is ``other``.
"""

import math
import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ..ports import Clock, Receipt
from ..quote import Basis, Quote, Status
from .alerts import Alert, State
from .coverage import CoverageStanding
from .drift import DriftStanding
from .gauges import Gauges
from .watched import HeightStanding

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Content type of :meth:`Metrics.render`."""

REQUEST_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
"""Upper ends, seconds."""
SLOW_READ_S = 0.005
"""A read of a margin that takes longer counts against the latency objective; one of the buckets."""
READ_ROUTES = (
    "/v1/margins/{instrument}",
    "/v1/margins",
    "/v1/forecasts/{instrument}",
    "/v1/schedules/{instrument}",
)
"""Routes whose latency is promised."""

BREAKER_STATES = {"closed": 0, "half-open": 1, "open": 2}

_DISK_BUCKETS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1.0)
_STEP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_MOST_ROUTES = 64
_RUNGS = list(Basis)
_SECOND_NS = 1e9


class Metrics:
    """All metrics.

    Parameters
    ----------
    clock : Clock
        For ages.
    version : str
        Of the package.
    """

    def __init__(self, clock: Clock, *, version: str) -> None:
        self.registry = CollectorRegistry()
        self._requests = _Requests()
        self.registry.register(self._requests)
        self._quotes: dict[str, Quote] = {}
        self._overdue: Mapping[str, float] = {}
        self._make()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Ages(clock, self._quotes, lambda: self._overdue))
        self._build.labels(version, platform.python_version(), "", "").set(1.0)
        self._version = version

    def render(self) -> bytes:
        """Return everything in the text format of Prometheus; may be called from any thread."""
        return generate_latest(self.registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer: template of its route, HTTP status, duration; from one thread."""
        self._requests.add(route, status, seconds)

    def answers(self) -> tuple[int, int]:
        """Return how many answers there were, and how many of them were server errors."""
        return self._requests.answers()

    def reads(self) -> tuple[int, int]:
        """Return how many reads of margins there were, and how many of them were slow."""
        return self._requests.reads()

    def quoted(self, quotes: Iterable[Quote], *, counted: bool = True) -> None:
        """Show quotes, and count them and steps down to a lower rung unless they are of before."""
        for quote in quotes:
            before = self._quotes.get(quote.instrument)
            self._quotes[quote.instrument] = quote
            if counted:
                self._quoted.labels(quote.status.value, quote.basis.value).inc()
            if counted and before and _RUNGS.index(quote.basis) > _RUNGS.index(before.basis):
                self._fallbacks.labels(quote.basis.value).inc()
            for side, margin in (("long", quote.long), ("short", quote.short)):
                self._margin.set((quote.instrument, side), margin.initial_margin_bps)

    def received(self, receipts: Iterable[Receipt]) -> None:
        """Count what became of observations."""
        for receipt in receipts:
            self._observations.labels(receipt.outcome.value).inc()

    def covered(self, standings: Iterable[CoverageStanding]) -> None:
        """Show the coverage of every side."""
        for standing in standings:
            labels = (standing.instrument, standing.side)
            self._expected.set(labels, standing.tail_probability)
            self._evidence.set(labels, standing.evidence)
            self._coverage_alarm.set(labels, standing.alarmed)
            self._judged.set(labels, standing.judged)
            if standing.recent_rate is not None:
                self._breach_rate.set(labels, standing.recent_rate)

    def high(self, rare: Iterable[CoverageStanding], heights: Iterable[HeightStanding]) -> None:
        """Show whether margins are too high."""
        alarmed = {}
        for standing in rare:
            labels = (standing.instrument, standing.side)
            self._rare_evidence.set(labels, standing.evidence)
            alarmed[labels] = standing.alarmed
        for height in heights:
            labels = (height.instrument, height.side)
            alarmed[labels] = alarmed.get(labels, False) or height.far
            if height.n:
                self._height.set(labels, height.ratio)
        for labels, high in alarmed.items():
            self._high.set(labels, high)

    def drifted(self, standings: Iterable[DriftStanding]) -> None:
        """Show every detector of drift."""
        for standing in standings:
            labels = (standing.instrument, standing.detector)
            self._drift.set(labels, standing.evidence)
            self._drift_alarm.set(labels, standing.active)

    def overdue(self, seconds: Mapping[str, float]) -> None:
        """Show how long data are overdue by instrument; NaN, none were ever seen, is +Inf."""
        self._overdue = seconds

    def breakers(self, states: Mapping[str, str]) -> None:
        """Show breakers: ``closed``, ``half-open`` or ``open``; anything else counts as open."""
        for name, state in states.items():
            self._breaker.labels(name).set(BREAKER_STATES.get(state, BREAKER_STATES["open"]))

    def left_out(self, count: int) -> None:
        """Show how many records the calculator was not given or has refused."""
        self._left_out.set(count)

    def alerted(self, alerts: Iterable[Alert], *, now: int) -> None:
        """Show how many alerts fire, and that somebody looked at `now`, ns UTC."""
        firing = [alert for alert in alerts if alert.state is State.FIRING]
        for severity in ("page", "ticket"):
            count = sum(alert.severity == severity for alert in firing)
            self._firing.labels(severity).set(count)
        self._evaluated.set(now / _SECOND_NS)

    def synced(self, seconds: float) -> None:
        """Take the duration of one fsync of the journal."""
        self._fsync.observe(seconds)

    def calculated(self, seconds: float) -> None:
        """Take the time from handing observations to the calculator until its answer."""
        self._calculator.observe(seconds)

    def published(self, seconds: float) -> None:
        """Take the time from a quote until its signed update was published."""
        self._publish.observe(seconds)

    def built(self, *, model: str, bundle: str) -> None:
        """Show which bundle is active."""
        self._build.clear()
        self._build.labels(self._version, platform.python_version(), model, bundle).set(1.0)

    def forget(self, instrument: str) -> None:
        """Drop everything of an instrument that is gone for good."""
        self._quotes.pop(instrument, None)
        for gauge in self._by_instrument:
            gauge.forget(instrument)

    def _make(self) -> None:
        self._fsync = self._histogram(
            "journal_fsync_seconds", "Duration of an fsync of the journal.", _DISK_BUCKETS
        )
        self._calculator = self._histogram(
            "calculator_seconds", "From observations to calculations.", _STEP_BUCKETS
        )
        self._publish = self._histogram(
            "publish_lag_seconds", "From a quote to its signed update.", _STEP_BUCKETS
        )
        self._quoted = self._counter("quotes", "Quotes made.", ["status", "basis"])
        self._fallbacks = self._counter(
            "fallbacks", "Quotes from a lower rung than the one before.", ["basis"]
        )
        self._observations = self._counter("observations", "Observations received.", ["outcome"])
        self._make_gauges()

    def _make_gauges(self) -> None:
        sides = ["instrument", "side"]
        self._margin = self._gauges("margin_bps", "Initial margin, basis points.", sides)
        self._judged = self._gauges("coverage_judged", "Losses that margins were judged by.", sides)
        self._breach_rate = self._gauges(
            "breach_rate", "Share of the last losses above the margin.", sides
        )
        self._expected = self._gauges("breach_rate_expected", "Breach rate promised.", sides)
        self._evidence = self._gauges(
            "coverage_evidence", "Evidence of too many breaches; 1 raises the alarm.", sides
        )
        self._coverage_alarm = self._gauges(
            "coverage_alarm", "1 while losses are above margins too often.", sides
        )
        self._rare_evidence = self._gauges(
            "coverage_rare_evidence", "Evidence of too few breaches; 1 raises the alarm.", sides
        )
        self._height = self._gauges(
            "margin_over_reactive", "Mean margin over the mean reactive one.", sides
        )
        self._high = self._gauges(
            "margins_high", "1 while margins lock capital without need.", sides
        )
        detectors = ["instrument", "detector"]
        self._drift = self._gauges(
            "drift_evidence", "Evidence of drift; 1 raises the alarm.", detectors
        )
        self._drift_alarm = self._gauges("drift_alarm", "1 while forecasts drift.", detectors)
        self._by_instrument = (
            *(self._margin, self._judged, self._breach_rate, self._expected, self._evidence),
            *(self._coverage_alarm, self._drift, self._drift_alarm),
            *(self._rare_evidence, self._height, self._high),
        )
        self._make_states()

    def _make_states(self) -> None:
        self._breaker = self._gauge("breaker_state", "0 closed, 1 half-open, 2 open.", ["breaker"])
        self._left_out = self._gauge(
            "records_left_out", "Records of observations that changed no margin.", []
        )
        self._firing = self._gauge("alerts_firing", "Alerts that fire.", ["severity"])
        self._evaluated = self._gauge(
            "evaluated_timestamp_seconds", "When alerts were last evaluated, Unix time.", []
        )
        self._build = self._gauge(
            "build_info", "What runs.", ["version", "python", "model", "bundle"]
        )

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"foremargin_{name}", text, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(f"foremargin_{name}", text, labels, registry=self.registry)

    def _gauges(self, name: str, text: str, labels: list[str]) -> Gauges:
        made = Gauges(f"foremargin_{name}", text, labels)
        self.registry.register(made)
        return made

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        return Gauge(f"foremargin_{name}", text, labels, registry=self.registry)


class _Requests(Collector):
    """Durations by route and status: a bisection on the fast path, a histogram when read.

    A histogram of the library takes a lock and walks its buckets at every observation, which is
    several times what a read of a margin may cost here.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], list[int]] = {}
        self._sums: dict[tuple[str, int], float] = {}
        self._routes: set[str] = set()

    def add(self, route: str, status: int, seconds: float) -> None:
        key = (route, status)
        counts = self._counts.get(key)
        if counts is None:
            key, counts = self._begin(route, status)
        counts[bisect_left(REQUEST_BUCKETS, seconds)] += 1
        self._sums[key] += seconds

    def answers(self) -> tuple[int, int]:
        totals = {key: sum(counts) for key, counts in self._counts.items()}
        return sum(totals.values()), sum(n for (_, status), n in totals.items() if status >= 500)

    def reads(self) -> tuple[int, int]:
        of_reads = [counts for (route, _), counts in self._counts.items() if route in READ_ROUTES]
        slow = REQUEST_BUCKETS.index(SLOW_READ_S) + 1
        return sum(map(sum, of_reads)), sum(sum(counts[slow:]) for counts in of_reads)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = HistogramMetricFamily(
            "foremargin_request_seconds", "Duration of answers.", labels=["route", "status"]
        )
        ends = [*map(floatToGoString, REQUEST_BUCKETS), "+Inf"]
        for (route, status), counts in sorted(list(self._counts.items())):
            upto = list(zip(ends, accumulate(counts), strict=True))
            family.add_metric([route, str(status)], upto, self._sums[route, status])
        return [family]

    def _begin(self, route: str, status: int) -> tuple[tuple[str, int], list[int]]:
        if len(self._routes) >= _MOST_ROUTES and route not in self._routes:
            route = "other"
        self._routes.add(route)
        key = (route, status)
        self._sums.setdefault(key, 0.0)
        return key, self._counts.setdefault(key, [0] * (len(REQUEST_BUCKETS) + 1))


class _Ages(Collector):
    """Ages and states of the last quotes, at the moment of reading."""

    def __init__(
        self,
        clock: Clock,
        quotes: Mapping[str, Quote],
        overdue: Callable[[], Mapping[str, float]],
    ) -> None:
        self._clock, self._quotes, self._overdue = clock, quotes, overdue

    def collect(self) -> Iterable[GaugeMetricFamily]:
        now = self._clock.now()
        age = GaugeMetricFamily(
            "foremargin_data_age_seconds",
            "Since the last moment of the market that a quote knows; +Inf if it knows none.",
            labels=["instrument"],
        )
        count = dict.fromkeys(Status, 0)
        for name, quote in list(self._quotes.items()):
            seconds = (now - quote.observed_at) / _SECOND_NS if quote.observed_at else float("inf")
            age.add_metric([name], seconds)
            count[quote.status] += 1
        states = GaugeMetricFamily(
            "foremargin_instruments", "Instruments by status of the last quote.", labels=["status"]
        )
        for status, number in count.items():
            states.add_metric([status.value], number)
        late = GaugeMetricFamily(
            "foremargin_data_overdue_seconds",
            "Age of data beyond the end of their period, at the last evaluation.",
            labels=["instrument"],
        )
        for name, seconds in self._overdue().items():
            late.add_metric([name], math.inf if math.isnan(seconds) else seconds)
        return [age, states, late]
