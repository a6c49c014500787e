"""A node without a network: versions made of bytes, a loader that loads what is whole, a fetch that copies, and a cloud
that answers reports with permits."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from skerry.agent.sync import node_report
from skerry.agent.update import awake_clock, cold_start, ledger, update_plan, updater, version_store
from skerry.core import errors
from skerry.proto import fleet_pb2

LIMITS = updater.Limits(max_swap_s=5.0, retry_base_s=0.01, retry_cap_s=0.05)


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Version:
    """Files of a version of model `digits`; `salt` makes another one under the same number."""

    number: int
    salt: str = ""

    @property
    def files(self) -> dict[str, bytes]:
        model = f"weights {self.number} {self.salt}".encode() * 500
        golden = f"golden {self.number}".encode() * 50
        named = {"model": ("model.onnx", model), "golden": ("golden.npz", golden)}
        entries = {
            role: {"name": name, "digest": sha(data), "sizeBytes": len(data)} for role, (name, data) in named.items()
        }
        manifest = json.dumps({"files": entries, "model": "digits"}).encode()
        return {"manifest.json": manifest} | dict(named.values())

    @property
    def digest(self) -> str:
        return sha(self.files["manifest.json"])

    @property
    def pointer(self) -> ledger.Pointer:
        return ledger.Pointer(self.number, self.digest)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


@dataclass
class Loader:
    """Loads whatever it is given: that it is whole is for others to see to. `fails` raises for these versions, `hangs`
    never returns for them."""

    loaded: dict[str, ledger.Pointer] = field(default_factory=dict)
    swaps: list[int] = field(default_factory=list)
    fails: set[int] = field(default_factory=set)
    hangs: set[int] = field(default_factory=set)

    def serving(self, model: str) -> ledger.Pointer | None:
        return self.loaded.get(model)

    async def swap(self, slot: version_store.Slot) -> None:
        if slot.version in self.hangs:
            await asyncio.Event().wait()
        if slot.version in self.fails:
            raise errors.IntegrityError(f"version {slot.version} cannot be loaded")
        self.loaded[slot.model] = ledger.Pointer(slot.version, slot.digest)
        self.swaps.append(slot.version)


class Fetch:
    """Copies `versions` by number; `outcomes` are given first, one per call. `calls` are the versions asked for."""

    def __init__(self, *versions: Version) -> None:
        self.versions = {version.number: version for version in versions}
        self.outcomes: list[updater.Outcome] = []
        self.calls: list[int] = []
        self.damage: Callable[[Path], None] = lambda folder: None

    async def __call__(self, wanted: update_plan.Assignment, folder: Path, max_bytes: int) -> updater.Outcome:
        self.calls.append(wanted.version)
        await asyncio.sleep(0)
        if self.outcomes:
            return self.outcomes.pop(0)
        try:
            self.versions[wanted.version].write(folder)
        except OSError as exc:  # as the real one, whose child would say so
            return updater.Outcome("FETCH_FAILED", str(exc))
        self.damage(folder)
        return updater.Outcome("STAGED")


class Node:
    """One node's updater on a state folder, as a process would hold it; make another one for a restart."""

    def __init__(self, state: Path, fetch: Fetch, limits: updater.Limits = LIMITS, boot: int = 0) -> None:
        self.state, self.fetch = state, fetch
        self.ledger = ledger.Ledger(state / "ledger")
        self.versions = version_store.VersionStore(state / "models")
        self.versions.clean()
        self.loader = Loader()
        self.updater = updater.Updater(self.ledger, self.versions, fetch, self.loader, lambda: 0.0, limits)
        self.sequence = boot * 1_000_000

    async def restore(self) -> None:
        await cold_start.recover(self.ledger, self.versions)
        await cold_start.restore(self.ledger, self.versions, self.loader)

    @property
    def serving(self) -> int:
        found = self.loader.serving("digits")
        return found.version if found else 0

    @property
    def target(self) -> update_plan.Step:
        return self.updater.targets["digits"].shown

    def ask(self) -> int:
        """The permit request of a report sent now; 0: it asks for none."""
        self.sequence += 1
        return node_report.permit_requests(self.updater.targets, self.sequence, awake_clock.now_s()).get("digits", 0)


def desired(
    version: Version, *, epoch: int = 1, permit: tuple[int, int] | None = None, **fields: object
) -> fleet_pb2.DesiredState:
    """`permit`: (number, request)."""
    assignment = fleet_pb2.Assignment(
        model="digits",
        digest=version.digest,
        version=version.number,
        target_path=f"retrained/digits/{version.number}",
        **({"rollout": f"digits-v{version.number}", "attempt": 1} | fields),  # type: ignore[arg-type]
    )
    if permit is not None:
        assignment.permit.MergeFrom(fleet_pb2.Permit(number=permit[0], ttl_ms=60_000, request=permit[1], epoch=epoch))
    return fleet_pb2.DesiredState(revision=1, epoch=epoch, assignments=[assignment])


async def bring_up(node: Node, version: Version, number: int, *, timeout_s: float = 10.0, **fields: object) -> None:
    """Play the cloud until `version` serves: assign it, answer requests with permits numbered from `number`."""
    async with asyncio.timeout(timeout_s):
        await node.updater.assign(desired(version, **fields))  # type: ignore[arg-type]
        while node.serving != version.number:
            await asyncio.sleep(0.005)
            if request := node.ask():
                number = max(number, node.ledger.highest_permit + 1)
                await node.updater.assign(desired(version, permit=(number, request), **fields))  # type: ignore[arg-type]
        while node.ledger.pointers("digits").active != version.pointer:  # noqa: ASYNC110 - settled a moment later
            await asyncio.sleep(0.005)
