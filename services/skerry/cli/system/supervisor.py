"""Starts, watches, restarts and stops the parts of the one-machine system. It knows nothing of models or requests."""

import contextlib
import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from skerry.adapters import blobs, files
from skerry.cli import system_file
from skerry.cli.system import ownership, process_specs
from skerry.cli.system.layout import Layout
from skerry.cli.system.process import Process, wait_ready
from skerry.core import errors

READY_S = 60.0
GRACE_S = 10.0
_MAX_LOG_BYTES = 20 * 2**20
_REVIVE_WAIT_S = (0.2, 0.5, 1, 2, 5, 10, 30)
_STEADY_S = 30.0  # a part that ran this long had no start-up fault

Progress = Callable[[str], None]


class System:
    """All parts below one state folder. Use as a context manager: leaving it stops what runs."""

    def __init__(self, layout: Layout, nodes: Sequence[str], *, transport: str = "h2") -> None:
        self.layout, self.nodes, self.transport = layout, tuple(nodes), transport
        gateway, gateway_http, teacher, teacher_http, *health = free_ports(4 + len(process_specs.HEALTH))
        agents = dict(zip(self.nodes, _pairs(free_ports(2 * len(nodes))), strict=True))
        self.ports = process_specs.Ports(
            gateway,
            gateway_http,
            teacher,
            teacher_http,
            kept_port(layout.dashboard_port),
            agents,
            dict(zip(process_specs.HEALTH, health, strict=True)),
        )
        self.processes: dict[str, Process] = {}
        self._table = self._parts()
        self._held: set[str] = set()  # stopped on purpose: not revived
        self._revivals: dict[str, tuple[int, float]] = {}  # name -> (times, when last)
        self._lock_file: int | None = None

    def _parts(self) -> dict[str, process_specs.ProcessSpec]:
        cloud = process_specs.cloud(self.layout, self.ports, self.transport)
        edge = [process_specs.agent(self.layout, self.ports, node, self.transport) for node in self.nodes]
        return {part.name: part for part in (process_specs.valkey(self.layout), *cloud, *edge)}

    @property
    def owned(self) -> Path:
        return self.layout.root / "processes.json"

    def __enter__(self) -> "System":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, progress: Progress = lambda _: None) -> None:
        """Start everything and wait until all of it is ready. Raises RejectedError when the folder is in use."""
        self.layout.make()
        self._take_folder()
        ownership.stop(self.owned, GRACE_S)
        files.write(self.layout.dashboard_port, f"{self.ports.dashboard}\n".encode())
        self._spawn("valkey")
        self._wait_valkey()
        self._spawn("controller")
        wait_ready(self.processes["controller"], READY_S)
        root = blobs.open_shared(self.layout.repository_url).read("metadata/1.root.json", max_bytes=1 << 20)
        files.write(self.layout.trust_root, root)
        progress("controller and Valkey are ready")
        rest = [name for name in self._table if name not in ("valkey", "controller")]
        for name in rest:
            self._spawn(name)
        for name in rest:
            wait_ready(self.processes[name], READY_S)
            progress(f"{name} is ready")

    def _take_folder(self) -> None:
        self._lock_file = os.open(self.layout.root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock_file)
            self._lock_file = None
            raise errors.RejectedError(
                f"a skerry system runs on {self.layout.root} already: "
                "`skerry down` stops it, --state names another folder"
            ) from exc

    def _spawn(self, name: str) -> Process:
        log = self.layout.log(name)
        if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        self._held.discard(name)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SKERRY_")}
        self.processes[name] = Process(self._table[name], log, inherited)
        ownership.write(self.owned, [process.pid for process in self.processes.values()])
        return self.processes[name]

    def _wait_valkey(self) -> None:
        process, end = self.processes["valkey"], time.monotonic() + READY_S
        while not _answers_ping(self.layout.socket):
            if not process.alive or time.monotonic() > end:
                raise errors.UnavailableError(f"Valkey did not start; {process.log} ends:\n{process.last_words()}")
            time.sleep(0.05)

    def restart(self, *names: str) -> None:
        """Start parts that were held or have died, and wait until they are ready."""
        for name in names:
            self._spawn(name)
        for name in names:
            if name == "valkey":
                self._wait_valkey()
            else:
                wait_ready(self.processes[name], READY_S)

    def hold(self, *names: str, kill: bool = False) -> None:
        """Stop parts and keep them stopped: gently, or by SIGKILL as a power cut would."""
        self._held |= set(names)
        for name in names:
            if kill:
                self.processes[name].kill()
            else:
                self.processes[name].stop(GRACE_S)

    def revive(self, now: float) -> Sequence[str]:
        """Start again what has died by itself, with growing pauses for a part that keeps dying."""
        revived = []
        for name, process in self.processes.items():
            if process.alive or name in self._held:
                continue
            times, last = self._revivals.get(name, (0, float("-inf")))
            times = 0 if now - last > _STEADY_S else times
            if now - last >= _REVIVE_WAIT_S[min(times, len(_REVIVE_WAIT_S) - 1)]:
                revived.append(name)
                self._revivals[name] = (times + 1, now)
        for name in revived:
            self._spawn(name)
        return revived

    def stop(self) -> None:
        """Edge first (they drain and flush their spools), then the cloud, Valkey last."""
        order = [*self.nodes, "dashboard", "curator", "teacher", "gateway", "controller", "valkey"]
        for group in (order[: len(self.nodes)], order[len(self.nodes) : -1], order[-1:]):
            running = [self.processes[name] for name in group if name in self.processes]
            for process in running:
                process.signal(signal.SIGTERM)
            end = time.monotonic() + GRACE_S  # of all of them together
            for process in running:
                process.stop(max(0.0, end - time.monotonic()))
        self.processes.clear()
        if self._lock_file is not None:  # without it these files are of the system that runs here
            self.owned.unlink(missing_ok=True)
            system_file.path(self.layout.root).unlink(missing_ok=True)
            os.close(self._lock_file)
            self._lock_file = None

    def usage(self) -> dict[str, tuple[int, float]]:
        """Per part: memory in bytes (with its children), CPU in seconds."""
        return {
            name: (ownership.memory_bytes(process.pid), ownership.cpu_seconds(process.pid))
            for name, process in self.processes.items()
            if process.alive
        }


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


def kept_port(kept: Path) -> int:
    """The loopback port of before, which `kept` holds; another one where somebody else listens there now."""
    try:
        port = int(kept.read_text())
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what we closed lately is still ours
            listener.bind(("127.0.0.1", port))
    except (OSError, ValueError, OverflowError):
        return free_ports(1)[0]
    return port or free_ports(1)[0]


def _pairs(values: list[int]) -> list[tuple[int, int]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _answers_ping(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False
