"""What the controller asks of whatever runs training jobs. A job outlives the controller that started it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class State(Enum):
    ABSENT = "Absent"
    RUNNING = "Running"
    ENDED = "Ended"


@dataclass(frozen=True, slots=True)
class Job:
    """`exit_code` is negative for a signal, and None while it runs or when nobody who could know is left."""

    state: State
    exit_code: int | None = None


class Jobs(Protocol):
    """Raises InputError (a name that is no safe file name), UnavailableError (the job could not be started)."""

    def start(self, name: str, environment: Mapping[str, str]) -> None:
        """Start the job unless one of that name runs already."""
        ...

    def poll(self, name: str) -> Job: ...

    def log(self, name: str, max_bytes: int) -> bytes:
        """The last `max_bytes` of what the job printed; empty when there is nothing."""
        ...

    def stop(self, name: str) -> None:
        """End the job and all it started, and forget it. Nothing happens when there is none."""
        ...

    def names(self) -> Sequence[str]:
        """Jobs that run or ended and were not yet stopped."""
        ...
