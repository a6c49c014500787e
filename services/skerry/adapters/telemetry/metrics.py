"""Counters, gauges and histograms in the Prometheus text format, without a client library: it would cost a node several
megabytes and more time per request than the metric itself.

Labels are bounded: a family that has `MAX_SERIES` label sets counts further ones under `other`. For one thread.
(https://prometheus.io/docs/instrumenting/exposition_formats/)
"""

import bisect
import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence

MAX_SERIES = 256
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)

Labels = tuple[str, ...]


class Counter:
    """`add(("digits", "3"))`: label values in the order of the family's label names."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels = (), amount: float = 1.0) -> None:
        key = labels if labels in self._values else _bounded(labels, self._values)
        self._values[key] = self._values.get(key, 0.0) + amount

    def value(self, labels: Labels = ()) -> float:
        return self._values.get(labels, 0.0)

    def lines(self) -> Iterator[str]:
        for labels, value in self._values.items():
            yield f"{self.name}{_labels(self.labels, labels)} {_number(value)}"


class Gauge:
    """Read when asked: `read()` gives the value of each label set. `kind` is `counter` for what only rises."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        read: Callable[[], Mapping[Labels, float]],
        kind: str = "gauge",
    ) -> None:
        self.name, self.text, self.labels, self._read, self.kind = name, text, tuple(labels), read, kind

    def lines(self) -> Iterator[str]:
        for labels, value in list(self._read().items())[:MAX_SERIES]:
            yield f"{self.name}{_labels(self.labels, labels)} {_number(value)}"


class Series:
    """One label set of a histogram: code that observes often keeps it."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value


class Histogram:
    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self.name, self.text, self.labels, self._bounds = name, text, tuple(labels), tuple(bounds)
        self._series: dict[Labels, Series] = {}

    def series(self, labels: Labels) -> Series:
        series = self._series.get(labels)
        if series is None:
            series = self._series.setdefault(_bounded(labels, self._series), Series(self._bounds))
        return series

    def observe(self, labels: Labels, value: float) -> None:
        self.series(labels).observe(value)

    def count(self, labels: Labels = ()) -> int:
        series = self._series.get(labels)
        return 0 if series is None else sum(series.counts)

    def lines(self) -> Iterator[str]:
        names = (*self.labels, "le")
        for labels, series in self._series.items():
            total = 0
            for bound, count in zip((*map(_number, self._bounds), "+Inf"), series.counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_labels(names, (*labels, bound))} {total}"
            yield f"{self.name}_sum{_labels(self.labels, labels)} {_number(series.total)}"
            yield f"{self.name}_count{_labels(self.labels, labels)} {total}"


class Metrics:
    """The families of one process. Making one twice gives the same. `service`: whose they are, as `skerry_build_info`
    says with the release; empty: it is not said."""

    def __init__(self, service: str = "") -> None:
        self._families: dict[str, Counter | Gauge | Histogram] = {}
        self._refreshes: list[Callable[[], None]] = []
        if service:
            build = (service, release(), platform.python_version())
            labels = ("service", "version", "python")
            self.gauge("skerry_build_info", "Always 1: which release this process runs.", labels, lambda: {build: 1.0})

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        family = self._families.setdefault(name, Counter(name, text, labels))
        assert isinstance(family, Counter)
        return family

    def histogram(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float] = SECONDS) -> Histogram:
        family = self._families.setdefault(name, Histogram(name, text, labels, bounds))
        assert isinstance(family, Histogram)
        return family

    def gauge(self, name: str, text: str, labels: Sequence[str], read: Callable[[], Mapping[Labels, float]]) -> None:
        self._families[name] = Gauge(name, text, labels, read)

    def total(self, name: str, text: str, labels: Sequence[str], read: Callable[[], Mapping[Labels, float]]) -> None:
        """A counter that somebody else keeps: read when asked."""
        self._families[name] = Gauge(name, text, labels, read, "counter")

    def before_render(self, refresh: Callable[[], None]) -> None:
        """Called once each time that all is read: for what several gauges tell of."""
        self._refreshes.append(refresh)

    def render(self) -> bytes:
        for refresh in self._refreshes:
            refresh()
        lines: list[str] = []
        for family in self._families.values():
            lines += (f"# HELP {family.name} {family.text}", f"# TYPE {family.name} {family.kind}", *family.lines())
        return ("\n".join(lines) + "\n").encode()


def release() -> str:
    """The version of the installed package; empty when it is not installed."""
    try:
        return importlib.metadata.version("skerry")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _bounded(labels: Labels, seen: Mapping[Labels, float | Series]) -> Labels:
    return labels if labels in seen or len(seen) < MAX_SERIES else ("other",) * len(labels)


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)) + "}"


def _escaped(value: str) -> str:
    return value[:200].replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
