"""The controller process: reads its settings, opens its adapters, founds the model repository on first start, leads.

Run as `python -m skerry.controller.main`. Ends with 0 on SIGTERM, 1 when another controller took over, 2 when
it cannot begin.
"""

import json
import os
import signal
import socket
import sys
import threading
from datetime import UTC, datetime

from skerry.adapters import blobs, descriptors, events, files, fleetstate, lease, objects
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.heartbeat import Heartbeat
from skerry.adapters.telemetry import logs
from skerry.adapters.trust import ceremony
from skerry.controller import leader, metrics, publish, reconcile, runs, settings, valkey_memory, webhook
from skerry.controller.jobs import opening
from skerry.controller.store import Store
from skerry.controller.view import View
from skerry.core import errors

log = logs.logger("controller")


def main() -> int:
    files.keep_private()
    descriptors.raise_limit()
    logs.configure("controller")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        given = settings.read()
        logs.configure("controller", level=given.log_level)
        return _run(given, stop)
    except errors.SkerryError as exc:
        log.error("controller_failed", error=str(exc))
        return 2


def _run(given: settings.Settings, stop: threading.Event) -> int:
    store_of_objects = objects.open_objects(given.objects)
    blob_store = blobs.open_blobs(given.blobs)
    held = lease.open_lease(given.objects, "controller")
    repository = ceremony.ensure(
        blobs.open_shared(given.repository), given.keys, now=datetime.now(UTC), seed=given.trust_seed
    )
    jobs = opening.open_jobs(given)
    told = events.open_events(given.objects, "skerry-controller")
    hook = _open_webhook(given, blob_store)
    store = Store(store_of_objects, held, told, View(store_of_objects))
    publisher = publish.Publisher(store, blob_store, repository)
    reconciler = reconcile.Reconciler(
        store,
        runs.Runs(
            store, jobs, blob_store, publisher, given.max_jobs, ends_jobs=not opening.outlive_the_controller(given)
        ),
        publisher,
        repository,
        fleetstate.open_fleetstate(given.redis_url),
        blob_store,
        keep_rollouts=given.keep_rollouts,
        keep_runs=given.keep_runs,
        keep_audit_days=given.keep_audit_days,
        webhook_=hook,
    )
    holder = f"{socket.gethostname()}-{os.getpid()}"
    memory = valkey_memory.ValkeyMemory(given.redis_url)
    memory.follow()
    leading = leader.Leading()
    numbers = metrics.families(reconciler, memory, lambda: leading.leads)
    if hook is not None:
        hook.register(numbers)
        hook.start()
    heartbeat = Heartbeat("controller", lambda: objects.silent_s(store_of_objects), more=numbers.render)
    ready: dict[str, object] = {"event": "ready", "service": "controller", "holder": holder}
    if given.health:
        ready["health"] = heartbeat.serve(given.health)
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    ours = leader.Leader(
        reconciler.wait, held, holder, reconciler.tick, reconciler.drain, given.tick_seconds, heartbeat.beat, leading
    )
    return ours.run(stop)


def _open_webhook(given: settings.Settings, blob_store: Blobs) -> webhook.Webhook | None:
    """Raises InputError for what is given by half, or wrong."""
    if not given.webhook_url:
        return None
    if given.webhook_secret is None:
        raise errors.InputError("SKERRY_WEBHOOK_SECRET must name the file of the secret that signs what is sent")
    try:
        secret = given.webhook_secret.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise errors.InputError(f"SKERRY_WEBHOOK_SECRET {given.webhook_secret} cannot be read: {exc}") from exc
    share = given.webhook_offline_percent / 100
    return webhook.opened(given.webhook_url, secret, given.webhook_allow, share, blob_store)


if __name__ == "__main__":
    sys.exit(main())
