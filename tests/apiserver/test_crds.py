"""The schemas: they take what core takes, refuse what core refuses, and fill in its defaults."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import custom_resources
import pytest
import require
import yaml
from apiserver_process import ApiServer, requires_apiserver
from custom_resources import Json
from schemas import KINDS, made, parsed, tried

from skerry.adapters import kubernetes
from skerry.adapters.kubernetes import Api
from skerry.adapters.objects import resources
from skerry.core import specs
from skerry.core.specs import strategy

pytestmark = requires_apiserver


@pytest.fixture(scope="module")
def api(server: ApiServer) -> Iterator[Api]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(server.kubeconfig))
        made = kubernetes.connect(f"kubernetes://{server.namespace()}")
    yield made
    made.close()


def test_every_kind_has_a_schema() -> None:
    assert set(KINDS) == set(resources.PLURALS)
    for kind, crd in custom_resources.crds().items():
        names = crd["spec"]["names"]
        assert (crd["spec"]["group"], names["plural"]) == (resources.GROUP, resources.PLURALS[kind])
        assert names["categories"] == ["skerry"]
        assert len(names["shortNames"][0]) == 2
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize("document", custom_resources.documents(custom_resources.EXAMPLES), ids=lambda one: one["kind"])
def test_every_example_is_taken_by_the_api_server_and_by_core(api: Api, document: Json) -> None:
    kind, spec = document["kind"], document["spec"]
    assert tried(api, kind, spec) == ""
    assert parsed(kind, spec) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_of_a_kind_name_every_field(kind: str) -> None:
    """What is not in an example is not tried by the tests below, and not shown to anybody."""
    for path, _ in custom_resources.leaves(custom_resources.schema(kind)):
        if path[0] == "overrides":
            continue  # fields of EdgeModel.spec.retrain
        assert any(_names(spec, path) for spec in custom_resources.examples(kind)), f"{kind}: {path}"


def _names(spec: Any, path: tuple[str | int, ...]) -> bool:
    try:
        for step in path:
            spec = spec[step]
    except (KeyError, IndexError):
        return False
    return True


def _bounds(one: Json) -> Iterator[object]:
    """Values at the edges of a field, and of other types."""
    if one.get("type") == "integer":
        yield from (one[edge] + step for edge in ("minimum", "maximum") if edge in one for step in (-1, 0, 1))
        yield from ("1", 1.5, True)
    elif one.get("type") == "boolean":
        yield from (True, False, "true", 1)
    elif one.get("type") == "string":
        yield from one.get("enum", ())
        yield from ("", "Bogus", 7)
        if "maxLength" in one:
            yield from ("a" * one["maxLength"], "a" * (one["maxLength"] + 1))
    elif one.get("x-kubernetes-int-or-string"):
        yield from (-1, 0, 1, "0", "1", "-1", "0%", "1%", "100%", "101%", "050%", "1.5", "many", "", True)
    elif one.get("type") == "array":
        yield from (5, "x")
        yield [] if "minItems" in one else [{}]
    elif one.get("type") == "object":
        yield from (5, "x", [])


# Where core is stricter than a schema can be, or says so later: (field, value) as written there.
_ONLY_CORE = {
    "factory": "a name of a function",
    "key": "and operator belong together",
    "operator": "and key belong together",
    "value": "has no meaning with Exists",
    "effect": "and tolerationSeconds belong together",
    "tolerationSeconds": "and effect belong together",
    "queue": "is a DNS label",
    "name": "has no slash, and may be empty where it is an input's",
    "preprocessing": "is checked step by step",
    "classNames": "differ",
    "op": "and the fields of the step belong together",
    "datatype": "is one that redaction takes",
    "targetColumn": "is in a row of the input",
    "seen": "is JSON",
    "before": "is JSON",
    "after": "is JSON",
}


@pytest.mark.parametrize("kind", KINDS)
def test_schema_and_core_agree_at_every_bound(api: Api, kind: str) -> None:
    """What one refuses and the other takes would be an object that is there and does nothing."""
    differ, compared = [], 0
    for path, one in custom_resources.leaves(custom_resources.schema(kind)):
        for value in _bounds(one):
            spec = custom_resources.with_field(kind, path, value)
            if spec is None:
                continue
            compared += 1
            said, thought = tried(api, kind, spec), parsed(kind, spec)
            excused = path[-1] in _ONLY_CORE and not said
            if bool(said) != bool(thought) and not excused:
                differ.append(f"{path} = {value!r}: API server: {said or 'welcome'}; core: {thought or 'welcome'}")
    assert not differ, "\n".join(differ)
    assert compared > 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_is_required_is_required_by_both(api: Api, kind: str) -> None:
    for base in custom_resources.examples(kind):
        for field in custom_resources.schema(kind)["properties"]:
            spec = {key: value for key, value in base.items() if key != field}
            assert bool(tried(api, kind, spec)) == bool(parsed(kind, spec)), field


@pytest.mark.parametrize("kind", KINDS)
def test_a_typo_is_caught_at_every_level(api: Api, kind: str) -> None:
    parents = {path[:-1] for path, _ in custom_resources.leaves(custom_resources.schema(kind))}
    for parent in parents - {("preprocessing", 0), ("privacy", "redact", 0)}:  # each step's own fields: core knows them
        spec = custom_resources.with_field(kind, (*parent, "maxUnavailble"), 1)
        if spec is not None:
            assert 'unknown field "spec' in tried(api, kind, spec), parent
            assert "maxUnavailble is not a known field" in parsed(kind, spec), parent


def test_kubectl_prunes_a_typo_only_when_it_is_told_to_be_lax(server: ApiServer, namespace: str) -> None:
    text = json.dumps(made("EdgeFleet", {"maxUnavailble": 3}))
    said = server.kubectl("apply", "-n", namespace, "-f", "-", stdin=text, check=False)
    assert 'unknown field "spec.maxUnavailble"' in said
    server.kubectl("apply", "-n", namespace, "--validate=ignore", "-f", "-", stdin=text)
    spec = json.loads(server.kubectl("get", "-n", namespace, "ef", "x", "-o", "json"))["spec"]
    assert spec == {"maxUnavailable": 1, "offlineAfterSeconds": 15}


@pytest.mark.parametrize("kind", KINDS)
def test_a_default_of_the_schema_is_the_default_of_core(kind: str) -> None:
    for path, one in custom_resources.leaves(custom_resources.schema(kind)):
        if "default" not in one:
            continue
        given = custom_resources.with_field(kind, path, one["default"])
        absent = custom_resources.with_field(kind, path, None)
        assert given is not None
        assert absent is not None
        parse = custom_resources.PARSERS[kind]
        a, b = parse("x", given), parse("x", absent)
        if isinstance(a, specs.ModelRollout) and isinstance(b, specs.ModelRollout):
            assert a.fingerprint == b.fingerprint, f"{path}: its default would begin another attempt of old rollouts"
        assert a == b, path


def test_defaults_of_a_rollout_are_of_what_people_do_while_it_runs() -> None:
    """A default beside the waves would change the fingerprint of rollouts that are under way."""
    fields = dict(custom_resources.leaves(custom_resources.schema("ModelRollout")))
    assert {path[0] for path, one in fields.items() if "default" in one} <= strategy.LIVE


def test_defaults_are_filled_in(server: ApiServer, api: Api) -> None:
    fleet = api.create(resources.path(api.namespace, "EdgeFleet"), made("EdgeFleet", {}, "d"), {"dryRun": "All"})
    assert fleet["spec"] == {"maxUnavailable": 1, "offlineAfterSeconds": 15}
    rollout = made("ModelRollout", {"model": "m", "version": "m-v1"}, "d")
    found = api.create(resources.path(api.namespace, "ModelRollout"), rollout, {"dryRun": "All"})
    assert found["spec"] == {"model": "m", "version": "m-v1", "paused": False, "desired": "Proceed"}


requires_helm = require.requires("helm", shutil.which("helm") is not None, "there is no helm on the PATH")


@requires_helm
def test_the_chart_carries_the_very_same_definitions_and_keeps_them() -> None:
    chart = custom_resources.ROOT / "helm" / "skerry-crds"
    done = subprocess.run(["helm", "template", "crds", str(chart)], capture_output=True, text=True, check=True)
    everything = [one for one in yaml.safe_load_all(done.stdout) if one]  # the roles for people stand beside them
    rendered = [one for one in everything if one["kind"] == "CustomResourceDefinition"]
    assert sorted(rendered, key=_name) == sorted(custom_resources.documents(custom_resources.CRDS), key=_name)


def _name(crd: Json) -> str:
    return str(crd["metadata"]["name"])
