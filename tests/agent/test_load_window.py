"""Truths of many models beside one another, and readings that are read once for all that is told of them."""

import pytest

from skerry.adapters.telemetry import metrics as telemetry
from skerry.agent import metrics
from skerry.agent.sync import load_window
from skerry.core import contract
from skerry.core.residuals import Residual
from skerry.proto import fleet_pb2


def served(models: int) -> load_window.LoadWindow:
    load = load_window.LoadWindow(lambda: 0.0)
    for number in range(models):
        load.answered(f"m{number}", "d", [0.5], 0.01, offloaded=False, degraded=False)
    return load


@pytest.mark.parametrize(("models", "least"), [(1, contract.MAX_READING_TRUTHS), (40, 390), (256, 60)])
def test_models_do_not_evict_each_others_truths_and_all_together_are_bounded(models: int, least: int) -> None:
    load = served(models)
    for _ in range(min(contract.MAX_READING_TRUTHS + 10, 24_000 // models)):
        for number in range(models):
            load.settled(f"m{number}", "d", Residual(float(number), 1.0))
    readings = load.read()
    assert min(reading.truths for reading in readings) >= least
    assert sum(reading.truths for reading in readings) <= 16_000
    assert [reading.absolute_error for reading in readings] == list(range(models))


class Load:
    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> list[fleet_pb2.Reading]:
        self.reads += 1
        return [fleet_pb2.Reading(model="m", digest="d", requests=9, truths=4, absolute_error=1.5, coverage=0.75)]

    def routed(self) -> dict[str, tuple[tuple[str, int], ...]]:
        return {"m": (("local", 5), ("offloaded", 4))}


def test_one_page_of_metrics_reads_the_load_once() -> None:
    load, families = Load(), telemetry.Metrics()
    metrics.register_routes(families, load)  # type: ignore[arg-type]  # a fake has what is used
    metrics.register_load(families, load)  # type: ignore[arg-type]  # a fake has what is used
    for _ in range(2):
        page = families.render().decode()
    assert load.reads == 2
    for line in (
        'skerry_routed_requests_total{model="m",route="local"} 5',
        'skerry_routed_requests_total{model="m",route="offloaded"} 4',
        'skerry_forecast_truths{model="m",digest="d"} 4',
        'skerry_forecast_error{model="m",digest="d"} 1.5',
        'skerry_forecast_coverage{model="m",digest="d"} 0.75',
    ):
        assert line in page.splitlines()


def test_each_request_is_counted_once_by_what_became_of_it_and_for_ever() -> None:
    now = [0.0]
    load = load_window.LoadWindow(lambda: now[0])
    for offloaded, degraded in ((False, False), (True, False), (False, True), (False, False)):
        load.answered("m", "d", [0.5], 0.01, offloaded=offloaded, degraded=degraded)
    load.failed("m", "d")
    load.refused("m", "e")
    now[0] += 3600
    load.read()
    assert dict(load.routed()["m"]) == {"local": 2, "offloaded": 1, "degraded": 1, "failed": 1, "refused": 1}
