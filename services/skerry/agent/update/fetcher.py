"""Has versions fetched and tried by `fetch_child`, a process of its own, and believes its verdict or draws one from how
it died.

A child that was killed while it tried the model (an illegal instruction, no memory) condemns the version; one that died
while it fetched says nothing of it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from skerry.adapters import child_process
from skerry.agent.update import compatibility, fetch_child, update_plan, updater
from skerry.agent.update.states import State
from skerry.core import errors

COMMAND = child_process.command("skerry.agent.update.fetch_child")
_MIN_FILE_BYTES = 16 << 20  # metadata and golden sets beside the model


@dataclass(frozen=True, slots=True)
class Repository:
    """Where versions come from and what is believed of it. `trust_state` is this node's folder of trusted metadata,
    `identity` that of its certificate (None: the repository asks for none)."""

    url: str
    trust_root: Path
    trust_state: Path
    identity: Path | None = None


class Fetcher:
    """An `updater.Fetch`. `clock` is wall time in seconds: it may be wrong, the trust client knows."""

    def __init__(
        self,
        repository: Repository,
        limits: compatibility.Limits,
        *,
        clock: Callable[[], float] = time.time,
        timeout_s: float = 300.0,
        memory_bytes: int = 2 << 30,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._repository, self._limits, self._clock = repository, limits, clock
        self._timeout_s, self._memory_bytes, self._command = timeout_s, memory_bytes, command

    async def __call__(self, wanted: update_plan.Assignment, folder: Path, max_bytes: int) -> updater.Outcome:
        """Fetch, verify and try one version into `folder`."""
        job = fetch_child.Job(
            target_path=wanted.target_path,
            digest=wanted.digest,
            folder=str(folder),
            max_bytes=max_bytes,
            trust_state=str(self._repository.trust_state),
            trust_root=str(self._repository.trust_root),
            repository_url=self._repository.url,
            identity=str(self._repository.identity or ""),
            now_unix_s=self._clock(),
            timeout_s=self._timeout_s,
            **asdict(self._limits),
        )
        limits = child_process.Limits(self._timeout_s, self._memory_bytes, max(max_bytes, _MIN_FILE_BYTES))
        try:
            ended = await child_process.run(self._command, asdict(job), limits)
        except errors.UnavailableError as exc:
            return updater.Outcome(State.FETCH_FAILED, str(exc))
        if ended.answer is not None and ended.answer.get("state") in (*State,):
            return updater.Outcome(State(ended.answer["state"]), str(ended.answer.get("reason", "")))
        if any(line.get("phase") == "testing" for line in ended.lines):
            return updater.Outcome(State.REFUSED, f"the process that tried it {ended.how}")
        return updater.Outcome(State.FETCH_FAILED, f"the fetching process {ended.how}")
