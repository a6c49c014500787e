"""The process behind `skerry up`: starts the parts, writes system.json, revives what dies, stops on SIGTERM."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from skerry.adapters import files, objects
from skerry.adapters.telemetry import logs
from skerry.cli import system_file
from skerry.cli.system import fleet, ownership
from skerry.cli.system.layout import Layout
from skerry.cli.system.supervisor import System
from skerry.core import errors

log = logs.logger("supervisor")
_WATCH_S = 0.5


def main(root: Path, nodes: int, transport: str) -> int:
    """Run until SIGTERM or Ctrl-C. Returns the exit code."""
    layout = Layout.found(root)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    names = [f"edge-{number + 1}" for number in range(nodes)]
    try:
        with System(layout, names, transport=transport) as system:
            system.start(lambda text: log.info("progress", text=text))
            ownership.write(layout.root / "supervisor.json", [os.getpid()])
            fleet.introduce(system, objects.open_objects(layout.objects_url))
            log.info("up", dashboard=f"http://127.0.0.1:{system.ports.dashboard}")
            while not stop.wait(_WATCH_S):
                revived = system.revive(time.monotonic())
                for name in revived:
                    log.warning("part_restarted", part=name)
                if revived:
                    system_file.write(layout.root, fleet.describe(system))
            log.info("stopping")
    except errors.SkerryError as exc:
        sys.stderr.write(f"{exc}\n")
        return 4
    return 0


if __name__ == "__main__":
    files.keep_private()
    logs.configure("supervisor")
    raise SystemExit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
