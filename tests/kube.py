"""kubectl and helm against the cluster of KUBECONFIG, for tests that install things there. Chosen on purpose by
SKERRY_REQUIRE=cluster (or kind): a kubeconfig that lies around is never installed into."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import require

_TIMEOUT_S = 60.0


def _available() -> bool:
    programs = all(shutil.which(program) for program in ("kubectl", "helm"))
    return bool(programs and os.environ.get("KUBECONFIG") and "cluster" in require.asked())


requires_cluster = require.requires(
    "cluster", _available, "`make test-cluster` with kubectl, helm and a KUBECONFIG of a cluster to install into"
)


class FailedError(AssertionError):
    """A command that should have worked did not."""


def run(*words: str, stdin: bytes | str = "", timeout_s: float = _TIMEOUT_S, check: bool = True) -> str:
    """Run a command; what it printed. Fails the test with all it said when it fails."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(words, input=given, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as exc:
        if not check:
            return ""
        raise FailedError(f"{' '.join(words)[:300]} took more than {timeout_s:.0f} s") from exc
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode:
        raise FailedError(f"{' '.join(words)[:300]} ended with {done.returncode}: {out[-3000:]}{err[-3000:]}")
    return out


def kubectl(*words: str, stdin: bytes | str = "", timeout_s: float = _TIMEOUT_S, check: bool = True) -> str:
    return run("kubectl", *words, stdin=stdin, timeout_s=timeout_s, check=check)


def helm(*words: str, stdin: str = "", timeout_s: float = 300.0) -> str:
    return run("helm", *words, stdin=stdin, timeout_s=timeout_s)


def get(*words: str) -> Any:
    """`kubectl get … -o json`."""
    return json.loads(kubectl("get", *words, "-o", "json"))


def items(*words: str) -> list[dict[str, Any]]:
    return list(get(*words)["items"])


def apply(*objects: Any) -> None:
    """Apply objects (dicts), on the server's side: large ones have no room in an annotation."""
    kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}),
    )


def execute(namespace: str, target: str, *command: str, stdin: bytes | str = "", timeout_s: float = _TIMEOUT_S) -> str:
    """`kubectl exec`; `target` is a pod or `deploy/name`."""
    interactive = ["-i"] if stdin else []
    return kubectl("-n", namespace, "exec", *interactive, target, "--", *command, stdin=stdin, timeout_s=timeout_s)


def wait_until(what: str, reached: Callable[[], Any], timeout_s: float, why: Callable[[], str] = lambda: "") -> Any:
    """Poll until `reached` says something true; that. An error of a command counts as not yet."""
    end, last = time.monotonic() + timeout_s, ""
    while True:
        try:
            if found := reached():
                return found
            last = ""
        except FailedError as exc:
            last = f" ({exc})"
        if time.monotonic() > end:
            raise FailedError(f"waited {timeout_s:.0f} s for {what}, in vain{last}: {why()}")
        time.sleep(0.25)


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    alive = "deletionTimestamp" not in pod["metadata"]
    return alive and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def state_of(namespaces: Sequence[str]) -> str:
    """What a person would look at first: pods that are not well, their last words, warnings."""
    parts = []
    for namespace in namespaces:
        parts.append(kubectl("-n", namespace, "get", "pods", "-o", "wide", check=False))
        for pod in items("-n", namespace, "pods"):
            if not is_ready(pod) and pod["status"].get("phase") != "Succeeded":
                name = pod["metadata"]["name"]
                said = kubectl("-n", namespace, "logs", name, "--tail=15", timeout_s=10, check=False)
                parts.append(f"--- {name}\n{said}")
        parts.append(kubectl("-n", namespace, "get", "events", "--field-selector=type=Warning", check=False)[-2500:])
    return "\n".join(parts)
