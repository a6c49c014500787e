"""Which rollouts and training runs people may ask for; what they may do with a rollout that is there is `acts`."""

from collections.abc import Mapping, Sequence

from skerry.core import digests, errors, rollout, specs
from skerry.core.intents.objects import Creation, Json, Known
from skerry.core.rollout.status import SUCCEEDED


def start(model: str, policy: Json, version: specs.ModelVersion, suffix: str) -> Creation:
    """Roll `version` out as EdgeModel.spec.rollout (`policy`) says."""
    if version.model != model:
        raise errors.RejectedError(f"{version.name} is a version of {version.model}, not of {model}")
    strategy = {key: value for key, value in policy.items() if key != "automatic"}
    return Creation("ModelRollout", f"{version.name}-{suffix}", {"model": model, "version": version.name, **strategy})


def rollback(
    model: str,
    stable: str,
    policy: Json,
    versions: Mapping[str, specs.ModelVersion],
    rollouts: Sequence[Known],
    suffix: str,
    *,
    to: str = "",
) -> Creation:
    """Make the older version `to` (empty: the one that was stable before) stable again, all nodes at once but for the
    permits, without analysis. `stable`: the present one; `versions`: the published ones by name."""
    if stable not in versions:
        raise errors.RejectedError(f"{model} has no stable version to go back from")
    now = versions[stable].version
    if to and to not in versions:
        raise errors.NotFoundError(f"{to} is no published version of {model}; there are {', '.join(sorted(versions))}")
    target = versions[to] if to else _before(model, stable, versions, rollouts)
    if target.version >= now:
        raise errors.RejectedError(
            f"{target.name} is not older than the stable {stable}: start a rollout of it instead"
        )
    spec = {
        "model": model,
        "version": target.name,
        "fleet": policy.get("fleet", "all"),
        "rollback": True,
        "waves": [
            {"name": "all", "size": "100%", "soakSeconds": 0, "minUpdatedPercent": 1, "maxFailures": "100%"},
        ],
        "analysis": {"required": False},
    }
    return Creation("ModelRollout", f"{target.name}-{suffix}", spec)


def roll_out_again(
    model: str,
    stable: str,
    policy: Json,
    version: str,
    versions: Mapping[str, specs.ModelVersion],
    rollouts: Sequence[Known],
    suffix: str,
) -> Creation:
    """`version` is there already and is asked for once more, by an import of the same file: back to it when it is older
    than the stable one, else another rollout of it. Arguments as of `rollback`."""
    if version == stable:
        raise errors.RejectedError(f"{version} is this very network, and the stable version of {model}: nothing to do")
    for known in rollouts:
        if known.spec.get("version") == version and not rollout.from_json(known.name, known.status).terminal:
            raise errors.RejectedError(f"{version} is this very network, and {known.name} rolls it out already")
    if version not in versions:
        raise errors.RejectedError(f"{version} is this very network, and it is not published: `skerry models` says why")
    if stable in versions and versions[version].version < versions[stable].version:
        return rollback(model, stable, policy, versions, rollouts, suffix, to=version)
    return start(model, policy, versions[version], suffix)


def retrain(
    model: str, spec: Json, runs: Sequence[tuple[str, Json, Json]], suffix: str, *, dataset: str, base: str, reason: str
) -> Creation:
    """A training run on `dataset` (empty: EdgeModel.spec.datasetDigest). `runs` are (name, spec, status) of all
    TrainingRuns; `base` names the version to start from (empty: none)."""
    parsed = specs.parse_edge_model(model, spec)
    if parsed.network is None:
        raise errors.RejectedError(f"EdgeModel {model} names no network: it is served and cannot be retrained")
    for name, run, status in runs:
        if run.get("model") == model and not _ended(status):
            raise errors.RejectedError(f"{name} already trains {model}: wait for its end, or delete it")
    chosen = dataset or parsed.dataset_digest
    if not chosen:
        raise errors.RejectedError(f"EdgeModel {model} has no dataset yet: import one with `skerry datasets import`")
    made = {
        "model": model,
        "datasetDigest": digests.check(chosen, "dataset"),
        "baseVersion": base,
        "reason": reason,
        "mode": "Standard",
    }
    # Written down now: what the model's owner changes while the run waits is for the next one.
    if template := (spec.get("retrain") or {}).get("template"):
        made["template"] = template
    return Creation("TrainingRun", f"{model}-{suffix}", made)


def _before(
    model: str, stable: str, versions: Mapping[str, specs.ModelVersion], rollouts: Sequence[Known]
) -> specs.ModelVersion:
    """The version whose rollout succeeded last before the stable one and is older than it."""
    found: list[tuple[int, specs.ModelVersion]] = []
    for known in rollouts:
        status, version = rollout.from_json(known.name, known.status), versions.get(str(known.spec.get("version")))
        if version is not None and status.state == SUCCEEDED and version.version < versions[stable].version:
            found.append((status.finished_ms, version))
    if not found:
        raise errors.RejectedError(
            f"no version of {model} older than {stable} has ever been stable: name one with --to"
        )
    return max(found, key=lambda one: one[0])[1]


def _ended(status: Json) -> bool:
    return any(
        one.get("type") == "Succeeded" and one.get("status") in ("True", "False")
        for one in status.get("conditions", ())
    )
