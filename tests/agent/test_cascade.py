"""Every request gets an answer that says who gave it and why; what the cloud does can cost a caller nothing but time it
had."""

import asyncio
from dataclasses import replace
from pathlib import Path

import agent_cascade
import models
import numpy as np
import pytest
from agent_cascade import OPEN_POLICY, SURE, TEACHER_DIGEST, UNSURE
from plane import FakeCall

from skerry.agent.update import version_store
from skerry.core import errors, manifest
from skerry.core.inference import InferRequest
from skerry.serving.batch_rules import BatchPolicy
from skerry.serving.predictor import Answer, Context, Job, predict
from skerry.serving.version import Options


async def test_a_sure_answer_is_local_and_says_everything_about_itself(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    reply = await node.ask(SURE)
    digest = node.loader.serving("digits").digest  # type: ignore[union-attr]
    assert reply.parameters == {
        "skerry_route": "local",
        "skerry_reason": "Confident",
        "skerry_confidence": "0.999955",
        "skerry_digest": digest,
        "skerry_degraded": False,
        "skerry_local_class": 2,
        "skerry_local_digest": digest,
    }
    assert reply.version == "3"
    assert node.teacher.asked == []


async def test_an_unsure_answer_comes_from_the_cloud_under_the_names_of_the_local_model(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    reply = await node.ask(UNSURE, remaining_s=0.2)
    assert (reply.outputs[0].name, int(reply.outputs[0].data.argmax())) == ("logits", 1)
    assert (reply.version, reply.digest, reply.parameters["skerry_digest"]) == ("7", TEACHER_DIGEST, TEACHER_DIGEST)
    assert (reply.parameters["skerry_route"], reply.parameters["skerry_reason"]) == ("cloud", "LowConfidence")
    assert reply.parameters["skerry_local_class"] == 0
    assert reply.parameters["skerry_local_digest"] == node.loader.serving("digits").digest  # type: ignore[union-attr]
    (asked, timeout_s) = node.teacher.asked[0]
    assert timeout_s <= 0.2
    assert asked.version == ""


async def test_a_network_that_ends_in_softmax_is_as_sure_as_it_says(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    await node.loader.swap(agent_cascade.write(tmp_path, 4, softmax=True))
    reply = await node.ask(SURE)
    assert reply.outputs[0].data[0, 2] == pytest.approx(0.999955, abs=1e-6)
    assert (reply.parameters["skerry_route"], reply.parameters["skerry_confidence"]) == ("local", "0.999955")
    together = await node.ask([0.0, 0.0, 0.0, 2.0], SURE)
    assert float(str(together.parameters["skerry_confidence"])) == pytest.approx(0.8668, abs=1e-4), "the least sure row"


async def test_a_cloud_that_answers_logits_is_told_in_the_probabilities_of_the_local_network(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    await node.loader.swap(agent_cascade.write(tmp_path, 4, softmax=True))
    reply = await node.ask(UNSURE, remaining_s=0.2)
    assert (reply.parameters["skerry_route"], reply.parameters["skerry_reason"]) == ("cloud", "LowConfidence")
    assert reply.outputs[0].data.sum() == pytest.approx(1.0)
    assert reply.outputs[0].data[0, 1] > 0.99


async def test_a_cloud_that_does_not_answer_in_time_costs_only_the_time_the_caller_had(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    node.teacher.delay_s = 30.0
    started = asyncio.get_running_loop().time()
    reply = await node.ask(UNSURE, remaining_s=0.1)
    assert asyncio.get_running_loop().time() - started < 5.0
    assert (reply.version, reply.parameters["skerry_degraded"]) == ("3", True)
    assert reply.parameters["skerry_reason"] == "RemoteFailed"


@pytest.mark.parametrize(
    "error",
    [errors.UnavailableError("no link"), errors.DeadlineError("slow"), errors.NotFoundError("no such model")],
    ids=lambda error: type(error).__name__,
)
async def test_a_cloud_that_fails_is_left_alone_after_a_while_and_asked_again_later(
    tmp_path: Path, error: Exception
) -> None:
    policy = replace(OPEN_POLICY, breaker_failures=3, breaker_open_s=1, burst=1000)
    node = await agent_cascade.ready(tmp_path, policy)
    node.teacher.error = error
    reasons = [(await node.ask(UNSURE)).parameters["skerry_reason"] for _ in range(6)]
    assert reasons == ["RemoteFailed"] * 3 + ["CircuitOpen"] * 3
    assert len(node.teacher.asked) == 3
    node.teacher.error = None
    async with asyncio.timeout(10):
        while (await node.ask(UNSURE)).parameters["skerry_route"] != "cloud":  # noqa: ASYNC110 - time must pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "edit",
    [lambda x: x[:, :2], lambda x: x * np.nan, lambda x: x[0], lambda x: np.concatenate([x, x])],
    ids=["another number of classes", "not finite", "no matrix", "too many rows"],
)
async def test_an_answer_that_is_none_is_a_failure_of_the_cloud(tmp_path: Path, edit) -> None:  # type: ignore[no-untyped-def]
    node = await agent_cascade.ready(tmp_path)
    node.teacher.edit = edit
    reply = await node.ask(UNSURE)
    assert (reply.version, reply.parameters["skerry_reason"]) == ("3", "RemoteFailed")


async def test_the_budget_holds_under_a_flood_and_every_request_is_answered(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path, replace(OPEN_POLICY, burst=7, budget_per_second_permille=0))
    replies = await asyncio.gather(*(node.ask(UNSURE) for _ in range(50)))
    routes = [reply.parameters["skerry_route"] for reply in replies]
    assert routes.count("cloud") == 7
    assert {r.parameters["skerry_reason"] for r in replies} == {"LowConfidence", "BudgetExhausted"}


async def test_without_a_teacher_unsure_answers_are_degraded(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path, has_teacher=False)
    reply = await node.ask(UNSURE)
    assert (reply.parameters["skerry_reason"], reply.parameters["skerry_degraded"]) == ("NoTeacher", True)


async def test_the_least_sure_row_decides_for_its_request(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    reply = await node.ask(SURE, UNSURE, SURE)
    assert reply.parameters["skerry_route"] == "cloud"
    assert reply.outputs[0].shape == (3, 3)
    assert "skerry_local_class" not in reply.parameters


async def test_a_callers_fault_is_his_alone_and_does_not_count_as_failed(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    with pytest.raises(errors.InputError, match="NaN"):
        await node.ask([float("nan")] * 4)
    await node.ask(SURE)
    (reading,) = node.load.read()
    assert (reading.requests, reading.failed) == (1, 0)
    assert node.kept == []


async def test_a_request_that_only_the_version_before_would_take_counts_as_refused_by_the_new_one(
    tmp_path: Path,
) -> None:
    node = await agent_cascade.ready(tmp_path)
    await node.ask(SURE)
    old = node.loader.serving("digits")
    folder = models.write_identity(tmp_path / "other", "digits", 4, "FP32", (2,))
    digest = manifest.digest_of((folder / "manifest.json").read_bytes())
    await node.loader.swap(version_store.Slot("digits", 4, digest, folder))
    for row in (SURE, SURE, [0.0] * 7):  # the last one fits neither version: rubbish, and nobody else's fault
        with pytest.raises(errors.InputError, match="must have shape"):
            await node.ask(row)
    (reading,) = node.load.read()
    assert old is not None and reading.digest == digest
    assert (reading.requests_total, reading.refused_total, reading.failed_total) == (2, 2, 0)


async def test_totals_rise_and_go_on_where_they_were_when_a_version_serves_again(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    third, fourth = agent_cascade.write(tmp_path / "again", 3), agent_cascade.write(tmp_path, 4, scale=0.5)
    for slot, asked in ((third, 3), (fourth, 2), (third, 1)):
        await node.loader.swap(slot)
        for _ in range(asked):
            await node.ask(SURE)
    (reading,) = node.load.read()
    assert (reading.requests, reading.requests_total) == (1, 4)


async def test_a_version_that_answers_nan_gives_an_error_counts_as_failed_and_teaches_nobody(tmp_path: Path) -> None:
    node = agent_cascade.Node(tmp_path)
    folder = models.write_not_finite(tmp_path, "digits", 1)
    digest = manifest.digest_of((folder / "manifest.json").read_bytes())
    await node.loader.swap(version_store.Slot("digits", 1, digest, folder))
    with pytest.raises(errors.IntegrityError):
        await node.ask([-1.0] * 4)
    (reading,) = node.load.read()
    assert (reading.requests, reading.failed, reading.digest) == (1, 1, digest)
    assert node.kept == []


async def test_a_version_that_loops_counts_as_failed_and_its_rollout_sees_that(tmp_path: Path) -> None:
    node = agent_cascade.Node(tmp_path, serving=Options(batching=BatchPolicy(max_run_s=0.1)))
    folder = models.write_looping(tmp_path, "digits", 1)
    digest = manifest.digest_of((folder / "manifest.json").read_bytes())
    await node.loader.swap(version_store.Slot("digits", 1, digest, folder))
    with pytest.raises(errors.IntegrityError, match="its run was stopped"):
        await node.ask([1e15, 0.0, 0.0, 0.0])
    with pytest.raises(errors.DeadlineError):
        await node.ask([1e15, 0.0, 0.0, 0.0], remaining_s=0.05)
    (reading,) = node.load.read()
    assert (reading.requests, reading.failed, reading.digest) == (2, 2, digest)
    assert node.kept == [] and not node.teacher.asked


async def test_readings_say_what_happened(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path, replace(OPEN_POLICY, burst=2, budget_per_second_permille=0))
    for _ in range(6):
        await node.ask(SURE)
    for _ in range(4):
        await node.ask(UNSURE)
    (reading,) = node.load.read()
    assert (reading.requests, reading.offloaded, reading.degraded, reading.failed) == (10, 2, 2, 0)
    assert (reading.confidence_counts[19], reading.confidence_counts[6]) == (6, 4)
    assert reading.p99_ms >= reading.p50_ms > 0
    await node.loader.swap(agent_cascade.write(tmp_path, 4, scale=0.5))
    await node.ask(SURE)
    (reading,) = node.load.read()
    assert (reading.requests, reading.digest) == (1, node.loader.serving("digits").digest)  # type: ignore[union-attr]


async def test_a_swap_under_load_fails_no_request_and_each_answer_names_one_version(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    digests = {"3": node.loader.serving("digits").digest}  # type: ignore[union-attr]
    stop, replies = asyncio.Event(), []

    async def client() -> None:
        while not stop.is_set():
            replies.append(await node.ask(SURE))
            await asyncio.sleep(0.002)

    async def swaps() -> None:
        for number in range(4, 12):
            slot = agent_cascade.write(tmp_path, number, scale=1 + number / 100)
            digests[str(number)] = slot.digest
            await node.loader.swap(slot)
            await asyncio.sleep(0.01)
        stop.set()

    await asyncio.gather(swaps(), *(client() for _ in range(4)))
    assert len(replies) > 20
    assert all(reply.digest == digests[reply.version] == reply.parameters["skerry_digest"] for reply in replies)
    assert len({reply.version for reply in replies}) >= 3


async def test_a_version_that_does_not_load_leaves_the_old_one_answering(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    slot = agent_cascade.write(tmp_path, 4)
    (slot.folder / "model.onnx").write_bytes(b"")
    with pytest.raises(errors.IntegrityError):
        await node.loader.swap(slot)
    assert (await node.ask(SURE)).version == "3"
    with pytest.raises(errors.IntegrityError, match="holds"):
        await node.loader.swap(replace(agent_cascade.write(tmp_path, 5), digest="sha256:" + "0" * 64))
    assert (await node.ask(SURE)).version == "3"


async def test_a_caller_that_hung_up_meanwhile_is_not_worth_a_call_to_the_cloud(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    call, local = FakeCall(), node.cascade._local

    class HangsUp:
        def submit(self, jobs: list[Job]) -> None:
            def finish(answer: Answer) -> None:
                call.is_cancelled = True
                jobs[0].finish(answer)

            local.submit([Job(jobs[0].request, Context(), finish)])

    node.cascade._local = HangsUp()
    request = InferRequest("digits", (models.tensor([UNSURE]),))
    reply = await predict(node.cascade, request, Context(call=call))  # type: ignore[arg-type]
    assert reply.parameters["skerry_reason"] == "DeadlineTooShort"
    assert node.teacher.asked == []
