"""The child that fetches and tries a version, against a real repository, and what is made of every way it can die."""

import asyncio
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import mirror
import models
import onnx_files
import psutil
import pytest

from skerry.adapters.blobs.directory import DirectoryBlobs
from skerry.adapters.trust import ceremony, keys, repository, store
from skerry.agent import runtime_limits_child
from skerry.agent.update import compatibility, fetcher, update_plan, updater
from skerry.core import manifest

HERE = compatibility.Limits("1.25.0", 10, 20)
NOW = datetime.now(UTC)


@dataclass
class World:
    tmp: Path
    served: mirror.Mirror

    def publish(self, number: int, folder: Path) -> update_plan.Assignment:
        signing = repository.Repository(
            DirectoryBlobs(self.tmp / "repository"), keys.load(self.tmp / "keys" / "online")
        )
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        digest = manifest.digest_of(files["manifest.json"])
        prefix = signing.add_version(store.RETRAINED, "digits", number, digest, files, now=NOW)
        signing.publish(now=NOW)
        return update_plan.Assignment("digits", digest, number, prefix, "r", 1)

    def fetcher(self, *, here: compatibility.Limits = HERE, **options: object) -> fetcher.Fetcher:
        root = self.tmp / "repository" / "metadata" / "1.root.json"
        where = fetcher.Repository(self.served.url, root, self.tmp / "trust")
        return fetcher.Fetcher(where, here, **options)  # type: ignore[arg-type]

    async def fetch(
        self, wanted: update_plan.Assignment, max_bytes: int = 1 << 20, **options: object
    ) -> updater.Outcome:
        folder = self.tmp / "staged"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return await self.fetcher(**options)(wanted, folder, max_bytes)  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    ceremony.ensure(DirectoryBlobs(tmp_path / "repository"), tmp_path / "keys", now=NOW)
    served = mirror.Mirror(tmp_path / "repository")
    yield World(tmp_path, served)
    served.close()


async def test_a_signed_version_is_fetched_verified_and_tried(world: World) -> None:
    wanted = world.publish(1, models.write_linear(world.tmp / "made", "digits", 1))
    outcome = await world.fetch(wanted)
    assert outcome.state == "STAGED", outcome
    assert sorted(p.name for p in (world.tmp / "staged").iterdir()) == ["golden.npz", "manifest.json", "model.onnx"]


async def test_a_version_that_this_runtime_cannot_load_is_not_downloaded(world: World) -> None:
    wanted = world.publish(1, models.write_linear(world.tmp / "made", "digits", 1))
    outcome = await world.fetch(wanted, here=replace(HERE, max_ir_version=onnx_files.IR_VERSION - 1))
    assert outcome.state == "INCOMPATIBLE"
    assert f"IR version is {onnx_files.IR_VERSION}" in outcome.reason
    assert [p.name for p in (world.tmp / "staged").iterdir()] == ["manifest.json"]


async def test_another_digest_than_the_assigned_one_is_refused_before_the_model_is_fetched(world: World) -> None:
    wanted = world.publish(1, models.write_linear(world.tmp / "made", "digits", 1))
    outcome = await world.fetch(replace(wanted, digest="sha256:" + "0" * 64))
    assert outcome.state == "REFUSED"
    assert "which was assigned" in outcome.reason
    assert not (world.tmp / "staged" / "model.onnx").exists()


async def test_a_file_damaged_on_its_way_is_refused_and_named(world: World) -> None:
    wanted = world.publish(1, models.write_linear(world.tmp / "made", "digits", 1))
    world.served.edit = lambda path, data: data[:-1] + b"?" if "model.onnx" in path else data
    outcome = await world.fetch(wanted)
    assert outcome.state == "REFUSED"
    assert "model.onnx" in outcome.reason


async def test_a_version_that_answers_otherwise_than_where_it_was_made_is_refused(world: World) -> None:
    data, golden = models.linear(1.0), models.linear_golden(2.0)
    made = models.manifest_for("digits", data, [models.X], [models.LOGITS], golden=golden)
    wanted = world.publish(1, models.write(world.tmp / "made", "digits", 1, data, made, golden))
    outcome = await world.fetch(wanted)
    assert outcome.state == "REFUSED"
    assert "golden set differs" in outcome.reason


async def test_bytes_that_are_no_network_are_refused(world: World) -> None:
    made = models.manifest_for("digits", b"rubbish" * 100, [models.X], [models.LOGITS])
    wanted = world.publish(1, models.write(world.tmp / "made", "digits", 1, b"rubbish" * 100, made, None))
    outcome = await world.fetch(wanted)
    assert outcome.state == "REFUSED"
    assert "cannot be loaded" in outcome.reason


async def test_an_unreachable_repository_says_nothing_of_the_version(world: World) -> None:
    wanted = world.publish(1, models.write_linear(world.tmp / "made", "digits", 1))
    world.served.down = True
    assert (await world.fetch(wanted)).state == "FETCH_FAILED"


async def test_replayed_metadata_is_not_believed_and_not_held_against_the_version(world: World) -> None:
    wanted = world.publish(1, models.write_linear(world.tmp / "made", "digits", 1))
    world.served.save(world.tmp / "old")
    second = world.publish(2, models.write_linear(world.tmp / "made", "digits", 2, 2.0))
    assert (await world.fetch(second)).state == "STAGED"
    world.served.folder = world.tmp / "old"
    outcome = await world.fetch(wanted)
    assert outcome.state == "FETCH_FAILED"
    assert "Replayed" in outcome.reason


async def test_a_node_with_its_clock_at_1970_still_verifies(world: World) -> None:
    wanted = world.publish(1, models.write_linear(world.tmp / "made", "digits", 1))
    assert (await world.fetch(wanted, clock=lambda: 0.0)).state == "STAGED"


async def test_a_missing_trusted_root_says_what_to_do(world: World) -> None:
    wanted = world.publish(1, models.write_linear(world.tmp / "made", "digits", 1))
    fetch = world.fetcher()
    fetch._repository = replace(fetch._repository, trust_root=world.tmp / "nothing")
    (world.tmp / "staged").mkdir()
    outcome = await fetch(wanted, world.tmp / "staged", 1 << 20)
    assert outcome.state == "FETCH_FAILED"
    assert "put it there" in outcome.reason


async def test_more_bytes_than_there_is_room_for_are_not_asked_for(world: World) -> None:
    wanted = world.publish(1, models.write_linear(world.tmp / "made", "digits", 1))
    outcome = await world.fetch(wanted, max_bytes=100)
    assert outcome.state == "REFUSED"
    assert "100 bytes" in outcome.reason


def script(*lines: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "\n".join(("import json, os, signal, sys, time", "sys.stdin.read()", *lines)))


TESTING = 'print(json.dumps({"phase": "testing"}), flush=True)'


@pytest.mark.parametrize(
    ("lines", "state", "text"),
    [
        pytest.param([TESTING, "os.kill(os.getpid(), signal.SIGILL)"], "REFUSED", "SIGILL: this CPU", id="SIGILL"),
        pytest.param([TESTING, "os.kill(os.getpid(), signal.SIGKILL)"], "REFUSED", "no memory", id="out of memory"),
        pytest.param([TESTING, "os.kill(os.getpid(), signal.SIGSEGV)"], "REFUSED", "SIGSEGV", id="a native crash"),
        pytest.param([TESTING, "sys.exit('boom')"], "REFUSED", "boom", id="an error while it tried the model"),
        pytest.param(["os.kill(os.getpid(), signal.SIGKILL)"], "FETCH_FAILED", "SIGKILL", id="killed while fetching"),
        pytest.param(["raise ValueError('bug')"], "FETCH_FAILED", "ValueError: bug", id="a bug while fetching"),
        pytest.param(["print('chatter')"], "FETCH_FAILED", "code 0", id="no verdict"),
        pytest.param(["print('x' * 200000)", "print('{}')"], "FETCH_FAILED", "code 0", id="endless chatter"),
        pytest.param(["time.sleep(60)"], "FETCH_FAILED", "did not end", id="hangs while fetching"),
        pytest.param([TESTING, "time.sleep(60)"], "REFUSED", "did not end", id="hangs in the self-test"),
        pytest.param(["sys.stderr.write('e' * 3000000)", "sys.exit(3)"], "FETCH_FAILED", "code 3", id="loud errors"),
    ],
)
async def test_what_a_childs_death_says(tmp_path: Path, lines: list[str], state: str, text: str) -> None:
    timeout_s = 2.0 if any("sleep" in line for line in lines) else 30.0
    where = fetcher.Repository("http://127.0.0.1:1", tmp_path / "root", tmp_path / "trust")
    fetch = fetcher.Fetcher(where, HERE, timeout_s=timeout_s, command=script(*lines))
    wanted = update_plan.Assignment("digits", "sha256:" + "a" * 64, 1, "retrained/digits/1", "r", 1)
    outcome = await fetch(wanted, tmp_path, 1 << 20)
    assert outcome.state == state
    assert text in outcome.reason


async def test_a_child_does_not_outlive_its_task(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    lines = (f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))", "time.sleep(600)")
    fetch = fetcher.Fetcher(fetcher.Repository("", tmp_path, tmp_path), HERE, command=script(*lines))
    task = asyncio.ensure_future(fetch(update_plan.Assignment("m", "d", 1, "p", "r", 1), tmp_path, 1))
    async with asyncio.timeout(20):
        while not pid_file.exists() or not pid_file.read_text():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(int(pid_file.read_text()))


async def test_the_probe_finds_what_this_runtime_loads() -> None:
    found = await runtime_limits_child.limits()
    assert found.max_ir_version >= 8
    assert found.max_opset >= 17
    assert found.onnxruntime


@pytest.mark.parametrize(
    "lines",
    [("os.kill(os.getpid(), signal.SIGILL)",), ("print('nonsense')",), ("print('[1]')",)],
    ids=["an illegal instruction", "no JSON", "no limits"],
)
async def test_a_runtime_that_dies_leaves_the_limits_at_zero(lines: tuple[str, ...]) -> None:
    command = (sys.executable, "-c", "\n".join(("import os, signal", *lines)))
    assert await runtime_limits_child.limits(command=command) == compatibility.Limits("", 0, 0)


@pytest.mark.parametrize(
    ("runtime", "text"),
    [
        pytest.param(manifest.Runtime(10, {"": 20}), "", id="at its limits it fits"),
        pytest.param(manifest.Runtime(11, {"": 20}), "IR version is 11", id="a newer IR does not"),
        pytest.param(manifest.Runtime(10, {"": 21}), "opset is 21", id="a newer opset does not"),
        pytest.param(manifest.Runtime(10, {"": 20, "com.microsoft": 99}), "", id="other domains are left to loading"),
        pytest.param(manifest.Runtime(10, {"": 20}, "1.25"), "", id="the same release fits"),
        pytest.param(manifest.Runtime(10, {"": 20}, "1.25.0.0"), "", id="trailing zeros do not count"),
        pytest.param(manifest.Runtime(10, {"": 20}, "1.25.1"), "needs onnxruntime 1.25.1", id="an old release"),
        pytest.param(manifest.Runtime(10, {"": 20}, "1.9"), "", id="releases compare as numbers"),
    ],
)
def test_compatibility(runtime: manifest.Runtime, text: str) -> None:
    fault = compatibility.fault(runtime, HERE)
    assert (text in fault) if text else fault == ""
