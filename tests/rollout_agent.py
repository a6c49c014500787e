"""A node of the simulated world: durable ledger, permits used once, a swap during which it serves nothing.

It follows the rules of docs/explanation/architecture.md in the worst way that they allow.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skerry.core import specs

if TYPE_CHECKING:
    from rollout_world import World

MODEL = "m"
SWAP_MS = 10_000


def version(number: int) -> specs.ModelVersion:
    digest = "sha256:" + f"{number:x}" * 64
    return specs.ModelVersion(f"m-v{number}", MODEL, number, digest, f"retrained/m/{number}")


@dataclass
class Message:
    """A desired state on its way to a node."""

    revision: int
    epoch: int
    assignment: specs.Assignment | None


@dataclass
class Agent:
    """One node. What is durable survives `crash`; a fetch and a self-test take no time, a swap takes SWAP_MS."""

    name: str
    active: specs.ModelVersion | None = None
    known_good: str = ""
    refused: dict[tuple[str, str, int], str] = field(default_factory=dict)
    highest_permit: int = 0
    highest_epoch: int = 0
    incompatible: bool = False
    renews: bool = False  # its request every ten seconds, as agents of the release before; another's stands
    verified: list[tuple[str, str, int]] = field(default_factory=list)
    # volatile
    wanted: specs.Assignment | None = None
    revision: int = 0
    requests: dict[int, int] = field(default_factory=dict)  # number -> when it was made
    swapping: specs.Assignment | None = None
    swap_ends_ms: int = 0
    connected: bool = True
    alive: bool = True
    inbox: list[Message] = field(default_factory=list)

    def crash(self) -> None:
        self.wanted, self.swapping, self.requests, self.revision = None, None, {}, 0

    def take(self, message: Message) -> None:
        """A whole desired state; older revisions and epochs are ignored, repeated ones are harmless."""
        if message.revision < self.revision or message.epoch < self.highest_epoch:
            return
        self.revision, self.highest_epoch = message.revision, message.epoch
        if aim(message.assignment) != aim(self.wanted):
            self.requests = {}
        self.wanted = message.assignment

    def work(self, now_ms: int, world: "World") -> None:
        """One look at the whole picture."""
        if self.swapping is not None:
            if now_ms >= self.swap_ends_ms:
                self._finish(world)
            return
        wanted = self.wanted
        if wanted is None or self.state(world) != "Staged":
            return
        asked_ms = max(self.requests.values(), default=-(10**9))
        if not self.requests or (self.renews and now_ms - asked_ms >= 10_000):
            world.requests += 1
            self.requests[world.requests] = now_ms
        permit = wanted.permit
        if permit is None or permit.number <= self.highest_permit or permit.request not in self.requests:
            return
        if now_ms < self.requests[permit.request] + permit.ttl_ms:
            self.highest_permit = permit.number
            self.swapping, self.swap_ends_ms = wanted, now_ms + SWAP_MS
        elif not self.renews:  # too late: it is given up, and another is asked for
            self.highest_permit, self.requests = permit.number, {}

    def _finish(self, world: "World") -> None:
        assert self.swapping is not None
        done, self.swapping, self.requests = self.swapping, None, {}
        if (self.name, done.digest) in world.swap_fails:
            self.refused[aim(done)] = "SwapFailed"
            return
        if self.active is not None:
            self.known_good = self.active.digest
        self.active = world.by_digest(done.digest)
        world.activated(self, done)

    def state(self, world: "World") -> str:
        """How the assignment stands; verifies what was not verified yet."""
        wanted = self.wanted
        if wanted is None:
            return ""
        if self.active is not None and self.active.digest == wanted.digest:
            return "Serving"
        if self.active is not None and wanted.version < self.active.version and not wanted.rollback:
            return "Refused"
        if (known := self.refused.get(aim(wanted))) is not None:
            return known
        if self.incompatible and wanted.digest in world.demanding:
            self.refused[aim(wanted)] = "Incompatible"
        elif wanted.digest in world.unreachable_files:
            return "FetchFailed"
        elif wanted.digest in world.corrupt:
            self.verified.append(aim(wanted))
            self.refused[aim(wanted)] = "Refused"
        return self.refused.get(aim(wanted), "Staged")

    def report(self, world: "World") -> dict[str, Any]:
        state = self.state(world)
        staged = state == "Staged"
        request = (
            self.swapping.permit.request if self.swapping and self.swapping.permit else max(self.requests, default=0)
        )
        wanted = self.swapping or self.wanted
        return {
            "model": MODEL,
            "digest": self.active.digest if self.active else "",
            "version": self.active.version if self.active else 0,
            "targetDigest": wanted.digest if wanted else "",
            "targetRollout": wanted.rollout if wanted else "",
            "targetAttempt": wanted.attempt if wanted else 0,
            "targetState": "Staged" if self.swapping else state,
            "reason": "",
            "highestPermit": self.highest_permit,
            "permitRequest": request if staged or self.swapping else 0,
            "lastKnownGood": self.known_good,
        }


def aim(wanted: specs.Assignment | None) -> tuple[str, str, int]:
    return (wanted.digest, wanted.rollout, wanted.attempt) if wanted else ("", "", 0)
