"""The plain OIP server: serves the latest version of each model in a folder. In the cloud it is the teacher.

It listens before it loads: alive at once, ready when every model is; one bad model does not keep the others away.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator

import uvloop

from skerry import rpc
from skerry.adapters import process
from skerry.adapters.telemetry import logs, metrics
from skerry.core import errors
from skerry.rpc.methods import Methods, Server
from skerry.serving import ending, http, repository, runtime, server, threads
from skerry.serving import settings as settings_module
from skerry.serving.dataplane import DataPlane
from skerry.serving.instruments import Instruments
from skerry.serving.memory import Memory
from skerry.serving.registry import Registry
from skerry.serving.settings import Settings
from skerry.serving.version import Options

log = logs.logger("teacher")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain."""
    asked_to_end = process.asked_to_end(settings.ending.limit_s)
    instruments = Instruments(metrics.Metrics())
    registry = Registry(_options(settings), instruments)
    methods = server.build_methods(
        DataPlane(registry, instruments), registry, instruments, repository_root=settings.models
    )
    listener = rpc.open_server(settings.transport, methods)
    port = await listener.listen(*settings.listen)
    async with _edges(settings, methods, instruments) as edges:
        pages = await _open_pages(settings, registry, instruments)
        loading = asyncio.create_task(_load_all(settings, registry, port, pages))
        await asked_to_end.wait()
        loading.cancel()
        await ending.drain(registry, listener, *edges, times=settings.ending)
    if pages is not None:
        pages.close()


@contextlib.asynccontextmanager
async def _edges(settings: Settings, methods: Methods, instruments: Instruments) -> AsyncIterator[tuple[Server, ...]]:
    """The listener for nodes with certificates, where there is one."""
    if settings.tls_listen is None:
        yield ()
        return
    if not settings.members:
        log.warning(
            "members_not_asked", message="SKERRY_MEMBERS=any: a revoked node is served until its certificate ends"
        )
        server = rpc.open_server(settings.transport, methods)
        await server.listen(*settings.tls_listen, settings.tls)
        yield (server,)
        return
    from skerry.adapters.allowlist_page import MembersPage
    from skerry.serving import members

    known = members.Members(time.monotonic)
    instruments.metrics.gauge(
        "skerry_members_age_seconds", "Since the list of nodes that may ask was read.", (), lambda: {(): known.age_s}
    )
    server = rpc.open_server(settings.transport, members.guarded(methods, known))
    await server.listen(*settings.tls_listen, settings.tls)
    async with members.followed(MembersPage(settings.members, settings.members_ca), known, server):
        yield (server,)


async def _load_all(settings: Settings, registry: Registry, port: int, pages: asyncio.Server | None) -> None:
    """Load the latest version of each model, then say ready on standard output."""
    failed = {}
    try:
        found = repository.scan(settings.models)
    except errors.UnavailableError as exc:
        log.error("repository_unreadable", message=str(exc))
        found = []
    registry.expect(one.model for one in found)
    for one in found:
        for name, why in one.odd.items():
            log.warning("odd_version", model=one.model, folder=name, message=why)
        if one.latest is None:
            failed[one.model] = "it has no version"
            continue
        try:
            await registry.swap(one.model, one.latest, one.versions[one.latest])
        except errors.SkerryError as exc:
            failed[one.model] = str(exc)
    line = {
        "event": "ready",
        "service": "teacher",
        "address": f"{settings.listen[0]}:{port}",
        "models": {model: registry.numbers(model) for model in registry.models},
        "failed": failed,
    }
    if pages is not None:
        line["http"] = "{}:{}".format(*pages.sockets[0].getsockname()[:2])
    print(json.dumps(line), flush=True)  # noqa: T201  # for who started us


async def _open_pages(settings: Settings, registry: Registry, instruments: Instruments) -> asyncio.Server | None:
    if settings.http is None:
        return None
    pages: http.Pages = {
        "/metrics": lambda: (200, metrics.CONTENT_TYPE, instruments.metrics.render()),
        "/healthz": http.probe(lambda: True),
        "/readyz": http.probe(lambda: registry.is_settled),
    }
    return await http.serve(*settings.http, pages)


def _options(settings: Settings) -> Options:
    budget = threads.budget(settings.threads)
    log.info("threads", count=budget.count, reason=budget.reason, onnxruntime=runtime.VERSION)
    provider = settings.provider
    runtime.check_provider(provider)
    return Options(provider=provider, threads=budget.count, memory=Memory(settings.memory_limit_bytes))


def main() -> None:
    try:
        settings = settings_module.read()
        logs.configure("teacher", level=settings.log_level)
        uvloop.run(serve(settings))
    except errors.SkerryError as exc:
        logs.configure("teacher")
        log.error("teacher_ended", message=str(exc))
        sys.exit(1)


if __name__ == "__main__":
    main()
