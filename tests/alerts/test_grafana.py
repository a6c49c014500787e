"""The Grafana dashboard of the chart is JSON that Grafana can place, and promtool parses each of its expressions; that
every metric it asks for exists is held against a live system (tests/cli/test_metrics_live.py)."""

import json
from pathlib import Path

import charts
import grafana
import promtool
import yaml


def test_every_panel_has_a_place_of_its_own_and_asks_for_something() -> None:
    panels = grafana.dashboard()["panels"]
    assert len({one["id"] for one in panels}) == len(panels)
    assert len({(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels}) == len(panels)
    assert all(one["title"] and one["targets"] for one in panels)


@promtool.requires_promtool
def test_promtool_parses_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(grafana.expressions())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool.run("check", "rules", tmp_path / "rules.yaml")
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert f"{len(rules)} rules found" in done.stdout.decode()


@charts.requires_helm
def test_the_chart_renders_it_where_it_is_asked_for() -> None:
    (found,) = (one for one in charts.manifests("cloud-all-options") if one["metadata"]["name"] == "skerry-grafana")
    assert json.loads(found["data"]["skerry.json"]) == grafana.dashboard()
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert not [one for one in charts.manifests("cloud") if "grafana" in one["metadata"]["name"]]
