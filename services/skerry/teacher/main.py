"""The teacher's process: a plain OIP server of the latest version of each model in a folder.

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
from skerry.adapters import descriptors, files, http_pages, shutdown
from skerry.adapters.telemetry import logs, metrics
from skerry.core import addresses, errors
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Methods, Server
from skerry.serving import draining, repository, request_memory, runtime, server, threads
from skerry.serving.dataplane import DataPlane
from skerry.serving.fair_queue import BytePool
from skerry.serving.memory_limit import MemoryLimit
from skerry.serving.metrics import ServingMetrics
from skerry.serving.registry import Registry
from skerry.serving.request_memory import RequestMemory
from skerry.serving.version import Options
from skerry.teacher import settings as settings_module
from skerry.teacher.label_maps import SaysLabelMap
from skerry.teacher.settings import Settings

log = logs.logger("teacher")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain."""
    end_requested = shutdown.requested(settings.shutdown.limit_s)
    instruments = ServingMetrics(metrics.Metrics("teacher"))
    memory = request_memory.here(settings.memory_limit_bytes)
    registry = Registry(_options(settings, memory), instruments)
    plane = SaysLabelMap(DataPlane(registry, instruments), registry)
    methods = server.build_methods(plane, registry, instruments, repository_root=settings.models)
    places = descriptors.for_connections(descriptors.raise_limit()) - http_pages.MAX_CONNECTIONS
    limits = Limits(unread_bytes=memory.arriving_bytes).sharing(places if settings.tls_listen is None else places // 2)
    listener = rpc.open_server(settings.transport, methods, max_message_bytes=memory.message_bytes, limits=limits)
    port = await listener.listen(*settings.listen)
    async with _edge_listener(settings, methods, instruments, memory, limits) as edge_listener:
        pages = await _open_pages(settings, registry, instruments)
        loading = asyncio.create_task(_load_all(settings, registry, port, pages))
        await end_requested.wait()
        loading.cancel()
        await draining.drain(registry, listener, *edge_listener, times=settings.shutdown)
    if pages is not None:
        pages.close()


@contextlib.asynccontextmanager
async def _edge_listener(
    settings: Settings, methods: Methods, instruments: ServingMetrics, memory: RequestMemory, limits: Limits
) -> AsyncIterator[tuple[Server, ...]]:
    """The listener for nodes with certificates, where there is listing."""
    if settings.tls_listen is None:
        yield ()
        return
    if not settings.allowlist_url:
        log.warning(
            "members_not_asked", message="SKERRY_MEMBERS=any: a revoked node is served until its certificate ends"
        )
        server = rpc.open_server(settings.transport, methods, max_message_bytes=memory.message_bytes, limits=limits)
        await server.listen(*settings.tls_listen, settings.tls)
        yield (server,)
        return
    from skerry.adapters.allowlist_page import AllowlistPage
    from skerry.teacher import allowlist

    allowed = allowlist.Allowlist(time.monotonic)
    instruments.metrics.gauge(
        "skerry_members_age_seconds", "Since the list of nodes that may ask was read.", (), lambda: {(): allowed.age_s}
    )
    server = rpc.open_server(
        settings.transport, allowlist.guarded(methods, allowed), max_message_bytes=memory.message_bytes, limits=limits
    )
    await server.listen(*settings.tls_listen, settings.tls)
    async with allowlist.followed(AllowlistPage(settings.allowlist_url, settings.allowlist_ca), allowed, server):
        yield (server,)


async def _load_all(settings: Settings, registry: Registry, port: int, pages: asyncio.Server | None) -> None:
    """Load the latest version of each model, then say ready on standard output."""
    failed = {}
    try:
        listings = repository.scan(settings.models)
    except errors.UnavailableError as exc:
        log.error("repository_unreadable", message=str(exc))
        listings = []
    registry.expect(listing.model for listing in listings)
    for listing in listings:
        for name, why in listing.odd.items():
            log.warning("odd_version", model=listing.model, folder=name, message=why)
        if listing.latest is None:
            failed[listing.model] = "it has no version"
            continue
        try:
            await registry.swap(listing.model, listing.latest, listing.versions[listing.latest])
        except errors.SkerryError as exc:
            failed[listing.model] = str(exc)
    line = {
        "event": "ready",
        "service": "teacher",
        "address": addresses.show(settings.listen[0], port),
        "models": {model: registry.numbers(model) for model in registry.models},
        "failed": failed,
    }
    if pages is not None:
        line["http"] = http_pages.address(pages)
    print(json.dumps(line), flush=True)  # noqa: T201  # for the parent process


async def _open_pages(settings: Settings, registry: Registry, instruments: ServingMetrics) -> asyncio.Server | None:
    if settings.http is None:
        return None
    pages: http_pages.Pages = {
        "/metrics": lambda: (200, metrics.CONTENT_TYPE, instruments.metrics.render()),
        "/healthz": http_pages.probe(lambda: True),
        "/readyz": http_pages.probe(lambda: registry.is_settled),
    }
    return await http_pages.serve(*settings.http, pages)


def _options(settings: Settings, requests: RequestMemory) -> Options:
    budget = threads.budget(settings.threads)
    log.info("threads", count=budget.count, reason=budget.reason, onnxruntime=runtime.VERSION)
    provider = settings.provider
    runtime.check_provider(provider)
    runtime.bound_memory(requests.arena_bytes)
    return Options(
        provider=provider,
        threads=budget.count,
        memory=MemoryLimit(settings.memory_limit_bytes),
        requests=requests,
        pool=BytePool(requests.waiting_bytes),
    )


def main() -> None:
    files.keep_private()
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
