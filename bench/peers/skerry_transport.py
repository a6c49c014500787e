"""skerry's transports with an echo, and its serving path over TLS (the plain OIP server's process has no TLS).

Arguments as of the other peers, with `h2` or `grpcio` in front.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from skerry import rpc
from skerry.adapters.telemetry import metrics
from skerry.rpc.methods import Call, Kind, Method, Methods, Tls
from skerry.serving import server
from skerry.serving.dataplane import DataPlane
from skerry.serving.metrics import ServingMetrics
from skerry.serving.registry import Registry
from skerry.serving.version import Options


def _echo(calls: Sequence[tuple[Call, bytes]]) -> None:
    for call, message in calls:
        call.reply(message)


async def _methods(kind: str, model: str) -> Methods:
    if kind == "echo":
        return {"/inference.GRPCInferenceService/ModelInfer": Method(Kind.BATCH, _echo)}
    instruments = ServingMetrics(metrics.Metrics())
    registry = Registry(Options(), instruments)
    await registry.swap(kind, 1, Path(model).parent)
    return server.build_methods(DataPlane(registry, instruments), registry, instruments)


async def _main() -> None:
    transport, port, kind, model, certificate, key = (*sys.argv[1:], "", "")[:6]
    listener = rpc.open_server(transport, await _methods(kind, model))
    await listener.listen("127.0.0.1", int(port), Tls(certificate, key) if certificate else None)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main())
