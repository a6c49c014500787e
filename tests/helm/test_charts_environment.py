"""The environment that the charts give each service is one that its settings read: no name is misspelt or missing."""

from collections.abc import Callable, Mapping
from typing import Any

import charts
import pytest
from pydantic_settings import BaseSettings

from skerry.agent import settings as agent
from skerry.controller import settings as controller
from skerry.curator import settings as curator
from skerry.dashboard import settings as dashboard
from skerry.gateway import settings as gateway
from skerry.teacher import settings as teacher

pytestmark = charts.requires_helm

MODELS: Mapping[str, type[BaseSettings]] = {
    "gateway": gateway.Settings,
    "controller": controller.Settings,
    "curator": curator.Settings,
    "dashboard": dashboard.Settings,
}
READERS: Mapping[str, Callable[[Mapping[str, str]], Any]] = {"teacher": teacher.read, "agent": agent.read}


def _environments(name: str) -> dict[str, dict[str, str]]:
    """By component; what a Secret or the node fills in is a word."""
    found: dict[str, dict[str, str]] = {}
    for one in charts.manifests(name):
        for labels, pod in charts.pod_specs(one):
            given = {each["name"]: each.get("value", "filled-in") for each in pod["containers"][0].get("env", [])}
            found[labels["app.kubernetes.io/component"]] = given
    return found


class Watching(dict[str, str]):
    """Remembers what was asked for."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize("name", list(charts.SETS))
def test_every_service_reads_what_it_is_given(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for component, given in _environments(name).items():
        ours = {key: value for key, value in given.items() if key.startswith("SKERRY_")}
        if component in MODELS:
            model = MODELS[component]
            known = {f"SKERRY_{field.upper()}" for field in model.model_fields}
            with monkeypatch.context() as patch:
                for key, value in ours.items():
                    patch.setenv(key, value)
                model()
        elif component in READERS:
            watching = Watching(ours)
            READERS[component](watching)
            known = watching.asked
        else:
            continue
        assert ours.keys() <= known, f"{component} reads no {sorted(ours.keys() - known)}"
