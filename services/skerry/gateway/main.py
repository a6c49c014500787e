"""The gateway's process: wires the fleet's streams, enrolment, the ingest, the repository and the jobs' door; drains on
SIGTERM."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import uvloop

from skerry.adapters import blobs, events, files, fleetstate, objects, redis_link, shutdown, streams
from skerry.adapters.objects.protocol import Change, Objects
from skerry.adapters.telemetry import logs
from skerry.core import errors
from skerry.gateway import desired, given_versions, ingest, metrics, rates, readings_writer, refusals, sessions, watch
from skerry.gateway.identity import Guard
from skerry.gateway.listeners import Listeners, Services
from skerry.gateway.settings import Settings, read

_AFTER_DRAIN_S = 8.0  # to write down that the nodes are gone, and to close what else is open

_log = logs.logger("gateway")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    end_requested = shutdown.requested(settings.notice_seconds + settings.drain_seconds + _AFTER_DRAIN_S)
    await asyncio.to_thread(_warn_of_eviction, settings.redis_url)
    store = objects.open_objects(settings.objects)
    instruments, view = metrics.Instruments(), desired.View()
    guard = Guard(view, settings.trust_domain, settings.tenant, enforced=bool(settings.client_ca))
    readings = readings_writer.ReadingsWriter(fleetstate.open_fleetstate(settings.redis_url))
    fleet = sessions.Sessions(
        store,
        view,
        readings,
        instruments,
        guard=guard,
        events=events.open_events(settings.objects, "skerry-gateway"),
        clock=_now_ms,
        report_timeout_s=settings.report_timeout_seconds,
        heartbeat_s=settings.mark_seconds,
    )
    versions, refused = given_versions.GivenVersions(), refusals.Refusals(store, instruments, _now_ms)
    rules = ingest.Rules(
        versions,
        view.erasures,
        records=rates.Rates(rates.Rate(settings.upload_records_per_second, 10 * settings.upload_records_per_second)),
        size_bytes=rates.Rates(rates.Rate(settings.upload_bytes_per_second, 16 * settings.upload_bytes_per_second)),
        tell=refused.tell,
        clock=_now_ms,
    )
    intake = ingest.Ingest(blobs.open_blobs(settings.blobs), streams.open_streams(settings.redis_url), rules)

    def apply(changes: Sequence[Change], revision: int) -> None:
        fleet.apply(changes, revision)
        versions.apply(changes)

    async with _watched(store, apply) as watching, _running(readings.run()), _running(refused.run()):
        versions.silent_s = lambda: watching.silent_s
        services = Services(store, fleet, intake, instruments, guard, lambda: watching.silent_s)
        async with Listeners(settings, services).open() as ready:
            print(json.dumps({"event": "ready", "service": "gateway", **ready}), flush=True)  # noqa: T201
            await end_requested.wait()
            _log.info("draining", notice_s=settings.notice_seconds, grace_s=settings.drain_seconds)


@contextlib.asynccontextmanager
async def _watched(store: Objects, apply: Callable[[Sequence[Change], int], None]) -> AsyncIterator[watch.Watch]:
    """The objects that nodes are told of, followed; the view is filled before the first node is answered."""
    loop = asyncio.get_running_loop()

    def deliver(changes: Sequence[Change], revision: int) -> None:
        loop.call_soon_threadsafe(apply, changes, revision)

    watching = watch.Watch(store, desired.KINDS, deliver)
    await asyncio.to_thread(watching.start)
    await asyncio.sleep(0)
    try:
        yield watching
    finally:
        await asyncio.to_thread(watching.stop)


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    writing = asyncio.create_task(work)
    try:
        yield
    finally:
        writing.cancel()


def _warn_of_eviction(url: str) -> None:
    """A server that evicts may delete the curator's whole queue when its memory is full."""
    with contextlib.suppress(errors.UnavailableError):
        policy = redis_link.eviction_policy(redis_link.connect(url))
        if policy not in ("", "noeviction"):
            _log.warning("redis_may_evict", policy=policy, message="set maxmemory-policy to noeviction")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    files.keep_private()
    logs.configure("gateway")
    try:
        settings = read()
        logs.configure("gateway", level=settings.log_level)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except errors.SkerryError as exc:
        _log.error("gateway_ended", message=str(exc))
        sys.exit(1)


if __name__ == "__main__":
    main()
