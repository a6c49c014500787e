"""A small fleet in an object store, as its services leave it behind, and a reader of the page as browsers see it."""

import html.parser
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.objects import Objects
from skerry.core import conditions, errors

NOW_MS = 1_800_000_000_000
STABLE, NEXT = "sha256:" + "a" * 64, "sha256:" + "b" * 64
HOSTILE = '"><img src=x onerror="document.title=\'taken\'"><script>document.title="taken"</script>'
MODEL: dict[str, Any] = {
    "task": "Classification",
    "classNames": ["zero", "one"],
    "network": {"factory": "skerry.nets.cnn:small", "options": {}},
    "input": {"name": "image", "datatype": "UINT8", "shape": [28, 28]},
    "preprocessing": [],
    "datasetDigest": "sha256:" + "f" * 64,
}
VERDICT = {
    "outcome": "Fail",
    "reason": "imported-per-class: class one is worse",
    "gates": [
        {"name": "imported-finite", "outcome": "Pass", "reason": "all answers are finite", "numbers": {}},
        {"name": "imported-per-class", "outcome": "Fail", "reason": "class one is worse", "numbers": {}},
    ],
}
COMPARED = {
    "result": "Inconclusive",
    "code": "TooFewSamples",
    "reason": "canary has 143 of 200 answers",
    "canary": {"n": 143, "bad": 11},
    "baseline": {"n": 288, "bad": 31},
    "bounds": {"canary": [31_000, 158_000], "baseline": [66_000, 167_000]},
    "final": False,
}


class NoRedis(MemoryFleetState):
    """Redis that does not answer."""

    def get(self, *groups: str) -> Mapping[str, str]:
        raise errors.UnavailableError("Redis did not answer: connection refused")


def fill(store: Objects, now_ms: int = NOW_MS, told: str = "the golden answers differ") -> None:
    """Two versions of one model, the second at its canary; `told` is what others say freely: reasons and messages."""
    store.create("EdgeFleet", "all", {}, manager="operator")
    store.create("EdgeModel", "digits", MODEL, manager="operator")
    store.patch("EdgeModel", "digits", manager="controller", status={"stableVersion": "digits-v1"})
    for number, digest in ((1, STABLE), (2, NEXT)):
        version(store, number, digest, now_ms)
    node(store, "edge-a", now_ms, connected=True, loaded=(2, NEXT), targetState="Serving")
    node(store, "edge-b", now_ms, connected=True, loaded=(1, STABLE), targetState="Refused", reason=told)
    node(store, "edge-c", now_ms - 12_000, connected=False, loaded=(1, STABLE))
    node(store, "edge-d", now_ms - 400_000, connected=True, loaded=(1, STABLE))
    store.create("EdgeNode", "edge-e", {"labels": {}}, manager="gateway")
    rollout(store, "digits-v2-k2", now_ms, told)
    run(store, "digits-run-1", now_ms, told)


def version(store: Objects, number: int, digest: str, now_ms: int) -> None:
    name = f"digits-v{number}"
    spec = {"model": "digits", "version": number, "digest": digest, "targetPath": f"retrained/digits/{number}"}
    store.create("ModelVersion", name, spec | {"sizeBytes": 61_440, "verdict": VERDICT}, manager="controller")
    status = {"conditions": told_by(now_ms, ("Available", "True", "Published", ""))}
    store.patch("ModelVersion", name, manager="controller", status=status)


def node(store: Objects, name: str, seen_ms: int, *, connected: bool, loaded: tuple[int, str], **report: str) -> None:
    number, digest = loaded
    models = [{"model": "digits", "version": number, "digest": digest, "targetDigest": NEXT, **report}]
    store.create("EdgeNode", name, {"labels": {}}, manager="gateway")
    status = {"connected": connected, "lastSeenUnixMs": seen_ms, "models": models}
    store.patch("EdgeNode", name, manager="gateway", status=status)


def rollout(store: Objects, name: str, now_ms: int, told: str) -> None:
    spec = {"model": "digits", "version": "digits-v2", "fleet": "all"}
    store.create("ModelRollout", name, spec, manager="controller")
    waves = [
        {
            "name": "canary",
            "nodes": ["edge-a"],
            "counts": {"updated": 1},
            "startedUnixMs": now_ms - 30_000,
            "soakStartedUnixMs": now_ms - 10_000,
            "verdict": COMPARED,
        },
        {"name": "rest", "nodes": ["edge-b", "edge-c", "edge-d"], "counts": {"failed": 1, "deferred": 1, "pending": 1}},
    ]
    status = {
        "attempt": 1,
        "state": "Progressing",
        "wave": 0,
        "waves": waves,
        "deferred": ["edge-d"],
        "failed": [{"node": "edge-b", "reason": told}],
        "conditions": told_by(now_ms, ("Progressing", "True", "Soaking", f"the canary soaks; {told}")),
    }
    store.patch("ModelRollout", name, manager="controller", status=status)


def run(store: Objects, name: str, now_ms: int, told: str) -> None:
    spec = {"model": "digits", "datasetDigest": MODEL["datasetDigest"], "baseVersion": "digits-v1", "mode": "Standard"}
    store.create("TrainingRun", name, spec | {"reason": told}, manager="controller")
    status = {
        "startedUnixMs": now_ms - 90_000,
        "finishedUnixMs": now_ms - 50_000,
        "result": {"digest": NEXT, "verdict": VERDICT},
        "conditions": told_by(now_ms, ("Succeeded", "False", "GatesFailed", told)),
    }
    store.patch("TrainingRun", name, manager="controller", status=status)


def told_by(now_ms: int, *found: tuple[str, str, str, str]) -> list[dict[str, str]]:
    made: conditions.Conditions = ()
    for kind, status, reason, message in found:
        made = conditions.put(made, kind, status, reason, message, now_ms=now_ms)
    return conditions.to_json(made)


def measure(live: MemoryFleetState) -> None:
    """What the gateway and the curator keep in Redis of edge-a and of the model."""
    reading = {"requests": 200, "offloaded": 31, "degraded": 2, "failed": 0, "p50Ms": 2.5, "p99Ms": 19.75}
    counts = [0] * 18 + [50, 150]
    live.put("node:edge-a:digits", json.dumps(reading | {"confidenceCounts": counts}), ttl_s=60)
    spool = {"pending": 12, "pendingBytes": 9000, "captured": 40, "dropped": 3, "uploaded": 25}
    live.put("spool:edge-a", json.dumps(spool), ttl_s=60)
    live.put("curator:digits", json.dumps({"labeled": 812, "truths": 99}), ttl_s=60)


@dataclass
class Page(html.parser.HTMLParser):
    """Tags with their attributes, the rows of all tables as texts, and all text outside scripts."""

    source: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._in_cell = False
        self.feed(self.source)
        self.close()
        self.text = " ".join(self.text.split())
        self.rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._in_cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data + " "
        if self._in_cell:
            self.rows[-1][-1] += data + " "

    def row(self, head: str) -> list[str]:
        """The first row whose first cell begins with `head`."""
        return next(row for row in self.rows if row and row[0].startswith(head))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
