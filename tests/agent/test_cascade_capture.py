"""Which answers are kept to learn from, as the cascade sees it, and that their callers are told by a token."""

import asyncio
from dataclasses import replace
from pathlib import Path

import agent_cascade
import models
import numpy as np
import pytest
from agent_cascade import OPEN_POLICY, SURE, UNSURE

from skerry.agent.update import version_store
from skerry.core import confidence, feedback, manifest, sampling


async def test_hard_rows_are_kept_as_the_caller_sent_them(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    await node.ask(SURE)
    await node.ask(UNSURE, id="hard-one")
    (kept,) = node.kept
    assert (kept.request_id, kept.kind, kept.route, kept.reason) == (
        "hard-one",
        sampling.Kind.HARD,
        "cloud",
        "LowConfidence",
    )
    assert kept.confidence == pytest.approx(1 / 3)
    assert (kept.inputs[0].raw, kept.inputs[0].shape) == (np.zeros(4, dtype="<f4").tobytes(), (4,))
    assert len(kept.local_logits) == 3


async def test_rows_of_one_request_are_kept_apart(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    await node.ask(UNSURE, SURE, UNSURE, id="batch")
    assert [kept.request_id for kept in node.kept] == ["batch#0", "batch#2"]


async def test_exploration_keeps_confident_answers_too(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path, replace(OPEN_POLICY, exploration_permille=100), u=0.05)
    await node.ask(SURE)
    assert [kept.kind for kept in node.kept] == [sampling.Kind.EXPLORATION]


async def test_capture_is_capped_and_answers_are_not(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path, replace(OPEN_POLICY, capture_per_second=5))
    replies = await asyncio.gather(*(node.ask(UNSURE) for _ in range(60)))
    assert len(replies) == 60
    assert 5 <= len(node.kept) < 30


async def test_a_request_id_too_long_to_keep_is_not_kept(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    await node.ask(UNSURE, id="x" * 5000)
    assert [kept.request_id for kept in node.kept] == [""]


async def test_a_step_of_a_sequence_stays_on_the_node_and_is_not_kept(tmp_path: Path) -> None:
    node = agent_cascade.Node(tmp_path)
    folder = models.write_rnn(tmp_path, "digits", 1)
    digest = manifest.digest_of((folder / "manifest.json").read_bytes())
    await node.loader.swap(version_store.Slot("digits", 1, digest, folder))
    node.cascade._versions[digest] = replace(  # a threshold that no answer reaches
        node.cascade._versions[digest], confidence=confidence.Calibration(1.0, 2.0)
    )
    reply = await node.ask(UNSURE, parameters={"sequence_id": 5, "sequence_start": True})
    assert (reply.parameters["skerry_route"], reply.parameters["skerry_reason"]) == ("local", "Stateful")
    assert node.kept == []


async def test_an_answer_that_is_kept_comes_with_the_token_of_its_request(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path, has_teacher=False)
    reply = await node.ask(UNSURE, id="part-17")
    assert reply.parameters[feedback.PARAMETER] == "token of part-17"
    assert [row.answer for row in node.kept] == ["answer to part-17"]
    together = await node.ask(UNSURE, SURE, UNSURE, id="batch")
    assert together.parameters[feedback.PARAMETER] == "token of batch"
    assert [(row.request_id, row.answer) for row in node.kept[1:]] == [
        ("batch#0", "answer to batch"),
        ("batch#2", "answer to batch"),
    ]


async def test_an_answer_of_the_cloud_that_is_kept_has_its_token_too(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    reply = await node.ask(UNSURE, id="part-17")
    assert (reply.parameters["skerry_route"], reply.parameters[feedback.PARAMETER]) == ("cloud", "token of part-17")


@pytest.mark.parametrize("row", [SURE, UNSURE], ids=["not kept", "without an id"])
async def test_an_answer_of_which_no_truth_can_be_told_has_no_token(tmp_path: Path, row: list[float]) -> None:
    node = await agent_cascade.ready(tmp_path, has_teacher=False)
    assert feedback.PARAMETER not in (await node.ask(row, id="" if row is UNSURE else "r")).parameters


async def test_an_answer_that_found_no_room_has_no_token(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path, has_teacher=False)
    node.has_room = False
    assert feedback.PARAMETER not in (await node.ask(UNSURE, id="r")).parameters
