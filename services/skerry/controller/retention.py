"""Which old versions may go: all but the newest few and those that anything still runs, keeps or is moving to or from.

The history (the ModelVersion object with its verdict) stays; its files leave the repository, so it can no longer be
rolled out. What the publisher imported is his to withdraw.
"""

from collections.abc import Sequence
from datetime import datetime

from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.adapters.trust import repository as trust
from skerry.controller import condition_json
from skerry.controller.store import Store
from skerry.core import errors, specs

log = logs.logger("controller")

RETIRED = "Retired"
ERASED = "Erased"  # its golden set held what was erased


def surplus(versions: Sequence[Object], in_use: set[str], keep: int) -> list[Object]:
    """Available trained versions of one model beyond the newest `keep` available ones and not in use (by name or
    digest)."""
    available = [version for version in versions if condition_json.is_true(version.status, "Available")]
    available.sort(key=lambda version: int(version.spec["version"]), reverse=True)
    return [
        version
        for version in available[keep:]
        if version.spec["source"] == "Trained" and version.name not in in_use and version.spec["digest"] not in in_use
    ]


def in_use(store: Store) -> set[str]:
    """Names and digests of versions that something holds on to. Raises InputError for a node that cannot be read: what
    it runs is not known, so nothing may go."""
    used = {str(model.status.get("stableVersion")) for model in store.list("EdgeModel")}
    for thing in store.list("EdgeNode"):
        node = store.nodes.of(thing)
        used |= {one.digest for one in node.assignments}
        for report in node.reports:
            used |= {report.digest, report.target_digest, report.last_known_good}
    for rollout in store.list("ModelRollout"):
        if not condition_json.is_terminal(rollout.status):
            used |= {str(rollout.spec.get("version")), str(rollout.status.get("stableVersion"))}
    return used


def retire(store: Store, repository: trust.Repository, *, now_ms: int, now: datetime) -> None:
    """Mark the surplus first, then take what is marked out of the repository: a crash in between is made good later."""
    models, versions = store.list("EdgeModel"), store.list("ModelVersion")
    try:
        used = in_use(store)
    except errors.InputError:
        return  # told of where nodes are read
    for model in models:
        try:
            keep = specs.parse_edge_model(model.name, model.spec).retention
        except errors.InputError:
            continue  # told of where the model is used
        for version in surplus(
            [version for version in versions if version.spec.get("model") == model.name], used, keep
        ):
            message = f"older than the newest {keep} versions and in use nowhere; its files are gone"
            store.put_status(
                version, condition_json.with_condition(version.status, "Available", "False", RETIRED, message, now_ms)
            )
            log.info("version_retired", name=version.name, model=model.name)
    retired = {
        str(version.spec["targetPath"])
        for version in store.list("ModelVersion")
        if any(condition_json.has(version.status, "Available", "False", why) for why in (RETIRED, ERASED))
        and version.spec.get("source") == "Trained"
    }
    if listed := retired & repository.listed("retrained"):
        repository.retire(listed, now=now)
    repository.publish(now=now)
