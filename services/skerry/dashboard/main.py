"""The dashboard's process: opens the objects and the readings, serves the page until SIGTERM.

Run as `python -m skerry.dashboard.main`. Ends with 0 on SIGTERM, 2 when it cannot begin.
"""

import asyncio
import json
import signal
import sys
import time

import uvicorn

from skerry.adapters import descriptors, files, fleetstate, http_server, objects, sockets
from skerry.adapters.heartbeat import Heartbeat
from skerry.adapters.telemetry import logs
from skerry.core import addresses, errors
from skerry.dashboard import app, metrics, settings

log = logs.logger("dashboard")
_DRAIN_S = 3
_BEAT_S = 5.0


async def serve(given: settings.Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    with sockets.bind(*addresses.parse("SKERRY_HTTP", given.http)) as listener:
        store = objects.open_objects(given.objects)
        instruments = metrics.Instruments(lambda: objects.silent_s(store))
        heartbeat = Heartbeat("dashboard", lambda: objects.silent_s(store), more=instruments.families.render)
        built = app.build(
            store,
            fleetstate.open_fleetstate(given.redis_url),
            max_streams=given.max_streams,
            hosts=given.hosts_given,
            clock=lambda: time.time_ns() // 1_000_000,
            base_path=given.base_path,
        )
        config = uvicorn.Config(
            metrics.Counted(built, instruments),
            http=http_server.Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_DRAIN_S,
        )
        http = http_server.Server(config, descriptors.for_connections(descriptors.raise_limit()))
        serving = asyncio.create_task(http.serve(sockets=[listener]))  # the socket takes connections from here on
        ready: dict[str, object] = {"event": "ready", "service": "dashboard", "http": sockets.address(listener)}
        if given.health:
            ready["health"] = heartbeat.serve(given.health)
        beating = asyncio.create_task(_beat(heartbeat))
        print(json.dumps(ready), flush=True)  # noqa: T201
        await stopping.wait()
        await built.state.feed.stop()  # open pages would else hold the shutdown up
        http.should_exit = True
        await serving
        beating.cancel()


async def _beat(heartbeat: Heartbeat) -> None:
    """A round of a page's process: its loop still turns."""
    while True:
        heartbeat.beat()
        await asyncio.sleep(_BEAT_S)


def main() -> int:
    files.keep_private()
    logs.configure("dashboard")
    try:
        given = settings.read()
        logs.configure("dashboard", level=given.log_level)
        asyncio.run(serve(given))
    except errors.SkerryError as exc:
        log.error("dashboard_failed", error=str(exc))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
