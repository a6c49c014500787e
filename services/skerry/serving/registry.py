"""Which versions of which models are in memory, and which one answers. A new one is loaded beside the old, then swapped
in by one assignment; the old one leaves when its last request is answered (its queue and its runs hold it).

Sequences: see `serving.states`. One load at a time, so that memory is bounded; each model is ready on its own.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from skerry.adapters.telemetry import logs
from skerry.core import errors
from skerry.core.inference import InferRequest
from skerry.core.sequences import Ask
from skerry.serving import sequence_states
from skerry.serving.broadcast import Broadcast
from skerry.serving.metrics import ServingMetrics
from skerry.serving.request_memory import RequestMemory
from skerry.serving.sequence_states import SequenceStates
from skerry.serving.threads import Shares
from skerry.serving.version import Options, Version, open_version
from skerry.serving.watchdog import Watchdog

log = logs.logger("serving")

READY, LOADING, UNAVAILABLE = "READY", "LOADING", "UNAVAILABLE"


@dataclass(slots=True)
class _Entry:
    versions: dict[int, Version] = field(default_factory=dict)
    active: Version | None = None
    previous: Version | None = None  # only for the sequences it began
    loading: set[int] = field(default_factory=set)
    failed: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the repository index."""

    model: str
    version: str
    state: str
    reason: str


class Registry:
    """Used on the loop's thread. `changed` is raised whenever the readiness of anything may have changed."""

    def __init__(self, options: Options, instruments: ServingMetrics) -> None:
        self._options, self._instruments = options, instruments
        self._entries: dict[str, _Entry] = {}
        self._load_lock = asyncio.Lock()
        self._shares = Shares(options.threads)
        self._watchdog = Watchdog()
        self.changed = Broadcast()
        self.is_draining = self.is_ending = False
        instruments.metrics.gauge(
            "skerry_queue_depth",
            "Requests that wait.",
            ("model", "version"),
            lambda: {(version.model, str(version.number)): version.batcher.depth for version in self._all()},
        )
        sequence_states.register(instruments.metrics, self._sequence_states)

    @property
    def requests(self) -> RequestMemory:
        """What requests may hold here."""
        return self._options.requests

    def expect(self, models: Iterable[str]) -> None:
        """These are to be served: until each has a version, the server is not ready."""
        for model in models:
            self._entries.setdefault(model, _Entry())
        self.changed.notify()

    async def load(self, model: str, number: int, folder: Path, *, keep: bool = False) -> Version:
        """Load a version beside what serves; `keep`: it stays when another is activated.

        Raises what `open_version` raises, and RejectedError when another version of that number is loaded; whatever
        served keeps serving.
        """
        entry = self._entries.setdefault(model, _Entry())
        async with self._load_lock:
            entry.loading.add(number)
            self.changed.notify()
            try:
                share = self._shares.offer(model)
                opened = await asyncio.to_thread(
                    open_version, folder, model, number, self._options, self._instruments, share, self._watchdog
                )
            except errors.SkerryError as exc:
                entry.failed[number] = str(exc)
                self._instruments.load_failures.add((model,))
                log.warning("load_failed", model=model, version=number, message=str(exc))
                raise
            finally:
                entry.loading.discard(number)
                self.changed.notify()
        self._shares.take(model, opened.threads)
        loaded = entry.versions.get(number)
        if loaded is not None and loaded.digest != opened.digest:
            raise errors.RejectedError(
                f"version {number} of {model!r} is loaded with another content: a version never changes"
            )
        entry.failed.pop(number, None)
        version = entry.versions.setdefault(number, opened)
        version.is_kept = version.is_kept or keep
        return version

    def activate(self, model: str, number: int) -> Version:
        """From now on the version answers; the one before, and any that is not kept, leaves after its last request.
        Raises NotFoundError when it is not loaded."""
        entry = self._entry(model)
        version = entry.versions.get(number)
        if version is None:
            raise errors.NotFoundError(f"version {number} of {model!r} is not loaded")
        before, entry.active = entry.active, version
        if before is not version:
            self._instruments.swaps.add((model,))
            log.info("model_swapped", model=model, version=number, previous=before.number if before else None)
            self._keep_for_sequences(entry, before)
        for other in list(entry.versions.values()):
            if other is not version and other is not entry.previous and not other.is_kept:
                self._retire(entry, other)
        self.changed.notify()
        return version

    async def swap(self, model: str, number: int, folder: Path) -> Version:
        """`load`, then `activate`."""
        await self.load(model, number, folder)
        return self.activate(model, number)

    def unload(self, model: str) -> None:
        """Forget the model; what is queued is still answered. Raises NotFoundError."""
        entry = self._entry(model)
        del self._entries[model]
        self._shares.take(model, 1)
        for version in list(entry.versions.values()):
            self._retire(entry, version)
        self.changed.notify()

    def find(self, request: InferRequest) -> Version:
        """Who answers. Raises NotFoundError, or UnavailableError while nothing is loaded."""
        entry = self._entries.get(request.model)
        if entry is None:
            raise errors.NotFoundError(f"model {request.model[:80]!r} is not served here")
        if request.version:
            return self._numbered(entry, request.model, request.version)
        if entry.active is None:
            raise errors.UnavailableError(f"model {request.model!r} has no version ready: {_why(entry)}")
        return entry.active

    def holder(self, version: Version, ask: Ask) -> Version:
        """The version that holds the sequence: the active one, or the one before a swap."""
        entry = self._entries.get(version.model)
        previous = entry.previous if entry is not None else None
        if previous is None or previous.states is None or version.states is None or entry is None:
            return version
        if ask.start or version is not entry.active or version.states.knows(ask.key):
            return version
        return previous if previous.states.knows(ask.key) else version

    def lookup(self, model: str, version: str = "") -> Version:
        """As `find`, by name."""
        return self.find(InferRequest(model, (), version))

    def is_model_ready(self, model: str, version: str = "") -> bool:
        """Raises NotFoundError for a model or version that is not known."""
        try:
            self.lookup(model, version)
        except errors.UnavailableError:
            return False
        return not self.is_draining

    @property
    def is_ready(self) -> bool:
        """Every expected model has a version that answers, and there is one at least."""
        entries = self._entries.values()
        return bool(entries) and not self.is_draining and all(entry.active is not None for entry in entries)

    @property
    def is_settled(self) -> bool:
        """Every expected model has a version that answers; a server that was given none yet is settled too, so that
        what waits for its readiness (an update of its pod, an installer) does not wait for a model."""
        return not self.is_draining and all(entry.active is not None for entry in self._entries.values())

    @property
    def models(self) -> list[str]:
        return list(self._entries)

    def numbers(self, model: str) -> list[int]:
        """Loaded versions, the active one first. Raises NotFoundError."""
        entry = self._entry(model)
        first = [] if entry.active is None else [entry.active.number]
        return first + sorted((number for number in entry.versions if number not in first), reverse=True)

    def index(self) -> Iterator[Row]:
        for model, entry in self._entries.items():
            numbers = {*entry.versions, *entry.loading, *entry.failed}
            for number in sorted(numbers):
                if number in entry.versions:
                    yield Row(model, str(number), READY, "" if entry.versions[number] is entry.active else "beside")
                elif number in entry.loading:
                    yield Row(model, str(number), LOADING, "")
                else:
                    yield Row(model, str(number), UNAVAILABLE, entry.failed[number])
            if not numbers:
                yield Row(model, "", UNAVAILABLE, "no version was loaded")

    def drain(self) -> None:
        """Say that nothing new should come; what comes is still answered."""
        self.is_draining = True
        self.changed.notify()

    def end_streams(self) -> None:
        """Streams without an end of their own are to end: their callers open them elsewhere."""
        self.is_draining = self.is_ending = True
        self.changed.notify()

    def stop_runs(self) -> None:
        """Nobody waits any more: a run that goes on would keep the process."""
        for version in self._all():
            version.batcher.stop()

    async def ending(self) -> None:
        """Until `end_streams` is called."""
        while not self.is_ending:
            await self.changed.wait()

    def _entry(self, model: str) -> _Entry:
        entry = self._entries.get(model)
        if entry is None:
            raise errors.NotFoundError(f"model {model[:80]!r} is not served here")
        return entry

    def _numbered(self, entry: _Entry, model: str, text: str) -> Version:
        version = entry.versions.get(int(text)) if text.isdecimal() and len(text) < 16 else None
        if version is None:
            there = ", ".join(str(number) for number in sorted(entry.versions)) or "none"
            raise errors.NotFoundError(f"version {text[:40]!r} of {model!r} is not loaded; loaded: {there}")
        return version

    def _sequence_states(self) -> dict[tuple[str, ...], SequenceStates]:
        states = {(version.model, str(version.number)): version.states for version in self._all()}
        return {labels: held for labels, held in states.items() if held is not None}

    def _keep_for_sequences(self, entry: _Entry, before: Version | None) -> None:
        """One version before the active one stays while sequences it began go on."""
        dropped, entry.previous = entry.previous, None
        now = asyncio.get_running_loop().time()
        if before is not None and before.states is not None and before.states.is_needed(now):
            entry.previous = before
            asyncio.get_running_loop().call_later(self._options.sequences.idle_s, self._sweep, entry)
        if dropped is None or dropped in (entry.previous, entry.active):
            return
        self._retire(entry, dropped)

    def _sweep(self, entry: _Entry) -> None:
        """Let the version before go when its sequences are over; else look again later."""
        previous, loop = entry.previous, asyncio.get_running_loop()
        if previous is None or previous.states is None:
            return
        if previous.states.is_needed(loop.time()):
            loop.call_later(self._options.sequences.idle_s / 4, self._sweep, entry)
            return
        entry.previous = None
        if previous is not entry.active:
            self._retire(entry, previous)

    def _retire(self, entry: _Entry, version: Version) -> None:
        entry.versions.pop(version.number, None)
        active = entry.active
        if active is not None and active is not version and active.states is not None and version.states is not None:
            active.states.forget_elsewhere(version.states)
        version.batcher.close()
        self.changed.notify()
        log.info("version_retired", model=version.model, version=version.number)

    def _all(self) -> Iterator[Version]:
        for entry in self._entries.values():
            yield from entry.versions.values()


def _why(entry: _Entry) -> str:
    if entry.loading:
        return "it is loading; try again"
    return "; ".join(entry.failed.values())[:500] or "none was assigned yet"
