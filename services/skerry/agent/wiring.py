"""The agent's composition: which part is given which, from the settings. Nothing is started limits."""

import asyncio
import platform
import random
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters import files
from skerry.adapters.oip.remote import RemoteModel
from skerry.adapters.telemetry import logs
from skerry.adapters.telemetry import metrics as telemetry
from skerry.agent import (
    feedback_access,
    feedback_servicer,
    feedback_tokens,
    membership,
    metrics,
    privacy_floor,
    warning_servicer,
)
from skerry.agent.capture import capture_queue, captured_row, sampler, spool
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.agent.capture.uploader import Uploader
from skerry.agent.cascade import Cascade
from skerry.agent.erased import Erased
from skerry.agent.residual_memory import ResidualMemory
from skerry.agent.settings import Settings
from skerry.agent.sync import desired_state, gateway_client, node_report, stream
from skerry.agent.sync.load_window import LoadWindow
from skerry.agent.update import activation, compatibility, fetcher, version_store
from skerry.agent.update.ledger import Ledger
from skerry.agent.update.updater import Limits, Updater
from skerry.agent.warning_watch import WarningWatch
from skerry.core import feedback, privacy, subjects
from skerry.core.sequences import SequencePolicy
from skerry.proto import edge_pb2, fleet_pb2
from skerry.rpc.methods import Methods
from skerry.serving import probe, request_memory, runtime, server, servicer, threads
from skerry.serving.dataplane import DataPlane
from skerry.serving.fair_queue import BytePool
from skerry.serving.memory_limit import MemoryLimit
from skerry.serving.metrics import ServingMetrics
from skerry.serving.registry import Registry
from skerry.serving.request_memory import RequestMemory
from skerry.serving.version import Options

log = logs.logger("agent")


@dataclass(frozen=True, slots=True)
class Serving:
    """What answers callers. It needs no gateway."""

    instruments: ServingMetrics
    memory: RequestMemory
    registry: Registry
    remote: RemoteModel | None
    cascade: Cascade
    spool_thread: SpoolThread
    capture_queue: capture_queue.CaptureQueue
    load: LoadWindow
    loader: activation.RegistryLoader
    feedback: feedback_servicer.FeedbackServicer
    watch: WarningWatch
    erased: Erased
    boot_id: str

    def methods(self) -> Methods:
        table = server.build_methods(self.cascade, self.registry, self.instruments, services=[edge_pb2.DESCRIPTOR])
        return {**table, **self.feedback.methods(), **warning_servicer.methods(self.watch)}


@dataclass(frozen=True, slots=True)
class State:
    """What a node remembers: written by the agent that holds the folder's lock, and by no other."""

    ledger: Ledger
    versions: version_store.VersionStore


@dataclass(frozen=True, slots=True)
class Link:
    """What talks to the gateway, and acts on what it says."""

    gateway: gateway_client.GatewayClient
    updater: Updater
    sync: stream.SyncLoop
    uploader: Uploader
    membership: membership.Membership | None


def open_serving(settings: Settings) -> Serving:
    """Raises InputError (no such execution provider, a secret that is too short, a floor of privacy that is
    not right) and UnavailableError (no secret, no floor where one is named)."""
    loop, boot_id = asyncio.get_running_loop(), uuid.uuid4().hex
    instruments = ServingMetrics(telemetry.Metrics("agent"))
    memory = request_memory.here(settings.memory_limit_bytes)
    registry = Registry(_options(settings, memory), instruments)
    spool_limits = spool.Limits(max_bytes=settings.spool_bytes)
    spool_file = settings.state / "spool" / "spool.db"
    spool_thread = SpoolThread(spool_file, spool_limits, lambda: time.strftime("%Y%m%dT%H%M%S"))
    queue = capture_queue.CaptureQueue(spool_thread, captured_row.Source(settings.node, boot_id))
    erased = Erased(settings.state / "erasures.pb", settings.node, spool_thread)
    queue.erased = lambda: erased.rules
    load = LoadWindow(loop.time)
    access, names = _feedback(settings)
    watch = WarningWatch(lambda: time.time_ns() // 1_000_000)
    residual_memory = ResidualMemory(loop.time, load.settled, watch)
    metrics.register_capture(instruments.metrics, queue, residual_memory)
    metrics.register_warnings(instruments.metrics, watch)
    metrics.register_routes(instruments.metrics, load)
    sample = sampler.Sampler(
        queue,
        random.Random().random,
        lambda: time.time_ns() // 1_000_000,
        names,
        residual_memory.remember,
        _subject_key(settings.subject_key_file),
    )
    budgets = feedback_access.CallerBudgets(loop.time)
    edge = feedback_servicer.FeedbackServicer(
        queue, spool_thread, registry, access, budgets, residual_memory, instruments.metrics
    )
    identity = _identity(settings)
    credentials = identity.credentials if identity is not None else None
    remote = RemoteModel(settings.teacher, credentials=credentials) if settings.teacher else None
    floor = privacy_floor.read(settings.privacy) if settings.privacy else privacy.NO_FLOOR
    cascade = Cascade(DataPlane(registry, instruments), remote, sample, load, residual_memory, watch, floor)
    metrics.register_breakers(instruments.metrics, cascade)
    watch.may_leave = lambda model: cascade.privacy_of(model).leave is privacy.Leave.CLOUD
    loader = activation.RegistryLoader(registry, cascade)
    return Serving(
        instruments, memory, registry, remote, cascade, spool_thread, queue, load, loader, edge, watch, erased, boot_id
    )


def open_state(settings: Settings, *, read_only: bool = False) -> State:
    """Raises UnavailableError when the ledger cannot be read."""
    ledger = Ledger(ledger_path(settings), read_only=read_only)
    return State(ledger, version_store.VersionStore(settings.state / "models"))


def ledger_path(settings: Settings) -> Path:
    return settings.state / "ledger"


def open_link(settings: Settings, serving: Serving, state: State, limits: compatibility.Limits, address: str) -> Link:
    """`limits`: what this node's runtime can load. `address`: where clients reach it."""
    identity, draw = _identity(settings), random.Random().random
    gateway = gateway_client.GatewayClient(settings.gateway, identity)
    folder = identity.folder if identity is not None else None
    repository = fetcher.Repository(settings.repository_url, settings.trust_root, settings.state / "trust", folder)
    fetch = fetcher.Fetcher(
        repository, limits, timeout_s=settings.fetch_timeout_s, memory_bytes=settings.fetch_memory_bytes
    )
    updater = Updater(
        state.ledger, state.versions, fetch, serving.loader, draw, Limits(quota_bytes=settings.models_bytes)
    )
    runtime_facts = fleet_pb2.Runtime(
        arch=platform.machine(),
        cpu_class=probe.cpu_class(),
        onnxruntime=limits.onnxruntime,
        max_ir_version=limits.max_ir_version,
        max_opset=limits.max_opset,
    )
    facts = node_report.NodeFacts(settings.node, servicer.release(), serving.boot_id, runtime_facts, address)
    # Differs per boot, so that a permit for a request of an earlier boot fits none of this one.
    reporter = node_report.Reporter(
        facts,
        updater,
        serving.spool_thread,
        serving.load.read,
        serving.watch,
        lambda: serving.erased.up_to,
        first_sequence=random.randrange(1 << 40),
    )
    applier = desired_state.Applier(updater, serving.cascade, serving.erased)
    uploader = Uploader(serving.spool_thread, settings.node, gateway.upload, draw, privacies=serving.cascade)
    sync = stream.SyncLoop(
        gateway.stream,
        reporter.report,
        applier.apply,
        updater.changed,
        draw,
        connected=uploader.resume,
        beat_s=settings.beat_s,
        # A fleet that reports often is small or near: it may also come back quickly.
        cap_s=min(30.0, max(2.0, 5 * settings.beat_s)),
    )
    metrics.register(serving.instruments.metrics, serving.spool_thread, serving.load, sync, updater)
    if identity is not None:
        metrics.register_identity(serving.instruments.metrics, identity)
    return Link(gateway, updater, sync, uploader, _membership(settings, identity, gateway, serving.remote))


def _feedback(settings: Settings) -> tuple[feedback_access.Access, sampler.Names]:
    """Who may tell truths, and what names the answers that they are about."""
    tokens = feedback_tokens.Tokens(
        feedback_tokens.key(settings.state / "feedback.key"),
        lambda: int(time.time()),
        good_for_s=settings.feedback_token_s,
    )
    secret = feedback_access.read_secret(settings.feedback_secret_file) if settings.feedback_secret_file else ""
    access = feedback_access.Access(settings.proofs, tokens, secret)
    return access, tokens if feedback.Proof.TOKEN in settings.proofs else feedback_tokens.NoTokens()


def _subject_key(path: Path | None) -> bytes:
    """Raises InputError (no key in it), UnavailableError (it cannot be read)."""
    return subjects.read_key(files.read(path, max_bytes=4096).decode(errors="replace"), str(path)) if path else b""


def _identity(settings: Settings) -> membership.Identity | None:
    """The node's certificate, where its fleet asks for one."""
    return membership.Identity(settings.identity) if settings.enrol else None


def _membership(
    settings: Settings,
    identity: membership.Identity | None,
    gateway: gateway_client.GatewayClient,
    remote: RemoteModel | None,
) -> membership.Membership | None:
    if identity is None:
        return None

    def renewed() -> None:
        gateway.renewed()
        if remote is not None:
            remote.renewed()

    return membership.Membership(
        identity,
        settings.node,
        enrol_address=settings.enrol,
        gateway=settings.gateway,
        token_file=settings.join_token_file,
        draw=random.Random().random,
        renewed=renewed,
    )


def _options(settings: Settings, requests: RequestMemory) -> Options:
    budget = threads.budget(settings.threads)
    runtime.check_provider(settings.provider)
    log.info("threads", count=budget.count, reason=budget.reason, onnxruntime=runtime.VERSION)
    runtime.bound_memory(requests.arena_bytes)
    return Options(
        provider=settings.provider,
        threads=budget.count,
        memory=MemoryLimit(settings.memory_limit_bytes),
        requests=requests,
        pool=BytePool(requests.waiting_bytes),
        sequences=SequencePolicy(window_bytes=requests.window_bytes),
        keeps_windows=True,
    )
