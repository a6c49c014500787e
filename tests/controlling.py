"""A controller with everything it talks to, in memory but for the model repository, which is real files; agents and a
trainer that do what they should unless a test says otherwise; and death at any write.

`World.effects` counts every write that outlives a process: objects, blobs, repository files, jobs. `die_before = n`
kills the controller in front of the nth; `restart` is the next one. `deaths` is a world for every write, as it was when
the controller died before it.
"""

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controlled_agent import work
from controlled_model import MODEL, candidate, edge_model
from counted_writes import Counted, Killed

from skerry.adapters import blobs as blob_store
from skerry.adapters import files
from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.events.memory import MemoryEvents
from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.objects.protocol import Object
from skerry.adapters.trust import ceremony, keys, repository
from skerry.controller import condition_json, publish, reconcile, runs
from skerry.controller.jobs.memory import MemoryJobs
from skerry.controller.jobs.protocol import State
from skerry.controller.store import Store
from skerry.controller.view import View
from skerry.core import comparisons, contract, datasets, digests, evidence_counters, specs, truth_delay, writers
from skerry.core.tasks import Classification, Task

T0_MS = 1_790_000_000_000


class World:
    """`task` is the model's, `described` what manifests of trained versions have other than the digits'."""

    task: Task = Classification(tuple("0123456789"))

    def __init__(self, tmp: Path, nodes: int = 2, objects: Any = None, now_ms: int = T0_MS) -> None:
        self.tmp, self.now_ms, self.effects, self.die_before = tmp, now_ms, 0, 0
        self.ticks_left = 0  # of the present `run`
        self.before_effect: Callable[[], None] = lambda: None
        self.wall_step_ms = 0  # how wrong the controller's wall clock is
        self.objects, self.blobs, self.fleetstate = objects or MemoryObjects(), MemoryBlobs(), MemoryFleetState()
        self.events = MemoryEvents()
        self.jobs, self.board = MemoryJobs(), Board()
        self.nodes = [f"edge-{number + 1}" for number in range(nodes)]
        self.bad: set[str] = set()  # digests that answer worse
        self.refusing: set[str] = set()  # digests that refuse every request
        self.trainer: Callable[[str], None] = self.train
        self.described: Mapping[str, Any] = {}
        ceremony.ensure(DirectoryBlobs(tmp / "repository"), tmp / "keys", now=self.now)
        self.dataset = self.store_dataset(captured=0)
        self.objects.create("EdgeModel", MODEL, edge_model(self.dataset), manager=writers.OPERATOR)
        self.objects.create("EdgeFleet", "all", {}, manager=writers.OPERATOR)
        for node in self.nodes:
            self.objects.create("EdgeNode", node, {}, manager=writers.GATEWAY)
            self.objects.patch("EdgeNode", node, manager=writers.GATEWAY, status={"lastSeenUnixMs": now_ms})
        self.restart()

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ms / 1000, UTC)

    def copy(self, tmp: Path) -> "World":
        """Another world in the same state."""
        made = World.__new__(World)
        made.__dict__.update(self.__dict__)
        made.tmp, made.effects, made.die_before = tmp, 0, 0
        made.nodes, made.bad, made.refusing = list(self.nodes), set(self.bad), set(self.refusing)
        shutil.copytree(self.tmp / "repository", tmp / "repository")
        shutil.copytree(self.tmp / "keys", tmp / "keys")
        made.objects, made.board = MemoryObjects(), Board(None, self.board.epoch)
        made.objects._changes = copy.deepcopy(self.objects._changes)
        made.objects._version = self.objects._version
        made.blobs, made.jobs = copy.deepcopy(self.blobs), copy.deepcopy(self.jobs)
        made.fleetstate = copy.deepcopy(self.fleetstate)
        made.trainer, made.before_effect = made.train, lambda: None
        made.restart()
        return made

    # ---- the controller

    def restart(self) -> None:
        """A new process takes the lease."""
        self.board.holder = None
        self.lease = MemoryLease(self.board)
        self.epoch = self.lease.acquire("test") or 0
        self.reconciler = self.controller(self.lease)

    def controller(self, lease: MemoryLease) -> reconcile.Reconciler:
        objects: Any = Counted(self.objects, self._effect, ("create", "patch", "delete"))
        store = Store(objects, lease, self.events, View(objects))
        blobs: Any = Counted(self.blobs, self._effect, ("write", "delete"))
        jobs: Any = Counted(self.jobs, self._effect, ("start", "stop"))
        signing = repository.Repository(
            DirectoryBlobs(self.tmp / "repository"), keys.load(self.tmp / "keys" / "online")
        )
        publisher = publish.Publisher(store, blobs, signing)
        driven = runs.Runs(store, jobs, blobs, publisher, 1)
        return reconcile.Reconciler(store, driven, publisher, signing, self.fleetstate, blobs, writers=1)

    def tick(self) -> None:
        with self._files_counted():
            self.reconciler.tick(self.epoch, self.now_ms + self.wall_step_ms, self.now_ms)

    def run(self, ticks: int) -> None:
        """Time passes: a second a tick; agents and jobs do their part."""
        for self.ticks_left in reversed(range(ticks)):
            self.now_ms += 1000
            try:
                self.tick()
            except Killed:
                self.die_before = 0
                self.restart()
            self.others()

    def others(self) -> None:
        """What happens in a second beside the controller."""
        self.agents()
        for name in self.jobs.names():
            if self.jobs.poll(name).state is State.RUNNING:
                self.trainer(name)

    def deaths(self, scenario: Callable[["World"], None], tmp: Path) -> Iterator["World"]:
        """Play the scenario, in a copy; a world for each of its writes, in which the controller died before it and the
        next one leads. What was to happen in that second beside it has not happened yet (`others`, `ticks_left`)."""
        whole, copies = self.copy(tmp / "whole"), []
        whole.before_effect = lambda: copies.append(whole.copy(tmp / f"{len(copies) + 1}"))
        scenario(whole)
        yield from copies

    def _effect(self) -> None:
        self.before_effect()
        self.effects += 1
        if self.effects == self.die_before:
            raise Killed

    @contextmanager
    def _files_counted(self) -> Iterator[None]:
        real = files.write

        def write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
            self._effect()
            real(path, data, mode=mode)

        files.write = write  # the one door through which the repository writes
        try:
            yield
        finally:
            files.write = real

    # ---- the rest of the system

    def agents(self) -> None:
        """Every node stages what it is assigned, asks, swaps when it may, says what it serves; answers are labelled.
        Beside that it keeps no version whose golden set holds an erased row."""
        held = [one for erasure in self.objects.list("Erasure") for one in erasure.status.get("goldenSets", [])]
        gone = {one["digest"] for one in held}
        for name in self.nodes:
            node = self.objects.get("EdgeNode", name)
            old = {one["model"]: one for one in node.status.get("models", [])}
            reports = [work(one, old.get(one["model"], {}), self.now_ms) for one in node.spec.get("assignments", [])]
            for report in reports:
                if report.get("lastKnownGood") in gone:
                    report["lastKnownGood"] = ""
            status = {"connected": True, "lastSeenUnixMs": self.now_ms, "models": reports}
            self.objects.patch("EdgeNode", name, manager=writers.GATEWAY, status=status)
            for report in reports:
                if report["digest"]:
                    self.answer(name, report["digest"], 200)

    def answer(self, node: str, digest: str, n: int) -> None:
        bad = n * 3 // 10 if digest in self.bad else n // 100
        self._count(contract.Counted.ANSWERS, node, digest, n, bad, truth_delay.of(self.task))
        refused = 20 if digest in self.refusing else 0
        self._count(contract.Counted.REQUESTS, node, digest, 20, refused, truth_delay.AT_ONCE)

    def _count(
        self, kind: contract.Counted, node: str, digest: str, n: int, bad: int, delay: truth_delay.TruthDelay
    ) -> None:
        rollouts = [(one.spec, one.status) for one in self.objects.list("ModelRollout")]
        since = comparisons.by_model(rollouts).get(MODEL, frozenset())
        amounts, latest = {node: n, contract.bad_field(node): bad}, {contract.newest_field("test"): self.now_ms}
        for counter in evidence_counters.counters_of(kind, MODEL, digest, self.now_ms, since, delay):
            self.fleetstate.add(counter.key, amounts, ttl_s=1000, latest=latest)

    def train(self, run: str) -> None:
        """A job that proposes a version of its own and ends well."""
        self.propose(run)
        self.jobs.end(run, 0, b'{"event": "done"}\n')

    def propose(self, run: str, outcome: str = "Pass", edit: Callable[[dict[str, Any]], None] = lambda _: None) -> str:
        """Store what a trainer proposes; returns its digest."""
        dataset = self.objects.get("TrainingRun", run).spec["datasetDigest"]
        contents, made = candidate(run, dataset, **self.described)
        for data in contents.values():
            blob_store.put(self.blobs, data)
        verdict = {"outcome": outcome, "reason": f"the gates said {outcome}", "gates": []}
        body = {"digest": made.digest, "manifest": made.digest, "files": {}, "verdict": verdict, "report": {}}
        edit(body)
        self.blobs.write(f"proposals/{run}.json", json.dumps(body).encode())
        return made.digest

    def store_dataset(self, captured: int, over_budget: int = 0) -> str:
        part = datasets.Part("train", "captured", digests.sha256(b"part"), captured, (captured, *[0] * 9))
        made = datasets.DatasetManifest(
            MODEL,
            self.task,
            datasets.Input("image", "UINT8", (28, 28)),
            (part,) if captured else (),
            dropped={datasets.OVER_BUDGET: over_budget} if over_budget else {},
        ).to_json()
        self.blobs.write(f"datasets/{MODEL}/{digests.hex_of(digests.sha256(made))}", made)
        return digests.sha256(made)

    def ask_run(self, name: str, **spec: Any) -> None:
        made = {"model": MODEL, "datasetDigest": self.dataset, "reason": "by hand", **spec}
        self.objects.create("TrainingRun", name, made, manager=writers.OPERATOR)

    def import_version(
        self, number: int, name: str = "", described: Mapping[str, Any] | None = None, **changes: Any
    ) -> str:
        """As `skerry models import`: sign with the publisher's key, create the ModelVersion. Returns its name.
        `described`: fields of the manifest that are other than the model's."""
        contents, made = candidate(f"import-{number}", "", **(described or {}))
        signer = repository.Repository(
            DirectoryBlobs(self.tmp / "repository"), keys.load(self.tmp / "keys" / "publisher")
        )
        path = signer.add_version("imported", MODEL, number, made.digest, contents, now=self.now)
        spec = {
            "model": MODEL,
            "version": number,
            "digest": made.digest,
            "targetPath": path,
            "source": "Imported",
            "sizeBytes": sum(map(len, contents.values())),
            "runtime": made.runtime.fields(),
        }
        name = name or f"{MODEL}-v{number}"
        self.objects.create("ModelVersion", name, spec | changes, manager=writers.OPERATOR)
        return name

    # ---- looking

    def get(self, kind: str, name: str) -> Object:
        return self.objects.get(kind, name)

    def edit_model(self, **spec: Any) -> None:
        self.objects.patch("EdgeModel", MODEL, manager=writers.OPERATOR, spec=spec)

    def replace_model(self, **spec: Any) -> None:
        """An EdgeModel of the same name and standing, for what cannot be edited: its task."""
        before = self.get("EdgeModel", MODEL)
        self.objects.delete("EdgeModel", MODEL)
        kept = {key: value for key, value in (before.spec | spec).items() if value is not None}
        self.objects.create("EdgeModel", MODEL, kept, manager=writers.OPERATOR)
        self.objects.patch("EdgeModel", MODEL, manager=writers.CONTROLLER, status=before.status)

    @property
    def stable(self) -> str:
        return str(self.get("EdgeModel", MODEL).status.get("stableVersion", ""))

    def serving(self) -> dict[str, int]:
        """Version per node, as the nodes report it."""
        reports = {name: self.get("EdgeNode", name).status.get("models", []) for name in self.nodes}
        return {name: one[0]["version"] if one else 0 for name, one in reports.items()}

    def phase(self, name: str) -> str:
        return str(self.get("ModelRollout", name).status.get("phase"))

    def condition(self, kind: str, name: str, of: str) -> tuple[str, str]:
        """(status, reason)"""
        found = [one for one in self.get(kind, name).status.get("conditions", []) if one["type"] == of]
        return (found[0]["status"], found[0]["reason"]) if found else ("", "")

    def available(self) -> list[str]:
        return [
            one.name for one in self.objects.list("ModelVersion") if condition_json.is_true(one.status, "Available")
        ]


def parsed_nodes(world: World) -> list[specs.EdgeNode]:
    return [specs.parse_node(one.name, one.spec, one.status) for one in world.objects.list("EdgeNode")]
