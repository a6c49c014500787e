"""What the curator's tests share: a small model, captured examples of it, a teacher that can be away, and a world."""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.events.memory import MemoryEvents
from skerry.adapters.fleetstate.memory import MemoryFleetState
from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.streams.memory import MemoryStreams
from skerry.core import contract, dataset_parts, datasets, digests, errors, evidence_counters, truth_delay, untold
from skerry.core.tasks import Classification, Task
from skerry.curator import telling
from skerry.curator.catalogue import Catalogue
from skerry.curator.evidence import EvidenceCounts
from skerry.curator.example_store import ExampleStore
from skerry.curator.field_bounds import FieldBounds
from skerry.curator.in_hand import InHand
from skerry.curator.label_task import LabelTask
from skerry.curator.labeling import Labeling
from skerry.curator.labeling_loop import LabelingLoop
from skerry.curator.model_state import ModelState
from skerry.curator.publisher_lease import PublisherLease
from skerry.curator.restoring import Restoring
from skerry.curator.scanning import Scanning
from skerry.curator.schedule import Schedule
from skerry.curator.set_aside import SetAsideStore
from skerry.curator.setting_aside import SettingAside
from skerry.curator.settings import Settings
from skerry.curator.teacher import Answer, NoTeacherError, TeacherError
from skerry.curator.work_stream import WorkStream
from skerry.proto import fleet_pb2

_T = TypeVar("_T")
Count = tuple[int, int]
VERSION = "sha256:" + "ab" * 32
INPUT = datasets.Input("image", "UINT8", (2, 2))
TASK = LabelTask("digits", Classification(("zero", "one", "two")), INPUT)
SPEC: dict[str, Any] = {
    "classNames": ["zero", "one", "two"],
    "input": {"name": "image", "datatype": "UINT8", "shape": [2, 2]},
}


def example(seed: int, **fields: Any) -> bytes:
    """A captured example whose first pixel tells the class (modulo 3) and which no other seed has."""
    pixels = np.array([seed % 3, *divmod(seed, 256), 7], dtype=np.uint8)
    made = fleet_pb2.Example(
        model="digits",
        node="north",
        request_id=f"r{seed}",
        digest=VERSION,
        kind=fleet_pb2.HARD,
        inputs=[fleet_pb2.CapturedTensor(name="image", datatype="UINT8", shape=[1, 2, 2], raw=pixels.tobytes())],
        local_logits=[3.0, 1.0, 0.0],
        answered_unix_ms=1_000_000 + seed,
    )
    made.MergeFrom(fleet_pb2.Example(**fields))
    return bytes(made.SerializeToString(deterministic=True))


def truth(data: bytes, label: int) -> bytes:
    made = fleet_pb2.Truth(model="digits", node="north", example_id=digests.sha256(data), request_id="r", label=label)
    return bytes(made.SerializeToString(deterministic=True))


def counted(world: "World", model: str, digest: str, node: str, at_ms: int, task: Task = TASK.answers) -> list[Count]:
    """(answers, bad ones) of then, in each bucket of time that holds them."""
    delay = truth_delay.of(task)
    buckets = evidence_counters.counters_of(contract.Counted.ANSWERS, model, digest, at_ms, (), delay)
    found = world.fleetstate.count([bucket.key for bucket in buckets])
    return [(fields.get(node, 0), fields.get(contract.bad_field(node), 0)) for fields in found]


class FakeTeacher:
    """Knows the class by the first pixel. `away` and `refuses` (a first pixel) make it fail."""

    def __init__(self) -> None:
        self.away = False
        self.models = {"digits"}
        self.refuses: int | None = None
        self.infinite: int | None = None
        self.probabilities = False
        self.asked = 0

    async def ask(self, task: LabelTask, rows: NDArray[Any]) -> Answer:
        if self.away:
            raise TeacherError("teacher did not answer in 1 s")
        if task.model not in self.models:
            raise NoTeacherError(f"the teacher has no model {task.model}")
        classes = rows.reshape(len(rows), -1)[:, 0].astype(int)
        if self.refuses in classes:
            raise errors.InputError("input has a colour that this teacher does not take")
        self.asked += len(rows)
        logits = np.eye(3)[classes % 3] * 4.0
        if self.probabilities:
            logits = np.full((len(rows), 3), 0.01) + np.eye(3)[classes % 3] * 0.97
        if self.infinite is not None:
            logits[classes == self.infinite] = np.inf
        return Answer(logits, "teacher digits 1")


class Clock:
    """Seconds that move only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def unix_ms(self) -> int:
        return int(self.now_s * 1000)


class Death(BaseException):
    """Raised by a fake: the curator's process is killed here, and none of its code runs any more."""


def settings(**changes: Any) -> Settings:
    given = {"objects": "x", "blobs": "x", "redis_url": "x", "teacher": "x", "batch_rows": 4} | changes
    return Settings(**given)


@dataclass
class World:
    """Storage and servers that outlive a curator, and a curator on them. `restart` makes a new one."""

    blobs: Any = field(default_factory=MemoryBlobs)
    streams: Any = field(default_factory=MemoryStreams)
    fleetstate: Any = field(default_factory=MemoryFleetState)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    teacher: FakeTeacher = field(default_factory=FakeTeacher)
    clock: Clock = field(default_factory=Clock)
    settings: Settings = field(default_factory=settings)
    name: str = f"c{os.getpid()}"
    has_ended: Callable[[str], bool] = lambda curator: False
    lives: int = 0
    board: Board = field(default_factory=Board)
    is_second: bool = False  # beside another, on its storage and servers
    events: MemoryEvents = field(default_factory=MemoryEvents)
    _lease: MemoryLease | None = None

    def __post_init__(self) -> None:
        if self.is_second:
            self.restart()
            return
        self.objects.create("EdgeModel", "digits", SPEC, manager="operator")
        self.restart()

    def restart(self) -> None:
        models: dict[str, ModelState] = {}
        if self._lease is not None:
            self._lease.release()
        self._lease = MemoryLease(self.board)
        self.lives += 1
        self.is_dead = False
        name, stale_s = f"{self.name}-{self.lives}", self.settings.stale_s
        evidence, store = EvidenceCounts(self.fleetstate, name), ExampleStore(self.blobs)
        in_hand = InHand(self.blobs, name, self.clock, stale_s, self.has_ended)
        tell = telling.events_of_models(self.objects, self.events)
        self.setting_aside = SettingAside(models, in_hand, SetAsideStore(self.blobs), self.clock.unix_ms, tell)
        bounds = FieldBounds(self.blobs, self.objects, self.clock)
        self.labeling = Labeling(
            models, store, evidence, bounds, self.setting_aside, self.clock.unix_ms, self.settings.temperature
        )
        restoring = Restoring(self.blobs, Catalogue(self.blobs, self.clock.unix_ms))
        scanning = Scanning(self.labeling, store, self.setting_aside, restoring)
        self.schedule = Schedule(
            models,
            scanning,
            self.setting_aside,
            restoring,
            PublisherLease(self._lease, name, self.clock),
            self.objects,
            self.fleetstate,
            evidence,
            self.blobs,
            self.settings,
            name,
            self.clock,
            self.clock.unix_ms,
        )
        self.labeling_loop = LabelingLoop(
            self.labeling,
            scanning,
            self.setting_aside,
            WorkStream(self.streams, self.name),
            self.teacher,
            evidence,
            run=self._inline,
            monotonic=self.clock,
            batch_rows=self.settings.batch_rows,
            look_s=self.settings.rescan_seconds,
        )
        self.schedule.tick()

    async def _inline(self, function: Callable[..., _T], /, *args: Any) -> _T:
        if self.is_dead:
            raise asyncio.CancelledError
        try:
            return function(*args)
        except Death:
            self.is_dead = True
            raise asyncio.CancelledError from None

    def upload(
        self,
        data: bytes,
        *,
        kind: str = "example",
        entry: bool = True,
        about: bytes | None = None,
        model: str = "digits",
    ) -> str:
        """What the gateway does with a record: the blob, then the entry; without `entry` the stream did not take it."""
        name = digests.hex_of(digests.sha256(about or data))
        self.blobs.write(f"{kind}s/{model}/{name}", data)
        told = {"model": model, "id": f"sha256:{name}", "kind": kind}
        if entry:
            self.streams.append(contract.STREAM, [told])
        else:
            for path, content in untold.pack([told]):
                self.blobs.write(path, content)
        return name

    def work(self, rounds: int = 8) -> None:
        """Rounds of the labeling loop, each with a second on the clock and a tick of the schedule. Raises Death when
        the curator died in one; `restart` then."""

        async def run() -> None:
            for _ in range(rounds):
                await self.labeling_loop.step()
                if self.is_dead:
                    raise Death
                self.clock.now_s += 1.0
                self.schedule.tick()
            await self.labeling_loop.close()

        try:
            asyncio.run(run())
        except asyncio.CancelledError:
            raise Death from None

    @property
    def labels(self) -> list[str]:
        return self.labels_of("digits")

    def labels_of(self, model: str) -> list[str]:
        return [path.rsplit("/", 1)[1].removesuffix(".json") for path in self.blobs.list(f"labels/{model}")]

    @property
    def state(self) -> Any:
        return self.labeling.models["digits"]

    def dataset_manifest(self, digest: str) -> datasets.DatasetManifest:
        return datasets.DatasetManifest.from_json(
            self.blobs.read(contract.dataset_path("digits", digest), max_bytes=1 << 20)
        )

    def dataset(self, digest: str) -> tuple[datasets.DatasetManifest, dict[str, dataset_parts.Rows]]:
        """The manifest and the captured rows by role."""
        data = self.blobs.read(contract.dataset_path("digits", digest), max_bytes=1 << 20)
        manifest = datasets.DatasetManifest.from_json(data)
        return manifest, {role: self.rows(manifest, role) for role in ("train", "holdout")}

    def rows(self, manifest: datasets.DatasetManifest, role: Any) -> dataset_parts.Rows:
        read: Iterator[dataset_parts.Rows] = (
            dataset_parts.unpack(self.blobs.read(digests.blob_path(part.digest), max_bytes=1 << 20), manifest)
            for part in manifest.select(role, "captured")
        )
        return dataset_parts.concatenate(list(read), manifest.input, manifest.task)
