"""A step of a streaming network is captured, and asked about, with the window of steps that ends with it."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import streaming_models
from agent_cascade import OPEN_POLICY, Node
from numpy.typing import NDArray

from skerry.agent.update import version_store
from skerry.core import errors, feedback, manifest, sampling, specs
from skerry.core.inference import InferReply, InferRequest
from skerry.core.sequences import SequencePolicy
from skerry.core.tasks import Forecast
from skerry.serving.predictor import Context, predict
from skerry.serving.version import Options

WINDOW = 4
ALWAYS = replace(OPEN_POLICY, exploration_permille=1000)
_numbers = itertools.count()


def sure() -> NDArray[np.float32]:
    """A step that no other is like, of class 2 without a doubt."""
    return np.array([0.0, 0.0, 0.0, 20 + next(_numbers) / 7], dtype=np.float32)


def hard() -> NDArray[np.float32]:
    """A step that no other is like, of any class."""
    return np.array([0.0, 0.0, 0.0, next(_numbers) / 7e6], dtype=np.float32)


async def serving(
    root: Path,
    policy: specs.OffloadSpec = OPEN_POLICY,
    *,
    window: int = WINDOW,
    sequences: SequencePolicy | None = None,
    **options: Any,
) -> Node:
    node = Node(root, serving=Options(keeps_windows=True, sequences=sequences or SequencePolicy()), **options)
    await swap(node, 1, window=window)
    node.cascade.set_policy("digits", policy)
    return node


async def swap(node: Node, number: int, *, window: int = WINDOW) -> None:
    folder = streaming_models.write_pieces(node.root, "digits", number, window=window)
    digest = manifest.digest_of((folder / "manifest.json").read_bytes())
    await node.loader.swap(version_store.Slot("digits", number, digest, folder))


async def send(
    node: Node, *steps: NDArray[np.float32], key: int | str = 5, start: bool = False, end: bool = False, id: str = "r"
) -> InferReply:
    parameters = {"sequence_id": key, "sequence_start": start, "sequence_end": end}
    request = InferRequest("digits", (models.tensor([np.stack(steps)]),), id=id, parameters=parameters)
    return await predict(node.cascade, request, Context())


def said(reply: InferReply) -> Any:
    return reply.parameters.get("skerry_window")


def kept(node: Node) -> list[bytes]:
    return [row.inputs[0].raw for row in node.kept]


async def test_a_hard_step_is_captured_once_with_its_window_bit_for_bit(tmp_path: Path) -> None:
    node = await serving(tmp_path, has_teacher=False)
    steps = [sure(), hard(), sure(), sure(), hard(), hard()]
    replies = [await send(node, step, start=at == 0, id=f"r{at}") for at, step in enumerate(steps)]
    assert [said(reply) for reply in replies] == [1, 2, 3, 4, 4, 4]
    (row,) = node.kept
    assert row.inputs[0].raw == np.stack(steps[1:5]).tobytes()
    assert (row.inputs[0].shape, row.inputs[0].datatype, row.request_id) == ((WINDOW, 4), "FP32", "r4")
    assert (row.kind, len(row.local_logits)) == (sampling.Kind.HARD, models.CLASSES)
    tokens = [reply.parameters.get(feedback.PARAMETER) for reply in replies]
    assert tokens == [None] * 4 + ["token of r4", None], "a truth can be told of what was captured"


async def test_a_streaming_forecaster_keeps_every_answer_that_has_its_window(tmp_path: Path) -> None:
    """Before: one for each window, so that of a sequence of twelve two were learned from, and two judged."""
    node = await serving(tmp_path, has_teacher=False)
    load = Forecast("load", "kWh", (100, 500, 900), 3600)
    await node.loader.swap(streaming_models.write_forecaster(node.root, "load", 1, load))
    node.cascade.set_policy("load", ALWAYS)
    steps = [sure() for _ in range(12)]
    for at, step in enumerate(steps):
        parameters = {"sequence_id": 5, "sequence_start": at == 0}
        tensor = models.tensor([np.stack([step])])
        await predict(node.cascade, InferRequest("load", (tensor,), id=f"r{at}", parameters=parameters), Context())
    assert kept(node) == [np.stack(steps[at - 4 : at]).tobytes() for at in range(4, 13)]
    assert {row.kind for row in node.kept} == {sampling.Kind.EXPLORATION}


async def test_a_sequence_gives_its_next_hard_window_when_none_of_its_steps_was_captured(tmp_path: Path) -> None:
    node = await serving(tmp_path, has_teacher=False)
    steps = [hard() for _ in range(3 * WINDOW + 1)]
    for at, step in enumerate(steps):
        await send(node, step, start=at == 0)
    assert kept(node) == [np.stack(steps[at : at + WINDOW]).tobytes() for at in (0, WINDOW, 2 * WINDOW)]


async def test_before_the_window_is_full_a_hard_step_is_answered_here_and_not_captured(tmp_path: Path) -> None:
    node = await serving(tmp_path)
    reasons = [(await send(node, hard(), start=at == 0)).parameters["skerry_reason"] for at in range(3)]
    assert reasons == ["Stateful"] * 3
    assert node.kept == [] and node.teacher.asked == []


async def test_the_cloud_is_asked_about_the_window_of_a_hard_step(tmp_path: Path) -> None:
    node = await serving(tmp_path)
    steps = [sure(), sure(), sure(), hard()]
    for at, step in enumerate(steps[:3]):
        await send(node, step, start=at == 0)
    reply = await send(node, steps[3])
    assert (reply.parameters["skerry_route"], reply.parameters["skerry_window"]) == ("cloud", WINDOW)
    ((asked, _),) = node.teacher.asked
    np.testing.assert_array_equal(asked.inputs[0].data, [np.stack(steps)])
    assert asked.parameters == {}, "the window stands for itself"
    assert kept(node) == [np.stack(steps).tobytes()] and node.kept[0].route == "cloud"


async def test_what_the_cloud_answers_late_is_captured_with_the_window_of_then(tmp_path: Path) -> None:
    node = await serving(tmp_path)
    node.teacher.delay_s = 0.01
    steps = [sure(), sure(), sure(), hard(), sure(), sure()]
    await send(node, *steps[:3], start=True)
    await asyncio.gather(*(send(node, step) for step in steps[3:]))
    assert kept(node) == [np.stack(steps[:4]).tobytes()]


async def test_pieces_of_any_length_make_the_window(tmp_path: Path) -> None:
    node = await serving(tmp_path, ALWAYS)
    steps = [sure() for _ in range(11)]
    assert said(await send(node, *steps[:3], start=True)) == 3
    assert said(await send(node, *steps[3:5])) == 4
    assert said(await send(node, *steps[5:])) == 4
    assert kept(node) == [np.stack(steps[1:5]).tobytes(), np.stack(steps[7:]).tobytes()]


async def test_interleaved_sequences_with_text_ids_have_windows_of_their_own(tmp_path: Path) -> None:
    node = await serving(tmp_path, ALWAYS)
    steps = {key: [sure() for _ in range(WINDOW)] for key in ("left", "right", 7)}
    for at in range(WINDOW):
        for key, mine in steps.items():
            assert said(await send(node, mine[at], key=key, start=at == 0, end=at == WINDOW - 1)) == at + 1
    assert kept(node) == [np.stack(mine).tobytes() for mine in steps.values()]


async def test_a_sequence_that_begins_again_has_a_new_window(tmp_path: Path) -> None:
    node = await serving(tmp_path, ALWAYS)
    await send(node, sure(), sure(), sure(), start=True)
    assert said(await send(node, sure(), start=True)) == 1
    await send(node, sure(), end=True)
    assert said(await send(node, sure(), start=True)) == 1
    assert node.kept == []


async def test_over_a_hot_swap_a_window_goes_on_with_its_state_and_begins_anew_on_the_new_version(
    tmp_path: Path,
) -> None:
    node = await serving(tmp_path, ALWAYS)
    steps = [sure() for _ in range(4)]
    await send(node, *steps[:3], start=True)
    await swap(node, 2)
    last = await send(node, steps[3])
    assert (last.version, said(last), kept(node)) == ("1", 4, [np.stack(steps).tobytes()])
    fresh = await send(node, sure(), start=True)
    assert (fresh.version, said(fresh)) == ("2", 1)


async def test_a_step_that_failed_is_in_no_window(tmp_path: Path) -> None:
    node = await serving(tmp_path, ALWAYS)
    steps = [sure() for _ in range(4)]
    await send(node, *steps[:3], start=True)
    with pytest.raises(errors.InputError, match="NaN"):
        await send(node, np.full(4, np.nan, dtype=np.float32))
    assert said(await send(node, steps[3])) == 4
    assert kept(node) == [np.stack(steps).tobytes()]


async def test_the_same_window_twice_is_captured_as_the_same_input(tmp_path: Path) -> None:
    node = await serving(tmp_path, ALWAYS)
    steps = [sure() for _ in range(WINDOW)]
    for key in ("a", "b"):
        await send(node, *steps, key=key, start=True, end=True)
    first, second = kept(node)
    assert first == second, "of equal inputs a dataset holds one (curator.captured_rows)"


async def test_a_version_that_names_no_window_is_served_as_before(tmp_path: Path) -> None:
    node = await serving(tmp_path, ALWAYS, window=0)
    replies = [await send(node, hard(), start=at == 0) for at in range(6)]
    assert {reply.parameters["skerry_reason"] for reply in replies} == {"Stateful"}
    assert {said(reply) for reply in replies} == {None} and node.kept == []


async def test_a_sequence_without_room_for_a_window_is_served_and_says_so(tmp_path: Path) -> None:
    room_for_one = SequencePolicy(window_bytes=WINDOW * 4 * 4)
    node = await serving(tmp_path, ALWAYS, sequences=room_for_one)
    assert said(await send(node, sure(), key=1, start=True)) == 1
    assert said(await send(node, *[sure() for _ in range(WINDOW)], key=2, start=True)) == 0
    assert node.kept == []
