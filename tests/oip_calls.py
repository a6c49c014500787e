"""The calls of the protocol on a folder of tiny versions, below any transport."""

import asyncio
from pathlib import Path
from typing import Any

from plane import FakeCall, Plane

from skerry.rpc.methods import Methods
from skerry.serving import server

OIP = "/inference.GRPCInferenceService/"


async def served(tmp_path: Path, *, root: bool = False) -> tuple[Plane, Methods]:
    plane = await Plane(tmp_path).load_all()
    methods = server.build_methods(
        plane.data, plane.registry, plane.instruments, repository_root=tmp_path if root else None
    )
    return plane, methods


async def infer(methods: Methods, *messages: bytes) -> list[FakeCall]:
    calls = [FakeCall() for _ in messages]
    methods[OIP + "ModelInfer"].handler(list(zip(calls, messages, strict=True)))  # type: ignore[arg-type,call-arg]
    for call in calls:
        await asyncio.wait_for(call.finished.wait(), 10)
    return calls


async def unary(methods: Methods, path: str, message: Any, reply: Any) -> Any:
    return reply.FromString(await methods[path].handler(FakeCall(), message.SerializeToString()))  # type: ignore[misc,call-arg,arg-type]
