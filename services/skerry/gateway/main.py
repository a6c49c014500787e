"""The gateway's process: wires the fleet's streams, the ingest and the static repository; drains on SIGTERM."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence

import uvicorn
import uvloop

from skerry import rpc
from skerry.adapters import blobs, fleetstate, objects, redis_link, streams
from skerry.adapters.objects.protocol import Change
from skerry.adapters.telemetry import logs
from skerry.core import errors
from skerry.gateway import desired, ingest, liveness, methods, metrics, repository, sessions, watch
from skerry.gateway.settings import Settings

MAX_MESSAGE_BYTES = 4 << 20

_log = logs.logger("gateway")


class _Http(uvicorn.Server):
    """uvicorn without signal handlers of its own: the process has one owner of its signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    numbers = metrics.Numbers()
    store = objects.open_objects(settings.objects)
    readings = liveness.Readings(fleetstate.open_fleetstate(settings.redis_url))
    fleet = sessions.Sessions(
        store,
        desired.View(),
        readings,
        numbers,
        clock=lambda: time.time_ns() // 1_000_000,
        report_timeout_s=settings.report_timeout_seconds,
    )

    def deliver(changes: Sequence[Change], revision: int) -> None:
        loop.call_soon_threadsafe(fleet.apply, changes, revision)

    await asyncio.to_thread(_warn_of_eviction, settings.redis_url)
    watching = watch.Watch(store, desired.KINDS, deliver)
    watching.start()
    await asyncio.sleep(0)  # the view is filled before the first node is answered
    intake = ingest.Ingest(blobs.open_blobs(settings.blobs), streams.open_streams(settings.redis_url))
    server = rpc.open_server(
        settings.transport, methods.build(fleet, intake, numbers), max_message_bytes=MAX_MESSAGE_BYTES
    )
    writing = asyncio.create_task(readings.run())
    app = repository.build(settings.repository, numbers, lambda: watching.silent_s)
    with _listen(settings.http) as http_socket:
        http = _Http(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        serving = asyncio.create_task(http.serve(sockets=[http_socket]))
        host, port = _split(settings.listen)
        bound = await server.listen(host, port)
        ready = {"listen": f"{host}:{bound}", "http": "{}:{}".format(*http_socket.getsockname()[:2])}
        print(json.dumps({"event": "ready", "service": "gateway", **ready}), flush=True)  # noqa: T201
        await stopping.wait()
        draining = asyncio.create_task(server.drain(settings.drain_seconds))
        fleet.end_all()
        await draining
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(fleet.closed(), settings.drain_seconds)
        http.should_exit = True
        await serving
    writing.cancel()
    await asyncio.to_thread(watching.stop)


def _warn_of_eviction(url: str) -> None:
    """A server that evicts may delete the curator's whole queue when its memory is full."""
    with contextlib.suppress(errors.UnavailableError):
        policy = redis_link.eviction_policy(redis_link.connect(url))
        if policy not in ("", "noeviction"):
            _log.warning("redis_may_evict", policy=policy, message="set maxmemory-policy to noeviction")


def _split(address: str) -> tuple[str, int]:
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65_535:
        raise errors.InputError(f"address {address!r} must be host:port")
    return host.strip("[]"), int(port)


def _listen(address: str) -> socket.socket:
    host, port = _split(address)
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as exc:
        raise errors.UnavailableError(f"cannot listen on {address}: {exc.strerror}") from exc


def main() -> None:
    settings = Settings()  # type: ignore[call-arg]  # pydantic reads the environment
    logs.configure("gateway", level=settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except errors.SkerryError as exc:
        _log.error("gateway_ended", message=str(exc))
        sys.exit(1)


if __name__ == "__main__":
    main()
