"""The edge agent's process: serves first, from its own disk; then finds its gateway; drains and flushes on SIGTERM."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator

# Children are started by exec alone: gRPC's own handlers around fork only complain. Before it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import uvloop

from skerry import rpc
from skerry.adapters import files
from skerry.adapters.telemetry import logs, metrics
from skerry.agent import child, intake, parts, probe, restore
from skerry.agent import settings as settings_module
from skerry.agent.settings import Settings
from skerry.core import errors
from skerry.serving import http

log = logs.logger("agent")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain. Raises UnavailableError when another agent uses the state folder."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with files.locked(settings.state / "lock", timeout_s=2.0):
        serves = parts.serving(settings)
        listener = rpc.open_server(settings.transport, serves.methods())
        port = await listener.listen(*settings.listen)
        try:
            async with _pages(settings, serves) as page_address:
                await _cold_start(serves)
                address = f"{settings.listen[0]}:{port}"
                _say_ready(settings, serves, address, page_address)
                async with _linked(settings, serves, settings.address or address):
                    await stopping.wait()
                    log.info("draining", grace_s=settings.grace_s)
                    serves.registry.drain()
                    await listener.drain(settings.grace_s)
        finally:
            await serves.collector.flush()
            await serves.store.close()
            if serves.remote is not None:
                await serves.remote.close()


async def _cold_start(serves: parts.Serving) -> None:
    """Serve what is on the disk. No name is resolved and nobody is asked."""
    serves.disk.clean()
    serves.registry.expect(serves.book.models())
    intake.restore(serves.book, serves.cascade)
    await restore.restore(serves.book, serves.disk, serves.loader)


@contextlib.asynccontextmanager
async def _linked(settings: Settings, serves: parts.Serving, address: str) -> AsyncIterator[None]:
    """Capture, upload, report and update beside serving. A bug in any of them ends the process: whoever supervises it
    starts it anew."""
    here = await probe.limits(child.environment())
    link = parts.link(settings, serves, here, address)
    loops = [serves.collector.run(), link.uploader.run(), link.updater.run(), link.sync.run()]
    if link.membership is not None:
        loops.append(link.membership.run())
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(loop) for loop in loops]
        yield
        for task in running:
            task.cancel()
    await link.cloud.close()


@contextlib.asynccontextmanager
async def _pages(settings: Settings, serves: parts.Serving) -> AsyncIterator[str]:
    """Metrics and probes over HTTP; gives their address, empty when they are not asked for."""
    if settings.http is None:
        yield ""
        return
    pages: http.Pages = {
        "/metrics": lambda: (200, metrics.CONTENT_TYPE, serves.instruments.metrics.render()),
        "/healthz": http.probe(lambda: True),
        "/readyz": http.probe(lambda: serves.registry.is_settled),
    }
    listening = await http.serve(*settings.http, pages)
    try:
        yield "{}:{}".format(*listening.sockets[0].getsockname()[:2])
    finally:
        listening.close()


def _say_ready(settings: Settings, serves: parts.Serving, address: str, page_address: str) -> None:
    line = {
        "event": "ready",
        "service": "agent",
        "node": settings.node,
        "address": address,
        "http": page_address,
        "models": {
            model: pointer.version
            for model in serves.registry.models
            if (pointer := serves.loader.serving(model)) is not None
        },
    }
    print(json.dumps(line), flush=True)  # noqa: T201 - for who started us


def main() -> None:
    try:
        settings = settings_module.read()
        logs.configure("agent", level=settings.log_level)
        uvloop.run(serve(settings))
    except errors.SkerryError as exc:
        logs.configure("agent")
        log.error("agent_ended", message=str(exc))
        sys.exit(1)


if __name__ == "__main__":
    main()
