"""The edge agent's process: serving first, from its own disk; then finds its gateway; drains and flushes on SIGTERM.

The state folder has one owner by a lock. While another agent holds it, this one stands by: it serving, and takes over
when the other has ended.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

# Children are started by exec alone: gRPC's own handlers around fork only complain. Before it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import uvloop

from skerry import rpc
from skerry.adapters import cancellation, descriptors, files, http_pages, own_address, shutdown
from skerry.adapters.telemetry import logs, metrics
from skerry.agent import handover, runtime_limits_child, wiring
from skerry.agent import settings as settings_module
from skerry.agent.settings import Settings
from skerry.agent.sync import desired_state
from skerry.agent.update import cold_start
from skerry.core import addresses, errors
from skerry.rpc.limits import Limits
from skerry.rpc.methods import Server
from skerry.serving import draining

log = logs.logger("agent")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain. Raises UnavailableError when the state folder cannot be used."""
    loop = asyncio.get_running_loop()
    end_requested = shutdown.requested(settings.shutdown.limit_s)
    lock = handover.StateLock(settings.state)
    serving = wiring.open_serving(settings)
    places = descriptors.for_connections(descriptors.raise_limit()) - http_pages.MAX_CONNECTIONS
    limits = Limits(unread_bytes=serving.memory.arriving_bytes).sharing(places)
    listener = rpc.open_server(
        settings.transport, serving.methods(), max_message_bytes=serving.memory.message_bytes, limits=limits
    )
    address = addresses.show(settings.listen[0], await listener.listen(*settings.listen))
    told = {"address": address}
    if settings.tls_listen is not None:
        port = await listener.listen(*settings.tls_listen, settings.tls)
        told["tls"] = addresses.show(settings.tls_listen[0], port)
    patience_s = 0.0
    try:
        async with _pages(settings, serving) as told["http"]:
            running = asyncio.ensure_future(_run(settings, serving, lock, listener, told))
            try:
                await _until_requested(end_requested, running)
                until_s = loop.time() + settings.shutdown.drained_s
                await draining.drain(serving.registry, listener, times=settings.shutdown)
                patience_s = until_s - loop.time()
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
    finally:
        await _release_state_folder(serving, lock, patience_s)


async def _until_requested(end_requested: asyncio.Event, running: asyncio.Future[None]) -> None:
    """Until the process is asked to end. Raises what `running` failed of before that."""
    waiting = asyncio.ensure_future(end_requested.wait())
    either: list[asyncio.Future[Any]] = [waiting, running]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        running.result()


async def _run(
    settings: Settings, serving: wiring.Serving, lock: handover.StateLock, listener: Server, told: dict[str, str]
) -> None:
    """Serve from the disk, at first beside another agent if need be; then capture, upload, report and update. A bug in
    any of them ends the process: its supervisor starts it again."""

    async def follow() -> None:
        await _bring_up(wiring.open_state(settings, read_only=True), serving)

    is_alone = lock.try_acquire()
    if not is_alone:
        serving.capture_queue.stand_by()
        await follow()
        _print_ready(settings, serving, told)
        await handover.until_held(lock, wiring.ledger_path(settings), follow)
    if settings.unix_listen is not None:  # the one before has let go of its path
        await listener.listen_unix(settings.unix_listen)
        told["unix"] = str(settings.unix_listen)
    files.shut_out_others(settings.state)
    state = wiring.open_state(settings)
    state.versions.clean()
    await cold_start.recover(state.ledger, state.versions)
    await _bring_up(state, serving)
    if is_alone:
        _print_ready(settings, serving, told)
    gateway_host, _ = addresses.parse("SKERRY_GATEWAY", settings.gateway)
    port = addresses.parse("the listener's address", told["address"])[1]
    reachable = own_address.reachable(settings.listen[0], port, gateway_host)
    await _run_linked(settings, serving, state, settings.address or reachable)


async def _bring_up(state: wiring.State, serving: wiring.Serving) -> None:
    """Serve what is on the disk. No name is resolved and no connection opened."""
    serving.registry.expect(state.ledger.models())
    desired_state.restore(state.ledger, serving.cascade)
    await cold_start.restore(state.ledger, state.versions, serving.loader)


async def _run_linked(settings: Settings, serving: wiring.Serving, state: wiring.State, address: str) -> None:
    """Until cancelled."""
    limits = await runtime_limits_child.limits()
    link = wiring.open_link(settings, serving, state, limits, address)
    loops = {
        "capture": serving.capture_queue.run,
        "uploader": link.uploader.run,
        "updater": link.updater.run,
        "sync": link.sync.run,
    }
    if link.membership is not None:
        loops["membership"] = link.membership.run
    try:
        async with asyncio.TaskGroup() as group:
            for name, loop in loops.items():
                group.create_task(_run_forever(name, loop))
    finally:
        await link.gateway.close()


async def _run_forever(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Raises when it ends by itself, also by a cancellation that was not requested: without it the node would be half
    alive."""
    try:
        await loop()
    except asyncio.CancelledError:
        if cancellation.is_requested():
            raise
    raise RuntimeError(f"the agent's {name} has ended")


async def _release_state_folder(serving: wiring.Serving, lock: handover.StateLock, patience_s: float) -> None:
    """Flush, and leave the state folder to the next agent when nothing of ours writes there any more."""
    if lock.is_held or (serving.capture_queue.is_queueing and await handover.is_held_within(lock, patience_s)):
        await serving.capture_queue.flush()
    else:
        serving.capture_queue.give_up()
    await serving.spool_thread.close()
    if serving.remote is not None:
        await serving.remote.close()
    await asyncio.get_running_loop().shutdown_default_executor()  # what was cancelled still runs on its thread
    lock.release()


@contextlib.asynccontextmanager
async def _pages(settings: Settings, serving: wiring.Serving) -> AsyncIterator[str]:
    """Metrics and probes over HTTP; gives their address, empty when they are not asked for."""
    if settings.http is None:
        yield ""
        return
    pages: http_pages.Pages = {
        "/metrics": lambda: (200, metrics.CONTENT_TYPE, serving.instruments.metrics.render()),
        "/healthz": http_pages.probe(lambda: True),
        "/readyz": http_pages.probe(lambda: serving.registry.is_settled),
    }
    listening = await http_pages.serve(*settings.http, pages)
    try:
        yield http_pages.address(listening)
    finally:
        listening.close()


def _print_ready(settings: Settings, serving: wiring.Serving, told: Mapping[str, str]) -> None:
    line = {
        "event": "ready",
        "service": "agent",
        "node": settings.node,
        **told,
        "standby": serving.capture_queue.is_standing_by,
        "models": {
            model: pointer.version
            for model in serving.registry.models
            if (pointer := serving.loader.serving(model)) is not None
        },
    }
    print(json.dumps(line), flush=True)  # noqa: T201 - for the parent process


def main() -> None:
    files.keep_private()
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
