"""What the controller asks of whatever runs training jobs. A job outlives the controller that started it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from skerry.core import specs


class State(Enum):
    ABSENT = "Absent"
    SUSPENDED = "Suspended"  # by us, or by a queue that has not admitted it
    WAITING = "Waiting"  # for a node, an image, a volume …
    RUNNING = "Running"
    ENDED = "Ended"


# Reasons of an end that another start would only meet again.
OUT_OF_MEMORY, DEADLINE = "OOMKilled", "DeadlineExceeded"
FINAL = frozenset({OUT_OF_MEMORY, DEADLINE})


@dataclass(frozen=True, slots=True)
class Job:
    """`exit_code` is negative for a signal, and None while it runs, when it was ended from outside, or when nobody who
    could know is left. `reason` (one CamelCase word) and `message` say why it waits or how it ended. `suspend` is what
    `start` was last told of it."""

    state: State
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """The job that a run needs. `timeout_s` bounds the time in which it is not suspended."""

    run: str
    model: str
    timeout_s: int
    template: specs.JobTemplate
    suspend: bool = False


class Jobs(Protocol):
    """Jobs by the name of their run. Raises InputError (the order cannot be: a name that is no safe file name, what the
    cluster calls invalid), RejectedError (not allowed: an operator may change it), UnavailableError."""

    def start(self, order: Order) -> None:
        """Let there be this job: started unless it runs already, held when `order.suspend`, let go on when it was held
        by an earlier order. A job that ended is started again."""
        ...

    def poll(self, name: str) -> Job: ...

    def log(self, name: str, max_bytes: int) -> bytes:
        """The last `max_bytes` of what the job printed; empty when there is nothing."""
        ...

    def stop(self, name: str) -> None:
        """End the job and all it started, and forget it. Nothing happens when there is none."""
        ...

    def names(self) -> Sequence[str]:
        """Jobs that run, wait or ended and were not yet stopped."""
        ...
