"""Every object of every value set before a real API server: taken as it is, restricted, and with exactly the rights
that are written down."""

import os
from pathlib import Path

import charts
import pytest
from apiserver_process import ApiServer, requires_apiserver

pytestmark = [charts.requires_helm, requires_apiserver]

GOLDEN = Path(__file__).parent / "rbac.golden"
UPDATE = "SKERRY_UPDATE_SNAPSHOTS"
PRIVILEGED_ONLY = {"edge-joined", "edge-joined-hostport", "edge-joined-all-options"}


def _namespace(cluster: ApiServer, name: str, profile: str = "restricted") -> None:
    cluster.kubectl("create", "namespace", name, check=False)
    labels = (f"pod-security.kubernetes.io/{mode}={profile}" for mode in ("enforce", "warn"))
    cluster.kubectl("label", "--overwrite", "namespace", name, *labels)


@pytest.mark.parametrize("name", list(charts.SETS))
def test_the_api_server_takes_every_object_and_has_nothing_to_warn_of(cluster: ApiServer, name: str) -> None:
    profile = "privileged" if name in PRIVILEGED_ONLY else "restricted"
    _namespace(cluster, charts.namespace(name), profile)
    for training in ("skerry-training", "jobs"):
        cluster.kubectl("create", "namespace", training, check=False)
    said = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=charts.text(name))
    # The training namespace of another set is already there, made by hand.
    warnings = [line for line in said.splitlines() if "Warning" in line and "last-applied" not in line]
    assert warnings == []
    assert said.count("server dry run") == len(charts.manifests(name))


@pytest.mark.parametrize("name", sorted(PRIVILEGED_ONLY))
def test_the_joined_agent_is_refused_by_the_restricted_profile_for_its_folder_alone(
    cluster: ApiServer, name: str
) -> None:
    """What the profile objects to is the hostPath, and what the values asked for beyond it."""
    _namespace(cluster, "edge-restricted")
    agent = next(one for one in charts.manifests(name) if one["kind"] == "DaemonSet")
    agent["metadata"]["namespace"] = "edge-restricted"
    said = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=charts.yaml.safe_dump(agent))
    warning = next(line for line in said.splitlines() if "would violate PodSecurity" in line)
    objections = {part.split(" (")[0] for part in warning.split(": ", 2)[2].split("), ")}
    expected = {"restricted volume types"}
    if name == "edge-joined-hostport":
        expected |= {"hostPort", "unrestricted capabilities", "runAsNonRoot != true", "runAsUser=0"}
    assert objections <= expected | {"hostPath volumes"}
    assert expected <= objections


def _rights(cluster: ApiServer, namespace: str, account: str) -> list[str]:
    told = cluster.kubectl("auth", "can-i", "--list", "-n", namespace, f"--as=system:serviceaccount:{account}")
    return sorted(" ".join(line.split()) for line in told.splitlines()[1:])


def test_each_account_may_do_what_is_written_down_and_nothing_else(cluster: ApiServer) -> None:
    """`kubectl auth can-i --list`, less what every account of the cluster may. SKERRY_UPDATE_SNAPSHOTS=1 writes it."""
    for namespace in ("skerry", "skerry-training", "edge"):
        cluster.kubectl("create", "namespace", namespace, check=False)
    kinds = ("ServiceAccount", "Role", "RoleBinding")
    objects = [one for name in ("cloud", "edge-site") for one in charts.manifests(name) if one["kind"] in kinds]
    cluster.kubectl("apply", "-f", "-", stdin=charts.yaml.safe_dump_all(objects))
    lines = []
    for one in sorted(objects, key=lambda one: str(one["metadata"])):
        if one["kind"] != "ServiceAccount":
            continue
        account = f"{one['metadata']['namespace']}:{one['metadata']['name']}"
        for namespace in ("skerry", "skerry-training", "edge", "default"):
            everyones = _rights(cluster, namespace, "default:nobody")
            rights = [line for line in _rights(cluster, namespace, account) if line not in everyones]
            if rights or namespace == one["metadata"]["namespace"]:
                lines += [f"{account} in {namespace}", *(f"  {line}" for line in rights or ["nothing"]), ""]
    found = "\n".join(lines)
    if os.environ.get(UPDATE):
        GOLDEN.write_text(found)
    assert GOLDEN.read_text() == found
    who = ""
    for line in lines:
        who = who if line.startswith(" ") else line
        assert not line.startswith("  secrets") or who.startswith("skerry:skerry-secrets in skerry"), line


@pytest.mark.parametrize(
    ("role", "verb", "resource", "allowed"),
    [
        ("view", "watch", "modelrollouts.skerry.dev", True),
        ("view", "patch", "modelrollouts.skerry.dev", False),
        ("view", "get", "jointokens.skerry.dev", False),
        ("edit", "patch", "modelrollouts.skerry.dev", True),
        ("edit", "create", "jointokens.skerry.dev", True),
        ("edit", "patch", "status of modelrollouts.skerry.dev", False),
        ("skerry-view", "list", "edgenodes.skerry.dev", True),
        ("skerry-view", "get", "pods", False),
    ],
)
def test_people_see_and_steer_by_the_roles_of_kubernetes(
    cluster: ApiServer, role: str, verb: str, resource: str, allowed: bool
) -> None:
    """The controller-manager that adds up aggregated roles does not run here: its selector is applied by hand."""
    names = ["skerry-view", "skerry-edit"] if role in ("edit", "skerry-edit") else ["skerry-view"]
    for name in names:
        binding = f"{role}-{name}"
        cluster.kubectl("create", "clusterrolebinding", binding, f"--clusterrole={name}", f"--user={role}", check=False)
    if role in ("view", "edit"):
        selector = f"rbac.authorization.k8s.io/aggregate-to-{role}=true"
        found = cluster.kubectl(
            "get", "clusterrole", "-l", f"{selector},app.kubernetes.io/part-of=skerry", "-o", "name"
        )
        assert sorted(line.split("/")[1] for line in found.split()) == sorted(names)
    subresource, _, resource = resource.rpartition(" of ")
    asked = ["auth", "can-i", verb, resource, f"--subresource={subresource}", f"--as={role}", "-n", "default"]
    said = cluster.kubectl(*asked, check=False)
    assert said.splitlines()[-1].strip() == ("yes" if allowed else "no")
