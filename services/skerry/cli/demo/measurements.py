"""What the demo measures on the running processes besides inference, and the one thing it damages."""

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import numpy as np

from skerry.adapters import proxies
from skerry.cli.demo import digits, digits_model
from skerry.cli.demo.session import Session
from skerry.cli.demo.traffic import Camera
from skerry.cli.system.process import read_events
from skerry.core import errors
from skerry.proto import edge_pb2


async def teacher_accuracy(data: digits.Digits, session: Session, sample: int = 400) -> tuple[float, float]:
    """The teacher's accuracy on the holdout and on the other population's final images, asked through its gRPC door."""
    parts = (data.holdout, data.final)
    camera = Camera("teacher", f"127.0.0.1:{session.system.ports.teacher}")
    try:
        right = [0, 0]
        for kind, part in enumerate(parts):
            for index, image in enumerate(part.x[:sample]):
                reply = await camera.infer(digits_model.MODEL, f"teacher-{kind}-{index}", image)
                logits = np.frombuffer(reply.raw_output_contents[0], dtype=np.float32)
                right[kind] += int(logits.argmax() == part.y[index])
    finally:
        await camera.close()
    clean, drifted = (count / len(part.x[:sample]) for count, part in zip(right, parts, strict=True))
    return clean, drifted


def damage(folder: Path, name: str) -> Path:
    """Flip one bit in the middle of the target file `name` (the repository prefixes file names with their hashes)."""
    targets = sorted(folder.glob(f"*{name}"))
    if not targets:
        raise errors.NotFoundError(f"no {name} in {folder}")
    content = bytearray(targets[0].read_bytes())
    content[len(content) // 2] ^= 1
    targets[0].write_bytes(content)
    return targets[0]


async def drained_spools(session: Session) -> dict[str, edge_pb2.SpoolState]:
    """What each agent's spool says, once nothing is pending and nothing more comes, or the wait took too long."""
    seen: dict[str, edge_pb2.SpoolState] = {}
    for _ in range(60):
        before, seen = seen, {node: await _spool(session, node) for node in session.system.nodes}
        settled = before and all(seen[node].captured == before[node].captured for node in seen)
        if settled and not any(spool.pending for spool in seen.values()):
            break
        await asyncio.sleep(1.0)
    return seen


async def _spool(session: Session, node: str) -> edge_pb2.SpoolState:
    address = f"127.0.0.1:{session.system.ports.agents[node][0]}"
    async with grpc.aio.insecure_channel(address, proxies.grpc_options(address)) as channel:
        call = channel.unary_unary(
            "/skerry.edge.v1.Edge/SpoolStatus",
            request_serializer=edge_pb2.SpoolStatusRequest.SerializeToString,
            response_deserializer=edge_pb2.SpoolState.FromString,
        )
        state: edge_pb2.SpoolState = await call(edge_pb2.SpoolStatusRequest(), timeout=5)
        return state


def refusals(log: Path, version: int) -> int:
    """How often this agent has verified and refused that version, by its own log."""
    events = read_events(log, 0)
    return sum(event.get("event") == "version_refused" and event.get("version") == version for event in events)
