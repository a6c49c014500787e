"""The agent's composition: which part is given which, from the settings. Nothing is started here."""

import asyncio
import platform
import random
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters.oip.remote import RemoteModel
from skerry.adapters.telemetry import logs
from skerry.adapters.telemetry import metrics as telemetry
from skerry.agent import cascade, feedback_servicer, membership, metrics
from skerry.agent.capture import capture_queue, spool, spool_thread
from skerry.agent.capture import sampler as keeping
from skerry.agent.capture import uploader as upload
from skerry.agent.settings import Settings
from skerry.agent.sync import desired_state, gateway_client, load_window, node_report, stream
from skerry.agent.update import activation, compatibility, fetcher, ledger, updater, version_store
from skerry.proto import edge_pb2, fleet_pb2
from skerry.rpc.methods import Methods
from skerry.serving import probe, runtime, server, servicer, threads
from skerry.serving.dataplane import DataPlane
from skerry.serving.memory_limit import MemoryLimit
from skerry.serving.metrics import ServingMetrics
from skerry.serving.registry import Registry
from skerry.serving.version import Options

log = logs.logger("agent")


@dataclass(frozen=True, slots=True)
class Serving:
    """What answers callers. It needs no gateway."""

    instruments: ServingMetrics
    registry: Registry
    remote: RemoteModel | None
    cascade: cascade.Cascade
    store: spool_thread.Keeper
    collector: capture_queue.Collector
    readings: load_window.Readings
    loader: activation.RegistryLoader
    boot_id: str

    def methods(self) -> Methods:
        table = server.build_methods(self.cascade, self.registry, self.instruments, services=[edge_pb2.DESCRIPTOR])
        return {**table, **feedback_servicer.Edge(self.collector, self.store, self.registry).methods()}


@dataclass(frozen=True, slots=True)
class State:
    """What a node remembers: written by the agent that holds the folder's lock, and by no other."""

    book: ledger.Ledger
    disk: version_store.Slots


@dataclass(frozen=True, slots=True)
class Link:
    """What talks to the gateway, and acts on what it says."""

    cloud: gateway_client.Cloud
    updater: updater.Updater
    sync: stream.Sync
    uploader: upload.Uploader
    membership: membership.Membership | None


def serving(settings: Settings) -> Serving:
    """Raises InputError (no such execution provider)."""
    loop, boot_id = asyncio.get_running_loop(), uuid.uuid4().hex
    instruments = ServingMetrics(telemetry.Metrics())
    registry = Registry(_options(settings), instruments)
    limits = spool.Limits(max_bytes=settings.spool_bytes)
    store = spool_thread.Keeper(settings.state / "spool" / "spool.db", limits, lambda: time.strftime("%Y%m%dT%H%M%S"))
    kept = capture_queue.Collector(store, capture_queue.Identity(settings.node, boot_id))
    metrics.register_capture(instruments.metrics, kept)
    counted = load_window.Readings(loop.time)
    sampler = keeping.Sampler(kept, random.Random().random, lambda: time.time_ns() // 1_000_000)
    identity = _identity(settings)
    credentials = identity.credentials if identity is not None else None
    remote = RemoteModel(settings.teacher, credentials=credentials) if settings.teacher else None
    answers = cascade.Cascade(DataPlane(registry, instruments), remote, sampler, counted)
    return Serving(
        instruments,
        registry,
        remote,
        answers,
        store,
        kept,
        counted,
        activation.RegistryLoader(registry, answers),
        boot_id,
    )


def state(settings: Settings, *, read_only: bool = False) -> State:
    """Raises UnavailableError when the ledger cannot be read."""
    book = ledger.Ledger(ledger_path(settings), read_only=read_only)
    return State(book, version_store.Slots(settings.state / "models"))


def ledger_path(settings: Settings) -> Path:
    return settings.state / "ledger"


def link(settings: Settings, serves: Serving, mine: State, here: compatibility.Limits, address: str) -> Link:
    """`here`: what this node's runtime can load. `address`: where clients reach it."""
    identity, draw = _identity(settings), random.Random().random
    gateway = gateway_client.Cloud(settings.gateway, identity)
    folder = identity.folder if identity is not None else None
    repository = fetcher.Repository(settings.repository_url, settings.trust_root, settings.state / "trust", folder)
    fetch = fetcher.Fetcher(
        repository, here, timeout_s=settings.fetch_timeout_s, memory_bytes=settings.fetch_memory_bytes
    )
    limits = updater.Limits(quota_bytes=settings.models_bytes)
    updates = updater.Updater(mine.book, mine.disk, fetch, serves.loader, draw, limits)
    runtime_here = fleet_pb2.Runtime(
        arch=platform.machine(),
        cpu_class=probe.cpu_class(),
        onnxruntime=here.onnxruntime,
        max_ir_version=here.max_ir_version,
        max_opset=here.max_opset,
    )
    me = node_report.Self(settings.node, servicer.release(), serves.boot_id, runtime_here, address)
    # Differs per boot, so that a permit for a request of an earlier boot fits none of this one.
    reporter = node_report.Reporter(
        me, updates, serves.store, serves.readings.read, first_sequence=random.randrange(1 << 40)
    )
    taking = desired_state.Intake(updates, serves.cascade)
    uploads = upload.Uploader(serves.store, settings.node, gateway.upload, draw)
    streams = stream.Sync(
        gateway.stream,
        reporter.report,
        taking.take,
        updates.changed,
        draw,
        connected=uploads.cloud_is_back,
        beat_s=settings.beat_s,
        # A fleet that reports often is small or near: it may also come back quickly.
        cap_s=min(30.0, max(2.0, 5 * settings.beat_s)),
    )
    metrics.register(serves.instruments.metrics, serves.store, serves.readings, streams, updates)
    if identity is not None:
        metrics.register_identity(serves.instruments.metrics, identity)
    return Link(gateway, updates, streams, uploads, _membership(settings, identity, gateway, serves.remote))


def _identity(settings: Settings) -> membership.Identity | None:
    """The node's certificate, where its fleet asks for one."""
    return membership.Identity(settings.identity) if settings.enrol else None


def _membership(
    settings: Settings, identity: membership.Identity | None, gateway: gateway_client.Cloud, remote: RemoteModel | None
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


def _options(settings: Settings) -> Options:
    budget = threads.budget(settings.threads)
    runtime.check_provider(settings.provider)
    log.info("threads", count=budget.count, reason=budget.reason, onnxruntime=runtime.VERSION)
    return Options(provider=settings.provider, threads=budget.count, memory=MemoryLimit(settings.memory_limit_bytes))
