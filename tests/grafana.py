"""The Grafana dashboard and the alert rules of the chart, by what they ask Prometheus."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

FILES = Path(__file__).parent.parent / "helm" / "skerry" / "files"
_OF_HISTOGRAMS = re.compile(r"_(bucket|sum|count)$")


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FILES / "grafana.json").read_text())
    return found


def expressions() -> list[str]:
    """What the panels ask, with what Grafana would put in place of its variables."""
    given = {"$__rate_interval": "5m", "$namespace": ".*"}
    found = []
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            expr = target["expr"]
            for variable, value in given.items():
                expr = expr.replace(variable, value)
            found.append(expr)
    return found


def alert_expressions() -> list[str]:
    groups = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def families(expression: str) -> set[str]:
    """Names of the metrics that it asks for, as they are declared."""
    return {_OF_HISTOGRAMS.sub("", name) for name in re.findall(r"\bskerry_[a-z_]+", expression)}
