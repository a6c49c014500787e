"""Jobs for tests: they run until the test says how they ended."""

from collections.abc import Mapping, Sequence

from skerry.adapters import files
from skerry.controller.jobs.protocol import Job, State


class MemoryJobs:
    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.logs: dict[str, bytes] = {}
        self.environments: dict[str, Mapping[str, str]] = {}
        self.started: list[str] = []

    def end(self, name: str, exit_code: int | None, log: bytes = b"") -> None:
        """Let a running job end."""
        self.jobs[name] = Job(State.ENDED, exit_code)
        self.logs[name] = log

    def start(self, name: str, environment: Mapping[str, str]) -> None:
        files.check_name(name, "job")
        if self.poll(name).state is not State.RUNNING:
            self.jobs[name] = Job(State.RUNNING)
            self.environments[name] = dict(environment)
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
