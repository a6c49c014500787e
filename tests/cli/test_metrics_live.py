"""Every process of `skerry up` serves metrics, and promtool finds nothing wrong with any page."""

import json
import re
import urllib.request
from collections.abc import Iterator

import grafana
import promtool
import pytest

from skerry.cli import system_file
from skerry.cli.system import fleet
from skerry.cli.system.layout import Layout
from skerry.cli.system.supervisor import System

pytestmark = pytest.mark.long
PARTS = {"agent", "controller", "curator", "dashboard", "gateway", "teacher"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """What is scraped of a live system, by part."""
    root = tmp_path_factory.mktemp("up")
    with System(Layout.found(root), ["edge-1"]) as system:
        system.start()
        system_file.write(root, fleet.describe(system))
        with urllib.request.urlopen(f"http://127.0.0.1:{system.ports.dashboard}/", timeout=30) as page:
            page.read()
        told = json.loads((root / "system.json").read_text())["metrics"]
        yield {name: _scraped(at) for name, at in told.items()}


def _scraped(at: str) -> bytes:
    with urllib.request.urlopen(f"http://{at}/metrics", timeout=30) as answer:
        return bytes(answer.read())


def test_every_process_serves_metrics_and_says_what_it_is(pages: dict[str, bytes]) -> None:
    assert set(pages) == {"edge-1"} | PARTS - {"agent"}
    for name, page in pages.items():
        service = "agent" if name == "edge-1" else name
        assert f'skerry_build_info{{service="{service}",version="' in page.decode()


@promtool.requires_promtool
def test_promtool_finds_nothing_wrong(pages: dict[str, bytes]) -> None:
    assert {name: found for name, page in pages.items() if (found := promtool.complaints(page))} == {}


def test_every_metric_that_the_dashboard_of_grafana_and_the_alerts_ask_for_is_there(pages: dict[str, bytes]) -> None:
    told = {name for page in pages.values() for name in re.findall(r"^# TYPE (\S+) ", page.decode(), re.MULTILINE)}
    asked = {name for one in (*grafana.expressions(), *grafana.alert_expressions()) for name in grafana.families(one)}
    assert len(asked) > 30
    assert asked - told == set()
