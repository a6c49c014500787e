"""The curator's process: wires the labeling loop and the schedule, and ends them in order on SIGTERM."""

import asyncio
import contextlib
import functools
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from skerry.adapters import blobs, descriptors, events, files, fleetstate, lease, objects, streams
from skerry.adapters.heartbeat import Heartbeat
from skerry.adapters.oip.remote import RemoteModel
from skerry.adapters.telemetry import logs
from skerry.core import errors
from skerry.curator import identity, metrics, publisher_lease, telling
from skerry.curator.catalogue import Catalogue
from skerry.curator.evidence import EvidenceCounts
from skerry.curator.example_store import ExampleStore
from skerry.curator.field_bounds import FieldBounds
from skerry.curator.in_hand import InHand
from skerry.curator.labeling import Labeling
from skerry.curator.labeling_loop import LabelingLoop
from skerry.curator.model_state import ModelState
from skerry.curator.publisher_lease import PublisherLease
from skerry.curator.restoring import Restoring
from skerry.curator.scanning import Scanning
from skerry.curator.schedule import Schedule
from skerry.curator.set_aside import SetAsideStore
from skerry.curator.setting_aside import SettingAside
from skerry.curator.settings import Settings, read
from skerry.curator.teacher import RemoteTeacher, TimedTeacher
from skerry.curator.work_stream import WorkStream

_TICK_S = 0.25
_LAST_ROUND_S = 2.0

_log = logs.logger("curator")
_T = TypeVar("_T")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    blob_store, readings = blobs.open_shared(settings.blobs), fleetstate.open_fleetstate(settings.redis_url)
    name = identity.new()
    evidence, store = EvidenceCounts(readings, name), ExampleStore(blob_store)
    models: dict[str, ModelState] = {}
    in_hand = InHand(blob_store, name, time.monotonic, settings.stale_s, identity.has_ended)
    resources = objects.open_objects(settings.objects)
    tell = telling.events_of_models(resources, events.open_events(settings.objects, "skerry-curator"))
    bounds = FieldBounds(blob_store, resources, time.monotonic)
    setting_aside = SettingAside(models, in_hand, SetAsideStore(blob_store), _unix_ms, tell)
    labeling = Labeling(models, store, evidence, bounds, setting_aside, _unix_ms, settings.temperature)
    restoring = Restoring(blob_store, Catalogue(blob_store, _unix_ms))
    scanning = Scanning(labeling, store, setting_aside, restoring)
    schedule = Schedule(
        models,
        scanning,
        setting_aside,
        restoring,
        PublisherLease(lease.open_lease(settings.objects, publisher_lease.NAME), name, time.monotonic),
        resources,
        readings,
        evidence,
        blob_store,
        settings,
        name,
        time.monotonic,
        _unix_ms,
    )
    numbers = metrics.families(models, setting_aside, _unix_ms)
    heartbeat = Heartbeat("curator", lambda: objects.silent_s(resources), more=numbers.render)
    with ThreadPoolExecutor(1, thread_name_prefix="labeling") as thread:

        def run(function: Callable[..., _T], /, *args: Any) -> Awaitable[_T]:
            return asyncio.get_running_loop().run_in_executor(thread, function, *args)

        async with RemoteModel(settings.teacher) as remote:
            labeling_loop = LabelingLoop(
                labeling,
                scanning,
                setting_aside,
                WorkStream(streams.open_streams(settings.redis_url, idle_s=settings.idle_seconds), name),
                TimedTeacher(
                    RemoteTeacher(remote, settings.teacher_timeout_seconds),
                    metrics.teacher_seconds(numbers),
                    time.monotonic,
                ),
                evidence,
                run=run,
                monotonic=time.monotonic,
                batch_rows=settings.batch_rows,
                look_s=settings.rescan_seconds,
            )
            # Followed, models are read from a watch and not asked for in every round; what retention reads is not.
            followed = ("EdgeModel", "EdgeNode", "Erasure", "Exclusion", "ModelRollout")
            await run(functools.partial(resources.changes, 0, timeout_s=0.0, kinds=followed))
            await run(schedule.tick)
            ready: dict[str, object] = {"event": "ready", "service": "curator"}
            if settings.health:
                ready["health"] = heartbeat.serve(settings.health)
            print(json.dumps(ready), flush=True)  # noqa: T201  # for the parent process
            rounds = [
                asyncio.create_task(_repeat(stopping, labeling_loop.step, 0.0)),
                asyncio.create_task(_repeat(stopping, lambda: run(_round, schedule, heartbeat), _TICK_S)),
            ]
            await stopping.wait()
            _, late = await asyncio.wait(rounds, timeout=_LAST_ROUND_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*rounds, return_exceptions=True)
            await labeling_loop.close()
            await run(schedule.publish_now)


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


def _round(schedule: Schedule, heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    schedule.tick()


async def _repeat(stopping: asyncio.Event, act: Callable[[], Awaitable[object]], pause_s: float) -> None:
    """Call `act` over and over until the process is to end; a bug in one round must not end the rounds."""
    while not stopping.is_set():
        wait_s = pause_s
        try:
            await act()
        except Exception:  # noqa: BLE001  # a main loop's last line
            _log.exception("round_failed")
            wait_s = 1.0
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), wait_s)


def main() -> None:
    files.keep_private()
    descriptors.raise_limit()
    logs.configure("curator")
    try:
        settings = read()
        logs.configure("curator", level=settings.log_level)
        asyncio.run(serve(settings))
    except errors.SkerryError as exc:
        _log.error("curator_ended", message=str(exc))
        sys.exit(1)


if __name__ == "__main__":
    main()
