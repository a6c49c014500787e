"""What happens in the demo, read from the custom resources: what changed between two snapshots, as sentences.

Only what the objects say is reported; no log is parsed and no process is asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skerry.adapters.objects.protocol import Object, Objects

KINDS = ("EdgeModel", "ModelVersion", "EdgeNode", "ModelRollout", "TrainingRun")


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` is one of: training, version, rollout, verdict, node, refused, fault, phase."""

    at_s: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every object at one moment, by kind and name."""

    objects: Mapping[str, Mapping[str, Object]] = field(default_factory=lambda: {kind: {} for kind in KINDS})

    def of(self, kind: str) -> Mapping[str, Object]:
        return self.objects[kind]


def take_snapshot(objects: Objects) -> Snapshot:
    """Read all objects once."""
    return Snapshot({kind: {thing.name: thing for thing in objects.list(kind)} for kind in KINDS})


def condition(thing: Object | None, kind: str) -> Mapping[str, Any]:
    """The condition of that type, or an empty one."""
    conditions = thing.status.get("conditions", []) if thing else []
    return next((entry for entry in conditions if entry["type"] == kind), {})


def loaded(node: Object, model: str) -> tuple[str, int]:
    """Digest and version that a node reports as loaded; empty and 0 when it reports none."""
    for report in node.status.get("models", []):
        if report["model"] == model:
            return report.get("digest", ""), int(report.get("version", 0))
    return "", 0


def changes(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, str]]:
    """(kind, text) of every change between two snapshots that people want to know."""
    for kind, describe in (
        ("TrainingRun", _training),
        ("ModelVersion", _version),
        ("ModelRollout", _rollout),
        ("EdgeNode", _node),
    ):
        for name, now in after.of(kind).items():
            yield from describe(before.of(kind).get(name), now)


def _training(before: Object | None, now: Object) -> Iterator[tuple[str, str]]:
    if before is None:
        yield "training", f"training run {now.name} asked for: {now.spec.get('reason', 'by hand')}"
    if condition(before, "Running").get("status") != "True" and condition(now, "Running").get("status") == "True":
        yield "training", f"{now.name} trains on {short(now.spec.get('datasetDigest', ''))}"
    was, done = condition(before, "Succeeded"), condition(now, "Succeeded")
    if was.get("status") != done.get("status") and done.get("status") in ("True", "False"):
        outcome = "passed its gates" if done["status"] == "True" else f"ended: {done.get('reason')}"
        yield "training", f"{now.name} {outcome}: {done.get('message', '')}".rstrip(": ")


def _version(before: Object | None, now: Object) -> Iterator[tuple[str, str]]:
    if condition(before, "Available").get("status") != "True" and condition(now, "Available").get("status") == "True":
        size = now.spec.get("sizeBytes", 0) / 1024
        yield "version", f"{now.name} is signed and published: {short(now.spec['digest'])}, {size:.0f} KiB"


def _rollout(before: Object | None, now: Object) -> Iterator[tuple[str, str]]:
    was: Mapping[str, Any] = before.status if before else {}
    if before is None:
        yield "rollout", f"rollout {now.name} of {now.spec['version']} begins"
    waves, old_waves = now.status.get("waves", []), was.get("waves", [])
    for index, wave in enumerate(waves):
        old = old_waves[index] if index < len(old_waves) else {}
        if wave.get("startedUnixMs") and not old.get("startedUnixMs"):
            yield "rollout", f"wave {wave['name']}: {', '.join(wave.get('nodes', [])) or wave.get('size', 0)}"
        if (verdict := wave.get("verdict")) and verdict.get("result") != (old.get("verdict") or {}).get("result"):
            yield "verdict", f"wave {wave['name']}: {verdict['result']} — {verdict.get('reason', '')}"
    if now.status.get("pauseReasons", []) != was.get("pauseReasons", []) and now.status.get("pauseReasons"):
        yield "rollout", f"{now.name} is paused: {', '.join(map(str, now.status['pauseReasons']))}"
    if deferred := sorted(set(now.status.get("deferred", [])) - set(was.get("deferred", []))):
        yield "rollout", f"deferred, because offline: {', '.join(deferred)}"
    if now.status.get("phase") != was.get("phase") and now.status.get("phase") not in (None, "", "Pending"):
        yield "rollout", f"{now.name}: {now.status['phase']}"


def _node(before: Object | None, now: Object) -> Iterator[tuple[str, str]]:
    if before is None:
        yield "node", f"{now.name} enrolled"
    elif before.status.get("connected") != now.status.get("connected"):
        yield "node", f"{now.name} is {'back' if now.status.get('connected') else 'gone'}"
    reports = {report["model"]: report for report in (before.status.get("models", []) if before else [])}
    for report in now.status.get("models", []):
        old = reports.get(report["model"], {})
        if report.get("digest") and report["digest"] != old.get("digest"):
            yield "node", f"{now.name} serves {report['model']} v{report.get('version')} ({short(report['digest'])})"
        state = report.get("targetState")
        if state in ("Refused", "SwapFailed", "Incompatible") and (state, report.get("targetDigest")) != (
            old.get("targetState"),
            old.get("targetDigest"),
        ):
            yield "refused", f"{now.name} refuses {short(report.get('targetDigest', ''))}: {report.get('reason', '')}"


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:8]


def nodes_on(seen: Snapshot, model: str) -> dict[str, tuple[str, int]]:
    """Per node the (digest, version) that it reports as loaded."""
    return {name: loaded(node, model) for name, node in sorted(seen.of("EdgeNode").items())}


def newest(things: Mapping[str, Object]) -> Sequence[Object]:
    """Oldest first."""
    return sorted(things.values(), key=lambda thing: (thing.created_unix_ms, thing.resource_version, thing.name))
