"""One version in memory: read from its folder, verified against its manifest, tried on its golden set."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from skerry.adapters.telemetry import logs
from skerry.core import digests, errors, sequences
from skerry.core import manifest as manifests
from skerry.core.manifest import Manifest
from skerry.core.sequences import SequencePolicy
from skerry.serving import request_memory, selftest, windows
from skerry.serving.batch_rules import BatchPolicy, VersionLabel
from skerry.serving.batching import Batcher
from skerry.serving.fair_queue import BytePool
from skerry.serving.memory_limit import MemoryLimit
from skerry.serving.metrics import ServingMetrics
from skerry.serving.network import Network
from skerry.serving.pace import Pace
from skerry.serving.request_memory import RequestBound, RequestMemory
from skerry.serving.sequence_states import SequenceStates
from skerry.serving.watchdog import Watchdog

log = logs.logger("serving")

# Above this a row is slow enough for more threads to pay for their waking.
_SLOW_ROW_MS = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How versions are run. `threads`: CPUs that slow models may use together; a quick one runs on one thread. `pool`:
    what their requests may hold together while they wait, of what `requests` allows. `max_trial_s`: how long a golden
    set may run at load; a network that loops then fails to load, and others behind it do not wait for ever.
    `keeps_windows`: the last steps of sequences are kept for who learns from them."""

    provider: str = "cpu"
    threads: int = 1
    batching: BatchPolicy = field(default_factory=BatchPolicy)
    sequences: SequencePolicy = field(default_factory=SequencePolicy)
    memory: MemoryLimit = field(default_factory=MemoryLimit)
    requests: RequestMemory = field(default_factory=RequestMemory)
    max_trial_s: float = 120.0
    keeps_windows: bool = False
    pool: BytePool = field(default_factory=lambda: BytePool(RequestMemory().waiting_bytes))


class Admitted(NamedTuple):
    """A request that fits a version: its rows, the sizes of its free axes, the bytes of its inputs."""

    rows: int
    shape: tuple[int, ...]
    size_bytes: int


@dataclass(slots=True, eq=False)
class Version:
    """`number` is the release counter, `digest` that of the manifest. `states` only for a network with state.
    `is_kept`: stays in memory when another version is activated. `admitted`: forms of requests that fit it."""

    model: str
    number: int
    digest: str
    network: Network
    batcher: Batcher
    states: SequenceStates | None
    selftest: selftest.Result
    bound: RequestBound
    threads: int = 1
    is_kept: bool = False
    admitted: dict[object, Admitted] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        return self.network.manifest


def open_version(
    folder: Path,
    model: str,
    number: int,
    options: Options,
    instruments: ServingMetrics,
    threads: int = 1,
    watchdog: Watchdog | None = None,
) -> Version:
    """Read, verify, load and try the version in `folder`; it may use `threads` if it is slow. Blocks; for a thread.

    Raises IntegrityError (a file is missing or not the one named by digest, the runtime cannot load it, its golden set
    differs), InputError (the manifest is malformed), OverloadedError (not enough memory), UnavailableError (disk).
    """
    data = _read(folder / manifests.FILE_NAME, manifests.MAX_BYTES)
    manifest = manifests.from_json(data)
    if manifest.model != model:
        raise errors.IntegrityError(f"{folder}: its manifest is of model {manifest.model!r}, not {model!r}")
    options.memory.check(f"version {number} of {model!r}", manifest.files["model"].size_bytes)
    network, result, used = _load(manifest, folder, options, threads)
    if not result.passed:
        raise errors.IntegrityError(f"version {number} of {model!r} is not used: {result.reason}")
    digest = manifests.digest_of(data)
    states = _states(manifest, options) if manifest.state else None
    batcher = Batcher(
        network,
        VersionLabel(model, str(number), digest),
        pace=_pace(manifest, result, options.batching),
        policy=options.batching,
        instruments=instruments,
        states=states,
        watchdog=watchdog or Watchdog(),
        pool=options.pool,
    )
    return Version(
        model,
        number,
        digest,
        network,
        batcher,
        states,
        result,
        request_memory.bound_of(manifest, options.requests),
        used,
    )


def _states(manifest: Manifest, options: Options) -> SequenceStates:
    policy = sequences.for_series(options.sequences, manifest.task.step_ms)
    if not (manifest.window and options.keeps_windows):
        return SequenceStates(policy)
    max_bytes = policy.window_bytes
    if why := windows.fault(manifest, max_bytes):
        log.warning("windows_not_kept", model=manifest.model, message=f"{why}: it is served and captures nothing")
    return SequenceStates(policy, windows.WindowRoom(manifest, max_bytes))


def _pace(manifest: Manifest, timed: selftest.Result, policy: BatchPolicy) -> Pace:
    """What the row that was timed at load says of others: with free axes, only of those that are no larger."""
    return Pace(policy, row_s=timed.latency_ms / 1e3, row_bytes=timed.row_bytes, shape=timed.shape)


def _load(manifest: Manifest, folder: Path, options: Options, threads: int) -> tuple[Network, selftest.Result, int]:
    """On one thread; a slow network once more on all it may have, and the quicker of the two stays."""
    model, provider = _file(folder, manifest, "model"), options.provider
    golden = _file(folder, manifest, "golden") if "golden" in manifest.files else None
    network = Network.load(manifest, model, provider=provider)
    result = _tried(network, golden, options.max_trial_s)
    if threads == 1 or result.latency_ms < _SLOW_ROW_MS or provider != "cpu":
        return network, result, 1
    parallel = Network.load(manifest, model, threads=threads)
    again = _tried(parallel, golden, options.max_trial_s)
    faster = again.passed and again.latency_ms < result.latency_ms
    return (parallel, again, threads) if faster else (network, result, 1)


def _tried(network: Network, golden: bytes | None, limit_s: float) -> selftest.Result:
    limit = threading.Timer(limit_s, network.switch.stop)
    limit.daemon = True
    limit.start()
    try:
        return selftest.run(network, golden)
    finally:
        limit.cancel()


def _file(folder: Path, manifest: Manifest, role: str) -> bytes:
    """The bytes that are loaded are the bytes that were hashed: the file cannot be swapped between the two."""
    file = manifest.files[role]
    data = _read(folder / file.name, file.size_bytes)
    return digests.verify(data, file.digest, f"{folder / file.name}")


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as stored:
            data = stored.read(max_bytes + 1)
    except FileNotFoundError as exc:
        raise errors.IntegrityError(f"{path} is missing") from exc
    except OSError as exc:
        raise errors.UnavailableError(f"cannot read {path}: {exc.strerror}") from exc
    if len(data) > max_bytes:
        raise errors.IntegrityError(f"{path} is larger than the {max_bytes} bytes it should have")
    return data
