"""Jobs for tests: they run until the test says how they ended."""

from collections.abc import Sequence

from skerry.adapters import files
from skerry.controller.jobs.protocol import Job, Order, State


class MemoryJobs:
    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.logs: dict[str, bytes] = {}
        self.orders: dict[str, Order] = {}
        self.started: list[str] = []

    def end(self, name: str, exit_code: int | None, log: bytes = b"", reason: str = "", message: str = "") -> None:
        """Let a running job end."""
        self.jobs[name] = Job(State.ENDED, exit_code, reason, message)
        self.logs[name] = log

    def start(self, order: Order) -> None:
        name, now = files.check_name(order.run, "job"), self.poll(order.run)
        self.orders[name] = order
        if order.suspend:
            self.jobs[name] = Job(State.SUSPENDED, suspend=True)
        elif now.state in (State.ABSENT, State.ENDED) or now.suspend:
            self.jobs[name] = Job(State.RUNNING)
            self.started.append(name)

    def poll(self, name: str) -> Job:
        return self.jobs.get(name, Job(State.ABSENT))

    def log(self, name: str, max_bytes: int) -> bytes:
        return self.logs.get(name, b"")[-max_bytes:]

    def stop(self, name: str) -> None:
        self.jobs.pop(name, None)
        self.logs.pop(name, None)

    def names(self) -> Sequence[str]:
        return sorted(self.jobs)
