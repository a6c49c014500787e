"""The edge agent's process: serves first, from its own disk; then finds its gateway; drains and flushes on SIGTERM.

The state folder has one owner by a lock. While another agent holds it, this one stands by: it serves, and takes over
when the other has ended.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

# Children are started by exec alone: gRPC's own handlers around fork only complain. Before it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import uvloop

from skerry import rpc
from skerry.adapters import cancellation, http_pages, shutdown
from skerry.adapters.telemetry import logs, metrics
from skerry.agent import handover, runtime_limits_child, wiring
from skerry.agent import settings as settings_module
from skerry.agent.settings import Settings
from skerry.agent.sync import desired_state
from skerry.agent.update import cold_start
from skerry.core import addresses, errors
from skerry.serving import draining

log = logs.logger("agent")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain. Raises UnavailableError when the state folder cannot be used."""
    loop = asyncio.get_running_loop()
    end_requested = shutdown.requested(settings.shutdown.limit_s)
    place = handover.Place(settings.state)
    serves = wiring.serving(settings)
    listener = rpc.open_server(settings.transport, serves.methods())
    address = addresses.show(settings.listen[0], await listener.listen(*settings.listen))
    patience_s = 0.0
    try:
        async with _pages(settings, serves) as page_address:
            living = asyncio.ensure_future(_live(settings, serves, place, address, page_address))
            try:
                await _first(end_requested, living)
                until_s = loop.time() + settings.shutdown.drained_s
                await draining.drain(serves.registry, listener, times=settings.shutdown)
                patience_s = until_s - loop.time()
            finally:
                living.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await living
    finally:
        await _let_go(serves, place, patience_s)


async def _first(end_requested: asyncio.Event, living: asyncio.Future[None]) -> None:
    """Until the process is asked to end. Raises what `living` failed of before that."""
    asked = asyncio.ensure_future(end_requested.wait())
    either: list[asyncio.Future[Any]] = [asked, living]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if living.done():
        living.result()


async def _live(
    settings: Settings, serves: wiring.Serving, place: handover.Place, address: str, page_address: str
) -> None:
    """Serve from the disk, at first beside another agent if need be; then capture, upload, report and update. A bug in
    any of them ends the process: whoever supervises it starts it anew."""

    async def follow() -> None:
        await _bring_up(wiring.state(settings, read_only=True), serves)

    is_alone = place.advance()
    if not is_alone:
        serves.collector.stand_by()
        await follow()
        _say_ready(settings, serves, address, page_address)
        await handover.until_first(place, wiring.ledger_path(settings), follow)
    mine = wiring.state(settings)
    mine.disk.clean()
    await _bring_up(mine, serves)
    if is_alone:
        _say_ready(settings, serves, address, page_address)
    await _run_linked(settings, serves, mine, settings.address or address)


async def _bring_up(state: wiring.State, serves: wiring.Serving) -> None:
    """Serve what is on the disk. No name is resolved and nobody is asked."""
    serves.registry.expect(state.book.models())
    desired_state.restore(state.book, serves.cascade)
    await cold_start.restore(state.book, state.disk, serves.loader)


async def _run_linked(settings: Settings, serves: wiring.Serving, mine: wiring.State, address: str) -> None:
    """Until cancelled."""
    here = await runtime_limits_child.limits()
    link = wiring.link(settings, serves, mine, here, address)
    loops = {
        "collector": serves.collector.run,
        "uploader": link.uploader.run,
        "updater": link.updater.run,
        "sync": link.sync.run,
    }
    if link.membership is not None:
        loops["membership"] = link.membership.run
    try:
        async with asyncio.TaskGroup() as group:
            for name, loop in loops.items():
                group.create_task(_for_ever(name, loop))
    finally:
        await link.cloud.close()


async def _for_ever(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Raises when it ends by itself, also by a cancellation that nobody asked for: without it the node would be half
    alive."""
    try:
        await loop()
    except asyncio.CancelledError:
        if cancellation.is_requested():
            raise
    raise RuntimeError(f"the agent's {name} has ended")


async def _let_go(serves: wiring.Serving, place: handover.Place, patience_s: float) -> None:
    """Flush, and leave the state folder to the next agent when nothing of ours writes there any more."""
    if place.is_first or (serves.collector.is_queueing and await handover.is_first_within(place, patience_s)):
        await serves.collector.flush()
    else:
        serves.collector.give_up()
    await serves.store.close()
    if serves.remote is not None:
        await serves.remote.close()
    await asyncio.get_running_loop().shutdown_default_executor()  # what was cancelled still runs on its thread
    place.leave()


@contextlib.asynccontextmanager
async def _pages(settings: Settings, serves: wiring.Serving) -> AsyncIterator[str]:
    """Metrics and probes over HTTP; gives their address, empty when they are not asked for."""
    if settings.http is None:
        yield ""
        return
    pages: http_pages.Pages = {
        "/metrics": lambda: (200, metrics.CONTENT_TYPE, serves.instruments.metrics.render()),
        "/healthz": http_pages.probe(lambda: True),
        "/readyz": http_pages.probe(lambda: serves.registry.is_settled),
    }
    listening = await http_pages.serve(*settings.http, pages)
    try:
        yield http_pages.address(listening)
    finally:
        listening.close()


def _say_ready(settings: Settings, serves: wiring.Serving, address: str, page_address: str) -> None:
    line = {
        "event": "ready",
        "service": "agent",
        "node": settings.node,
        "address": address,
        "http": page_address,
        "standby": serves.collector.is_standing_by,
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
