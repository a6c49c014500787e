"""The agent as its users meet it: a process that installs, answers, captures, survives, and comes back by itself."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import agent_fakes
import agent_process
import footprint
import psutil
import pytest
from agent_cascade import SURE, UNSURE
from agent_process import World, serving, token_of

from skerry.adapters import child_process
from skerry.adapters.oip.remote import RemoteModel
from skerry.core import errors
from skerry.proto import edge_pb2

RECORDED = edge_pb2.FeedbackReply.RECORDED


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with agent_process.world(tmp_path) as made:
        yield made


async def test_a_new_node_installs_answers_captures_and_uploads(world: World) -> None:
    ready = await world.start()
    assert (ready["service"], ready["node"], ready["models"]) == ("agent", "edge-1", {})
    with pytest.raises(errors.NotFoundError):
        await world.ask(SURE)
    await serving(world, 1)
    reply = await world.ask(SURE, id="one")
    assert (reply.version, reply.parameters["skerry_reason"]) == ("1", "Confident")
    reply = await world.ask(UNSURE, id="hard")
    assert reply.parameters["skerry_reason"] == "NoTeacher"
    assert await world.feedback("hard", 2, token_of(reply)) == RECORDED
    await agent_fakes.until(lambda: len(world.gateway.cloud.records) >= 2, timeout_s=20)
    assert [(t.request_id, t.label) for t in world.gateway.cloud.truths()] == [("hard", 2)]
    report = world.gateway.reports[-1]
    assert report.runtime.max_opset >= 17
    assert (report.readings[0].requests, report.serving_address) == (2, world.address)


async def test_a_cold_start_without_any_cloud_serves_what_it_had(world: World) -> None:
    await world.start()
    await serving(world, 1)
    await world.stop(signal.SIGKILL)
    await world.gateway.stop()
    world.served.down = True
    ready = await world.start(
        SKERRY_GATEWAY="no-such-host.invalid:1", SKERRY_REPOSITORY_URL="http://no-such-host.invalid"
    )
    assert ready["models"] == {"digits": 1}
    assert (await world.ask(SURE)).version == "1"


async def test_a_tampered_version_is_not_served_after_a_restart(world: World) -> None:
    await world.start()
    await serving(world, 1)
    await serving(world, 2, scale=2.0)
    await world.stop(signal.SIGKILL)
    await world.gateway.stop()
    path = world.tmp / "state/models/digits/2/model.onnx"
    path.write_bytes(path.read_bytes()[:-7])
    assert (await world.start())["models"] == {"digits": 1}
    assert "slot_unusable" in world.log()


async def test_capture_goes_on_without_the_cloud_and_is_uploaded_once_when_it_returns(world: World) -> None:
    await world.start()
    await serving(world, 1)
    await world.gateway.stop()
    for number in range(30):
        await world.ask(UNSURE, id=f"offline-{number}")
    async with asyncio.timeout(20):
        while (await world.spool()).pending < 30:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    await world.stop(signal.SIGKILL)
    await world.start()
    await world.gateway.start()
    await agent_fakes.until(lambda: len(world.gateway.cloud.records) == 30, timeout_s=40)
    assert set(world.gateway.cloud.received.values()) == {1}


async def test_sigterm_under_load_fails_no_request_and_keeps_what_was_captured(world: World) -> None:
    await world.start()
    await serving(world, 1)
    await world.gateway.stop()
    answered, failed, stop = [], [], asyncio.Event()

    async def client() -> None:
        async with RemoteModel(world.address) as remote:
            while not stop.is_set():
                try:
                    answered.append(await world.ask(UNSURE, remote, id=str(len(answered))))
                except errors.UnavailableError:
                    return  # refused as the server goes: a client may try elsewhere
                except errors.SkerryError as exc:
                    failed.append(exc)

    clients = [asyncio.ensure_future(client()) for _ in range(4)]
    await agent_fakes.until(lambda: len(answered) > 50, timeout_s=30)
    code = await world.stop()
    stop.set()
    await asyncio.gather(*clients)
    assert (code, failed) == (0, [])
    ready = await world.start()
    assert ready["models"] == {"digits": 1}
    async with asyncio.timeout(20):
        while not (await world.spool()).captured:  # noqa: ASYNC110 - it opens the spool behind serving
            await asyncio.sleep(0.05)
    assert (await world.spool()).captured >= 50


async def test_a_refused_version_is_reported_once_tried_and_the_old_one_serves_on(world: World) -> None:
    await world.start()
    await serving(world, 1)
    slot = world.publish(world.make(2, scale=3.0))
    world.served.edit = lambda path, data: data[:-1] + b"?" if path.endswith("model.onnx") else data
    world.gateway.assign(slot)
    await agent_fakes.until(lambda: world.gateway.state_of("digits") == "REFUSED", timeout_s=30)
    served = world.served.served_bytes
    await world.stop(signal.SIGKILL)
    await world.start()
    await agent_fakes.until(lambda: world.gateway.state_of("digits") == "REFUSED", timeout_s=30)
    assert world.served.served_bytes == served
    assert (await world.ask(SURE)).version == "1"


HANGING = """
import sys, time
from skerry.agent import main
from skerry.serving import registry
registry.open_version = lambda *_: (print("loading", file=sys.stderr, flush=True), time.sleep(1000))
main.main()
"""


@pytest.mark.long
async def test_a_cold_start_that_hangs_in_a_load_ends_all_the_same(world: World) -> None:
    await world.start()
    await serving(world, 1)
    await world.stop(signal.SIGKILL)
    world.program = ("-c", HANGING)
    began = len(world.log())
    starting = asyncio.ensure_future(world.start(SKERRY_GRACE_SECONDS="0"))
    await agent_fakes.until(lambda: "loading" in world.log()[began:], timeout_s=30)
    assert world.process is not None
    world.process.send_signal(signal.SIGTERM)
    with pytest.raises(AssertionError):  # it ends without a ready line
        await asyncio.wait_for(starting, 30)
    assert await asyncio.to_thread(world.process.wait, 10) == 1
    assert "ended_by_force" in world.log()[began:]


async def test_the_serving_process_stays_small(world: World) -> None:
    await world.start()
    await serving(world, 1)
    for _ in range(50):
        await world.ask(SURE)
    assert world.process is not None
    process = psutil.Process(world.process.pid)
    mapped = {Path(one.path).parts for one in process.memory_maps()}
    packages = {part for parts in mapped for part in parts}
    assert not packages & {"torch", "pydantic_core", "cryptography", "redis", "hiredis", "onnx", "pandas"}
    assert footprint.own_mib(process.pid) < 48


def test_the_serving_process_never_imports_what_only_its_child_or_the_cloud_needs() -> None:
    code = "import skerry.agent.main, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    found = subprocess.run(
        [sys.executable, "-c", code], env=child_process.environment(), capture_output=True, check=True, text=True
    )
    imported = set(found.stdout.split())
    assert "onnxruntime" in imported
    heavy = {"torch", "pydantic", "pydantic_settings", "redis", "tuf", "securesystemslib", "cryptography", "urllib3"}
    assert not imported & (heavy | {"pandas", "onnx", "starlette", "uvicorn", "obstore", "kubernetes"})


async def test_the_agent_and_its_children_connect_to_nobody_but_their_own_cloud(world: World) -> None:
    """While it starts, fetches and tries a version, answers and rests; to ask a name server would be to connect too."""
    seen: set[tuple[str, int]] = set()

    async def watch(process: psutil.Process) -> None:
        while True:
            for one in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    to = [found.raddr for found in one.net_connections("inet") if found.raddr]
                    seen.update((peer.ip.removeprefix("::ffff:"), peer.port) for peer in to)
            await asyncio.sleep(0.02)

    await world.start()
    watching = asyncio.ensure_future(watch(psutil.Process(world.process.pid)))  # type: ignore[union-attr]
    await serving(world, 1)
    await world.ask(SURE)
    await asyncio.sleep(1.0)
    watching.cancel()
    assert ("127.0.0.1", world.gateway.port) in seen  # a fetch may be over between two looks
    assert {ip for ip, _ in seen} == {"127.0.0.1"} and 53 not in {port for _, port in seen}


@pytest.mark.long
async def test_an_idle_agent_writes_nothing(world: World) -> None:
    await world.start()
    await serving(world, 1)
    await world.ask(UNSURE)
    await agent_fakes.until(lambda: bool(world.gateway.cloud.records), timeout_s=20)
    await asyncio.sleep(1.0)
    process = psutil.Process(world.process.pid)  # type: ignore[union-attr]
    before = process.io_counters().write_bytes
    reports = len(world.gateway.reports)
    await agent_fakes.until(lambda: len(world.gateway.reports) > reports + 15, timeout_s=20)
    assert process.io_counters().write_bytes - before < 8192


def test_a_missing_setting_is_named() -> None:
    from skerry.agent import settings

    with pytest.raises(errors.InputError, match="SKERRY_NODE"):
        settings.read({})
    full = {
        "SKERRY_NODE": "edge-1",
        "SKERRY_STATE": "/s",
        "SKERRY_TRUST_ROOT": "/r",
        "SKERRY_GATEWAY": "h:1",
        "SKERRY_REPOSITORY_URL": "http://h",
    }
    assert settings.read(full).beat_s == 1.0
    for name, value in [
        ("SKERRY_NODE", "../x"),
        ("SKERRY_GATEWAY", "nohost"),
        ("SKERRY_BEAT_SECONDS", "0"),
        ("SKERRY_BEAT_SECONDS", "nan"),
        ("SKERRY_SPOOL_MB", "-1"),
        ("SKERRY_TRANSPORT", "h3"),
    ]:
        with pytest.raises(errors.InputError, match=name):
            settings.read(full | {name: value})
