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
SETS = ["cloud", "cloud-s3", "cloud-scaled", "cloud-own-redis", "cloud-own-everything", "cloud-all-options", "edge-site", "edge-joined", "edge-joined-all-options"]  # noqa: E501  # fmt: skip


@functools.cache
def _policies(name: str) -> list[charts.Manifest]:
    """Not to be changed."""
    return [one for one in charts.manifests(name) if one["kind"] == "NetworkPolicy"]


def _same(found: dict[str, list[str]], name: str, *, without: charts.Manifest) -> bool:
    left = [policy for policy in _policies(name) if policy is not without]
    return matrix(left, world(name)) == found[name]


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    return {name: matrix(_policies(name), world(name)) for name in SETS}


def test_who_reaches_whom_is_what_is_written_down(found: dict[str, list[str]]) -> None:
    """SKERRY_UPDATE_SNAPSHOTS=1 writes it anew."""
    text = "\n".join(f"# {name}\n" + "\n".join(lines) + "\n" for name, lines in found.items())
    if os.environ.get(UPDATE):
        GOLDEN.write_text(text)
    assert GOLDEN.read_text() == text


@pytest.mark.parametrize("name", SETS)
def test_every_policy_matters(found: dict[str, list[str]], name: str) -> None:
    policies = _policies(name)
    assert policies
    needless = [policy["metadata"]["name"] for policy in policies if _same(found, name, without=policy)]
    assert not needless, "without them the same pods reach each other"


@pytest.mark.parametrize("name", SETS)
def test_every_rule_of_a_policy_matters(found: dict[str, list[str]], name: str) -> None:
    needless = []
    for at, policy in enumerate(_policies(name)):
        for direction in ("ingress", "egress"):
            for number in range(len(policy["spec"].get(direction) or [])):
                mutants = copy.deepcopy(_policies(name))
                del mutants[at]["spec"][direction][number]
                if matrix(mutants, world(name)) == found[name]:
                    needless.append(f"{policy['metadata']['name']} {direction} {number}")
    assert not needless, "without them the same pods reach each other"


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
            assert source in {"gateway", "controller", "curator", "dashboard", "toolbox", "keda"}
        if source in {"agent", "teacher", "valkey", "job", "worker", "test"}:
            assert (source, "api-server") not in flows or "6443" not in flows[source, "api-server"]
        if source in {"job", "worker"}:
            assert destination in {"gateway", "teacher", "dns", "job", "worker"} or name == "cloud-own-everything"
        if destination == "agent":
            assert "8002" not in flows[source, destination] or source == "scraper"
