"""Versions: loaded beside, swapped at once, the old one kept when the new one is no good, each model ready alone."""

import asyncio
import os
import weakref
from pathlib import Path

import models
import numpy as np
import pytest
from models import tensor
from plane import Plane, reply_of

from skerry.core import errors, manifest
from skerry.core.inference import InferRequest
from skerry.serving import repository
from skerry.serving.batch_rules import BatchPolicy
from skerry.serving.memory_limit import MemoryLimit
from skerry.serving.version import Options

ROW = tensor([[1, 2, 3, 4]])


async def test_a_swap_under_load_fails_nobody_and_each_answer_names_its_version(tmp_path: Path) -> None:
    first = models.write_linear(tmp_path, "digits", 1, scale=1.0)
    second = models.write_linear(tmp_path, "digits", 2, scale=2.0)
    plane = Plane(tmp_path)
    await plane.registry.swap("digits", 1, first)
    expected = {
        "1": np.array([[1, 2, 3, 4]]) @ models.weights(1.0),
        "2": np.array([[1, 2, 3, 4]]) @ models.weights(2.0),
    }
    seen: list[str] = []

    async def load() -> None:
        while "2" not in seen[-5:] or len(seen) < 50:
            reply = await plane.ask("digits", ROW)
            np.testing.assert_allclose(reply.outputs[0].data, expected[reply.version], rtol=1e-5)
            seen.append(reply.version)
            await asyncio.sleep(0)

    task = asyncio.create_task(load())
    await plane.registry.swap("digits", 2, second)
    await asyncio.wait_for(task, 20)
    assert sorted(seen) == seen, "after the swap nothing is answered by the old version"


async def test_a_version_that_cannot_load_leaves_the_old_one(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    await plane.registry.swap("digits", 2, models.write_linear(tmp_path, "digits", 2))
    broken = models.write_linear(tmp_path, "digits", 3)
    (broken / "model.onnx").write_bytes(b"truncated")
    with pytest.raises(errors.IntegrityError, match=r"model\.onnx"):
        await plane.registry.swap("digits", 3, broken)
    assert (await plane.ask("digits", ROW)).version == "2"
    rows = {row.version: (row.state, row.reason) for row in plane.registry.index()}
    assert rows["2"][0] == "READY"
    assert rows["3"][0] == "UNAVAILABLE"
    assert "does not have its digest" in rows["3"][1]
    assert plane.registry.is_ready


async def test_loading_a_second_version_leaves_the_first_ready(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    await plane.registry.swap("digits", 1, models.write_linear(tmp_path, "digits", 1))
    second = models.write_linear(tmp_path, "digits", 2)
    loading = asyncio.create_task(plane.registry.load("digits", 2, second))
    await plane.registry.changed.wait()
    assert plane.registry.is_model_ready("digits")
    assert [row.state for row in plane.registry.index()] == ["READY", "LOADING"]
    reply_of((await plane.answers([InferRequest("digits", (ROW,))]))[0])
    await loading


async def test_not_ready_with_no_models_with_one_missing_and_while_draining(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    assert not plane.registry.is_ready
    assert plane.registry.is_settled, "nothing is missing yet"
    plane.registry.expect(["digits", "other"])
    await plane.registry.swap("digits", 1, models.write_linear(tmp_path, "digits", 1))
    assert not plane.registry.is_ready
    assert not plane.registry.is_settled
    assert plane.registry.is_model_ready("digits")
    assert not plane.registry.is_model_ready("other")
    await plane.registry.swap("other", 1, models.write_linear(tmp_path, "other", 1))
    assert plane.registry.is_ready
    assert plane.registry.is_settled
    plane.registry.drain()
    assert not plane.registry.is_ready
    assert not plane.registry.is_settled
    reply_of((await plane.answers([InferRequest("digits", (ROW,))]))[0])


async def test_the_old_version_leaves_memory_after_its_last_request(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    await plane.registry.swap("digits", 1, models.write_linear(tmp_path, "digits", 1))
    old = weakref.ref(plane.registry.lookup("digits").network)
    await plane.ask("digits", ROW)
    await plane.registry.swap("digits", 2, models.write_linear(tmp_path, "digits", 2))
    assert old() is None


async def test_a_running_request_is_answered_by_the_version_that_took_it(tmp_path: Path) -> None:
    plane = Plane(tmp_path, Options(batching=BatchPolicy(max_inline_s=0.0)))
    await plane.registry.swap("digits", 1, models.write_linear(tmp_path, "digits", 1))
    (running,) = plane.submit([InferRequest("digits", (ROW,))])
    await plane.registry.swap("digits", 2, models.write_linear(tmp_path, "digits", 2))
    assert reply_of(await running).version == "1"


async def test_a_version_number_never_changes_its_content(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    await plane.registry.swap("digits", 1, models.write_linear(tmp_path / "a", "digits", 1))
    with pytest.raises(errors.RejectedError, match="never changes"):
        await plane.registry.swap("digits", 1, models.write_linear(tmp_path / "b", "digits", 1, scale=3.0))


async def test_unloading_forgets_a_model(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    await plane.registry.swap("digits", 1, models.write_linear(tmp_path, "digits", 1))
    plane.registry.unload("digits")
    with pytest.raises(errors.NotFoundError):
        await plane.ask("digits", ROW)
    with pytest.raises(errors.NotFoundError):
        plane.registry.unload("digits")


async def test_a_version_that_would_go_above_the_memory_limit_is_refused_and_the_first_kept(tmp_path: Path) -> None:
    statm = tmp_path / "statm"
    statm.write_text("0 0 0")
    pages = 90 * (1 << 20) // os.sysconf("SC_PAGE_SIZE")
    plane = Plane(tmp_path, Options(memory=MemoryLimit(64 << 20, statm)))
    await plane.registry.swap("digits", 1, models.write_linear(tmp_path, "digits", 1))
    statm.write_text(f"0 {pages} 0")
    with pytest.raises(errors.OverloadedError, match="64 MiB"):
        await plane.registry.swap("digits", 2, models.write_linear(tmp_path, "digits", 2))
    assert (await plane.ask("digits", ROW)).version == "1"


async def test_200_swaps_and_3000_inferences_do_not_grow_memory(tmp_path: Path) -> None:
    folders = [models.write_linear(tmp_path, "digits", number, scale=number) for number in (1, 2)]
    plane = Plane(tmp_path)
    memory = MemoryLimit()
    before = 0
    for turn in range(200):
        number = 1 + turn % 2
        await plane.registry.swap("digits", number, folders[number - 1])
        for _ in range(15):
            await plane.ask("digits", ROW)
        if turn == 40:
            before = memory.resident_bytes()
    assert memory.resident_bytes() - before < 20 << 20


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "schema"),
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing"),
        (lambda folder: (folder / "golden.npz").write_bytes(b"x"), "golden.npz"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"x" * 100_000), "larger"),
    ],
    ids=["no manifest", "an empty manifest", "no network", "another golden set", "a longer network"],
)
async def test_a_damaged_folder_is_told(tmp_path: Path, spoil, says: str) -> None:  # type: ignore[no-untyped-def]
    folder = models.write_linear(tmp_path, "digits", 1)
    spoil(folder)
    with pytest.raises(errors.SkerryError) as caught:
        await Plane(tmp_path).registry.load("digits", 1, folder)
    assert says in str(caught.value)


async def test_a_manifest_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.IntegrityError, match="is of model 'digits'"):
        await Plane(tmp_path).registry.load("letters", 1, models.write_linear(tmp_path, "digits", 1))


def test_the_latest_version_is_the_highest_number_and_odd_names_are_told(tmp_path: Path) -> None:
    for name in ("2", "9", "10", "011", "tmp", ".staging", "0"):
        (tmp_path / "digits" / name).mkdir(parents=True)
        (tmp_path / "digits" / name / manifest.FILE_NAME).write_text("{}")
    (tmp_path / "digits" / "12").mkdir()
    (found,) = repository.scan(tmp_path)
    assert found.latest == 10
    assert list(found.versions) == [2, 9, 10]
    assert set(found.odd) == {"011", "tmp", "0", "12"}
    assert "leading zeros" in found.odd["011"]
    assert "missing" in found.odd["12"]


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "none"])
def test_a_model_that_is_no_folder_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.NotFoundError):
        repository.scan_model(tmp_path, name)
