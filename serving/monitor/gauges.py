"""Gauges of thousands of instruments: a number each, and not an object with a lock."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class Gauges(Collector):
    """Values by an instrument and something of it; set by one thread, read by any.

    A gauge of the library takes 600 bytes for every combination of labels.

    Parameters
    ----------
    name, text : str
        Of the metric.
    labels : sequence of str
        ``instrument``, and what the other label is called.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._values: dict[tuple[str, str], float] = {}

    def set(self, labels: tuple[str, str], value: float) -> None:
        """Show a value."""
        self._values[labels] = float(value)

    def forget(self, instrument: str) -> None:
        """Drop what is shown of an instrument."""
        for labels in [one for one in self._values if one[0] == instrument]:
            del self._values[labels]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the metric as it is now."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in list(self._values.items()):
            family.add_metric(labels, value)
        yield family
