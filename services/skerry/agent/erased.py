"""What this node must not keep: the erasures that its cloud told it last, carried out on its disk and remembered there.

They are carried out before they are confirmed, and remembered so that an agent that starts without its gateway captures
nothing of what was erased. What is confirmed is on the disk.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.message import DecodeError

from skerry.adapters import files
from skerry.adapters.telemetry import logs
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.core import erasures, errors
from skerry.proto import fleet_pb2

_MAX_BYTES = 4 << 20
_NAME = "erased"  # nodes are told none

log = logs.logger("agent.erased")


class Erased:
    """`rules` may be asked from any thread: they are replaced as a whole."""

    def __init__(self, path: Path, node: str, spool_thread: SpoolThread) -> None:
        self._path, self._node, self._spool_thread = path, node, spool_thread
        self._told = self._load()
        self.rules = rules_of(self._told.erasures, node)

    @property
    def up_to(self) -> int:
        """The highest number that is carried out."""
        return self._told.erased_up_to

    async def carry_out(self, desired: fleet_pb2.DesiredState) -> bool:
        """Remove what is meant, and remember it; False: it was told before. Raises UnavailableError (disk) and
        IntegrityError; then nothing is confirmed, and the same is to be told again."""
        told = fleet_pb2.DesiredState(erasures=desired.erasures, erased_up_to=desired.erased_up_to)
        if told == self._told:
            return False
        rules = rules_of(told.erasures, self._node)
        self.rules = rules  # first of all: what is captured meanwhile is not kept either
        if rules:
            gone = await self._spool_thread.call(lambda opened: opened.erase(rules, self._node))
            await asyncio.to_thread(self._remove_damaged)
            if gone:
                log.info("erased", records=gone, up_to=told.erased_up_to)
        await asyncio.to_thread(files.write, self._path, told.SerializeToString(deterministic=True))
        self._told = told
        return True

    def _remove_damaged(self) -> None:
        """A damaged spool that was moved aside is not searched: it goes."""
        for moved in self._spool_thread.moved_aside():
            moved.unlink(missing_ok=True)

    def _load(self) -> fleet_pb2.DesiredState:
        try:
            return fleet_pb2.DesiredState.FromString(files.read(self._path, max_bytes=_MAX_BYTES))
        except (errors.UnavailableError, errors.TooLargeError, DecodeError) as exc:
            if self._path.exists():
                log.warning("erasures_unreadable", message=f"{exc}; the gateway tells them again")
            return fleet_pb2.DesiredState()


def rules_of(told: Iterable[fleet_pb2.Erasure], node: str) -> erasures.Rules:
    """What a node was told, as rules; what this release does not know means nothing to it."""
    found = [_erasure(one, node) for one in told]
    return erasures.Rules(one for one in found if one is not None)


def _erasure(told: fleet_pb2.Erasure, node: str) -> erasures.Erasure | None:
    match told.WhichOneof("what"):
        case "node":
            return erasures.Erasure(_NAME, erasures.NODE, node, told.model)
        case "example":
            return erasures.Erasure(_NAME, erasures.EXAMPLE, told.example, told.model)
        case "before_unix_ms":
            return erasures.Erasure(_NAME, erasures.BEFORE, told.before_unix_ms, told.model)
        case "request":
            return erasures.Erasure(_NAME, erasures.REQUEST, told.request, told.model)
        case "subject":
            return erasures.Erasure(_NAME, erasures.SUBJECT, told.subject, told.model)
        case _:
            return None
