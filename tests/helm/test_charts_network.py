"""Who reaches whom: every pod of the charts, strangers, DNS, the API server and the world, at every port that anybody
has, as one golden matrix; and a policy whose deletion changes nothing is one too many."""

import copy
import functools
import os
from pathlib import Path

import charts
import pytest
from network_matrix import matrix, world

pytestmark = charts.requires_helm

GOLDEN = Path(__file__).parent / "network.golden"
UPDATE = "SKERRY_UPDATE_SNAPSHOTS"
SETS = ["cloud", "cloud-s3", "cloud-own-redis", "cloud-own-everything", "cloud-all-options", "edge-site", "edge-joined", "edge-joined-all-options"]  # noqa: E501  # fmt: skip


@functools.cache
def _policies(name: str) -> list[charts.Manifest]:
    """Not to be changed."""
    return [one for one in charts.manifests(name) if one["kind"] == "NetworkPolicy"]


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    return {name: matrix(_policies(name), world(name)) for name in SETS}


def test_who_reaches_whom_is_what_is_written_down(found: dict[str, list[str]]) -> None:
    """SKERRY_UPDATE_SNAPSHOTS=1 writes it anew."""
    text = "\n".join(f"# {name}\n" + "\n".join(lines) + "\n" for name, lines in found.items())
    if os.environ.get(UPDATE):
        GOLDEN.write_text(text)
    assert GOLDEN.read_text() == text


MUTANTS = [(name, policy["metadata"]["name"]) for name in SETS for policy in _policies(name)]


@pytest.mark.parametrize(("name", "policy"), MUTANTS, ids=[" without ".join(pair) for pair in MUTANTS])
def test_every_policy_matters(found: dict[str, list[str]], name: str, policy: str) -> None:
    left = [one for one in _policies(name) if one["metadata"]["name"] != policy]
    assert matrix(left, world(name)) != found[name]


RULES = [
    (name, one["metadata"]["name"], key, number)
    for name in SETS
    for one in _policies(name)
    for key in ("ingress", "egress")
    for number in range(len(one["spec"].get(key) or []))
]


@pytest.mark.parametrize(("name", "policy", "key", "number"), RULES, ids=[f"{n} {p} {k} {i}" for n, p, k, i in RULES])
def test_every_rule_of_a_policy_matters(
    found: dict[str, list[str]], name: str, policy: str, key: str, number: int
) -> None:
    left = copy.deepcopy(_policies(name))
    for one in left:
        if one["metadata"]["name"] == policy:
            one["spec"][key] = [rule for at, rule in enumerate(one["spec"][key]) if at != number]
    assert matrix(left, world(name)) != found[name]


@pytest.mark.parametrize("name", SETS)
def test_nobody_reaches_further_than_he_must(found: dict[str, list[str]], name: str) -> None:
    """What holds whatever the golden file says."""
    flows = {tuple(line.split(" ")[:3:2]): line.split(" ")[3:] for line in found[name]}
    own = {one.name for one in world(name) if one.namespace == charts.namespace(name)} - {"stranger-beside"}
    for stranger in ("stranger", "stranger-beside", "stranger-in-training"):
        reached = {who for (source, who) in flows if source == stranger and who in own}
        assert reached <= {"gateway", "teacher", "agent"}, f"{stranger} reaches {reached}"
    for source, destination in flows:
        if destination == "valkey":
            assert source in {"gateway", "controller", "curator", "dashboard", "toolbox"}
        if source in {"agent", "teacher", "valkey", "job", "worker", "test"}:
            assert (source, "api-server") not in flows or "6443" not in flows[source, "api-server"]
        if source in {"job", "worker"}:
            assert destination in {"gateway", "teacher", "dns", "job", "worker"} or name == "cloud-own-everything"
        if destination == "agent":
            assert "8002" not in flows[source, destination] or source == "scraper"
