"""Metrics are valid Prometheus text with bounded labels; only well-formed trace headers go on."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from skerry.adapters.telemetry import metrics, tracing


def test_prometheus_reads_what_is_rendered() -> None:
    made = metrics.Metrics()
    counter = made.counter("skerry_requests_total", "Requests.", ("model", "outcome"))
    counter.add(('a"b\\c\nd', "ok"))
    counter.add(('a"b\\c\nd', "ok"), 2)
    histogram = made.histogram("skerry_run_seconds", "Runs.", ("model",), (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(("m",), value)
    made.gauge("skerry_depth", "Depth.", (), lambda: {(): 3.5})
    families = {one.name: one for one in text_string_to_metric_families(made.render().decode())}
    (sample,) = families["skerry_requests"].samples
    assert (sample.labels, sample.value) == ({"model": 'a"b\\c\nd', "outcome": "ok"}, 3.0)
    buckets = {one.labels.get("le"): one.value for one in families["skerry_run_seconds"].samples if "le" in one.labels}
    assert buckets == {"0.1": 2.0, "1": 3.0, "+Inf": 4.0}
    values = {one.name: one.value for one in families["skerry_run_seconds"].samples if "le" not in one.labels}
    assert values == {"skerry_run_seconds_sum": 7.65, "skerry_run_seconds_count": 4.0}
    assert families["skerry_depth"].samples[0].value == 3.5


def test_labels_are_bounded() -> None:
    made = metrics.Metrics()
    counter = made.counter("c", "C.", ("model",))
    for at in range(10_000):
        counter.add((str(at),))
    samples = [line for line in made.render().decode().splitlines() if not line.startswith("#")]
    assert len(samples) == metrics.MAX_SERIES + 1
    assert counter.value(("other",)) == 10_000 - metrics.MAX_SERIES


def test_a_family_is_made_once() -> None:
    made = metrics.Metrics()
    made.counter("c", "C.").add()
    made.counter("c", "C.").add()
    assert made.counter("c", "C.").value() == 2


GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({"traceparent": GOOD, "tracestate": "a=b"}, (GOOD, "a=b")),
        ({"traceparent": GOOD}, (GOOD, "")),
        ({"tracestate": "a=b"}, ("", "")),
        ({"traceparent": GOOD.upper()}, ("", "")),
        ({"traceparent": GOOD + "\r\nx: y"}, ("", "")),
        ({"traceparent": "ff" + GOOD[2:]}, ("", "")),
        ({"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}, ("", "")),
        ({"traceparent": f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"}, ("", "")),
        ({"traceparent": b"x"}, ("", "")),
        ({"traceparent": GOOD, "tracestate": "x" * 600}, (GOOD, "")),
    ],
    ids=[
        "both",
        "without a state",
        "a state alone",
        "upper case",
        "with a line break",
        "a forbidden version",
        "a trace id of zeros",
        "a span id of zeros",
        "bytes",
        "a state too long",
    ],
)
def test_only_a_well_formed_trace_goes_on(metadata: dict[str, str | bytes], found: tuple[str, str]) -> None:
    assert tracing.incoming(metadata) == found
