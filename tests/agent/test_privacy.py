"""What leaves a node and what it keeps: as the privacy of the model says, and the floor of the node, whoever asks."""

import contextlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import agent_cascade
import agent_fakes
import models
import numpy as np
import pytest
from agent_cascade import OPEN_POLICY, SURE, UNSURE
from agent_world import Fetch, Node, Version, bring_up, desired

from skerry.agent import warning_watch
from skerry.agent.sync import desired_state
from skerry.agent.update import ledger
from skerry.core import errors, feedback, offload, privacy, redaction, specs
from skerry.core.privacy import Keep, Leave, Privacy
from skerry.core.residuals import Residual
from skerry.core.warnings import TruthSource, WarnPolicy
from skerry.serving.predictor import Context, predict

V1 = Version(1)
FIRST = redaction.Zero((0,))
ALIKE = [7.0, -7.0, 7.0, -7.0]  # all classes are alike to it, too
LOOSE = json.dumps({"offload": {"explorationPermille": 1000}, "privacy": {"keep": "Full", "leave": "Cloud"}}).encode()


async def ready(root: Path, held: Privacy, **options: Any) -> agent_cascade.Node:
    node = await agent_cascade.ready(root, **options)
    node.cascade.set_policy("digits", OPEN_POLICY, held)
    return node


@pytest.mark.parametrize(
    ("held", "asked", "kept"),
    [
        (Privacy(), 1, 1),
        (Privacy(Keep.FEATURES), 1, 1),
        (Privacy(Keep.NOTHING), 1, 0),
        (Privacy(leave=Leave.TEACHER), 1, 0),
        (Privacy(leave=Leave.NEVER), 0, 0),
        (privacy.CLOSED, 0, 0),
    ],
    ids=lambda value: f"{value.keep} {value.leave}" if isinstance(value, Privacy) else None,
)
async def test_privacy_governs_what_is_asked_and_what_is_kept_alike(
    tmp_path: Path, held: Privacy, asked: int, kept: int
) -> None:
    node = await ready(tmp_path, held, u=0.0)
    reply = await node.ask(UNSURE)
    assert (len(node.teacher.asked), len(node.kept)) == (asked, kept)
    wanted = ("cloud", "LowConfidence") if asked else ("local", "Private")
    assert (reply.parameters["skerry_route"], reply.parameters["skerry_reason"]) == wanted
    assert reply.parameters["skerry_degraded"] is False
    assert (feedback.PARAMETER in reply.parameters) == bool(kept)


async def test_features_are_the_answers_numbers_without_the_row(tmp_path: Path) -> None:
    node = await ready(tmp_path, Privacy(Keep.FEATURES))
    await node.ask(ALIKE)
    (kept,) = node.kept
    assert kept.inputs == () and len(kept.local_logits) == 3 and kept.digest


async def test_a_redacted_row_is_kept_and_asked_about_without_what_is_taken_out_and_its_reply_says_so(
    tmp_path: Path,
) -> None:
    node = await ready(tmp_path, Privacy(redact=(FIRST, redaction.Round(4))))
    reply = await node.ask([9.0, -9.0, 9.0, -9.0])
    ((asked, _),) = node.teacher.asked
    assert asked.inputs[0].data.tolist() == [[0.0, -8.0, 8.0, -8.0]]
    (kept,) = node.kept
    assert np.frombuffer(kept.inputs[0].raw, dtype="<f4").tolist() == [0.0, -8.0, 8.0, -8.0]
    assert kept.redacted == ("zero[0]", "round[4]")
    assert reply.parameters["skerry_redacted"] == "zero[0]; round[4]"
    assert reply.parameters["skerry_redacted_answer"] is True


async def test_the_local_answer_is_of_the_whole_row(tmp_path: Path) -> None:
    open_node = await agent_cascade.ready(tmp_path / "a", has_teacher=False)
    node = await ready(tmp_path / "b", Privacy(redact=(redaction.Zero((0, 1, 2, 3)),)), has_teacher=False)
    whole, redacted = await open_node.ask(ALIKE), await node.ask(ALIKE)
    assert np.array_equal(whole.outputs[0].data, redacted.outputs[0].data) and whole.outputs[0].data.any()
    assert redacted.parameters["skerry_redacted"] == "zero[0,1,2,3]"
    assert "skerry_redacted_answer" not in redacted.parameters


async def test_a_reply_of_which_nothing_left_or_was_kept_names_no_redaction(tmp_path: Path) -> None:
    node = await ready(tmp_path, Privacy(redact=(FIRST,)))
    assert "skerry_redacted" not in (await node.ask(SURE)).parameters


async def test_a_row_that_cannot_be_redacted_stays_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = await ready(tmp_path, Privacy(redact=(redaction.Mask(((0, 2), (0, 2))),)))
    replies = [await node.ask(UNSURE) for _ in range(3)]
    assert {reply.parameters["skerry_reason"] for reply in replies} == {"Private"}
    assert node.teacher.asked == [] and node.kept == []
    assert [record.message for record in caplog.records] == ["redaction_does_not_fit"]


async def test_no_log_line_holds_anything_of_a_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong: the teacher quotes the row, the disk refuses, the row cannot be redacted."""
    row, marker = [31415.0, -31415.0, 31415.0, -31415.0], "31415"
    with caplog.at_level(logging.DEBUG):
        for number, steps in enumerate([(FIRST,), (redaction.Mask(((0, 2), (0, 2))),)]):
            node = await agent_cascade.ready(tmp_path / str(number))
            node.cascade.set_policy("digits", replace(OPEN_POLICY, breaker_failures=1), Privacy(redact=steps))
            node.teacher.error, node.has_room = errors.UnavailableError(f"cannot take {row}"), False
            await node.ask(row)
            with contextlib.suppress(errors.InputError):
                await node.ask([float("nan"), *row[1:]])
    assert {"circuit_opened", "redaction_does_not_fit"} <= {record.message for record in caplog.records}
    assert not [record for record in caplog.records if marker in str(record.__dict__)]


async def test_with_the_usual_privacy_no_row_is_copied_on_its_way_out(tmp_path: Path) -> None:
    node = await agent_cascade.ready(tmp_path)
    row = models.tensor([UNSURE])
    request = agent_cascade.InferRequest("digits", (row,), id="r")
    await predict(node.cascade, request, Context(None))
    ((asked, _),) = node.teacher.asked
    assert asked.inputs[0] is row


@pytest.mark.parametrize("policy", [LOOSE, b"", b'{"privacy": {"keep": "Full"}}', b"{"], ids=str)
async def test_a_gateway_that_lies_loosens_no_floor(tmp_path: Path, policy: bytes) -> None:
    floor = privacy.Floor({"digits": Privacy(Keep.NOTHING, Leave.NEVER)})
    updates, node = Node(tmp_path / "a", Fetch(V1)), await agent_cascade.ready(tmp_path / "b", floor=floor, u=0.0)
    applier = desired_state.Applier(updates.updater, node.cascade, agent_fakes.nothing_erased(tmp_path))
    await applier.apply(desired(V1, offload_json=b'{"explorationPermille": 1000}', policy_json=policy))
    await node.ask(UNSURE)
    await node.ask(SURE)
    assert node.teacher.asked == [] and node.kept == []


async def test_a_floor_adds_its_redaction_and_holds_before_any_gateway_is_heard(tmp_path: Path) -> None:
    floor = privacy.Floor(others=Privacy(redact=(FIRST,)))
    node = agent_cascade.Node(tmp_path, floor=floor)
    await node.loader.swap(agent_cascade.write(tmp_path, 3))
    await node.ask(ALIKE)
    assert [asked.inputs[0].data[0, 0] for asked, _ in node.teacher.asked] == [0.0]
    node.cascade.set_policy("digits", OPEN_POLICY, privacy.OPEN)
    await node.ask(ALIKE)
    assert [asked.inputs[0].data[0, 0] for asked, _ in node.teacher.asked] == [0.0, 0.0]


async def test_privacy_is_remembered_and_one_that_cannot_be_read_is_the_strictest(tmp_path: Path) -> None:
    updates, node = Node(tmp_path / "a", Fetch(V1)), await agent_cascade.ready(tmp_path / "b")
    applier = desired_state.Applier(updates.updater, node.cascade, agent_fakes.nothing_erased(tmp_path))
    async with agent_fakes.running(updates.updater.run()):
        await bring_up(updates, V1, 1)
    never = b'{"offload": {"burst": 3}, "privacy": {"keep": "Full", "leave": "Never"}}'
    for policy, burst in ((never, 3), (b'{"privacy": {"keep": "All", "leave": "Cloud"}}', 40), (b"\xff{", 40)):
        await applier.apply(desired(V1, policy_json=policy))
        again = await agent_cascade.ready(tmp_path / f"{len(policy)}")
        desired_state.restore(ledger.Ledger(tmp_path / "a" / "ledger"), again.cascade)
        for one in (node, again):
            assert one.cascade._models["digits"].policy.is_private
            assert one.cascade._models["digits"].policy.burst == burst
            await one.ask(UNSURE)
            assert one.teacher.asked == [] and one.kept == []


async def test_an_erasure_that_the_disk_refuses_leaves_no_privacy_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates, node = Node(tmp_path / "a", Fetch(V1)), await agent_cascade.ready(tmp_path / "b")
    erased = agent_fakes.nothing_erased(tmp_path)

    async def refuses(_: object) -> bool:
        raise errors.UnavailableError("the disk is full")

    monkeypatch.setattr(erased, "carry_out", refuses)
    never = b'{"privacy": {"keep": "Full", "leave": "Never"}}'
    with pytest.raises(errors.UnavailableError):
        await desired_state.Applier(updates.updater, node.cascade, erased).apply(desired(V1, policy_json=never))
    assert ledger.Ledger(tmp_path / "a" / "ledger").policy("digits") == never.decode()


async def test_a_policy_of_another_model_is_in_force_before_the_first_is_written_down(tmp_path: Path) -> None:
    """The disk is slow: what waits for it must not answer under the privacy of before."""
    updates, node = Node(tmp_path / "a", Fetch(V1)), await agent_cascade.ready(tmp_path / "b")
    state = desired(V1, offload_json=b"{}")
    state.assignments[0].model = "another"
    state.assignments.add(model="digits", policy_json=b'{"privacy": {"keep": "Nothing", "leave": "Never"}}')
    seen: list[bool] = []

    async def write(*_: object) -> None:
        seen.append(node.cascade._models["digits"].policy.is_private)

    updates.updater.write = write  # type: ignore[method-assign, assignment]

    async def assign(_: object) -> bool:
        return True

    updates.updater.assign = assign  # type: ignore[method-assign, assignment]
    await desired_state.Applier(updates.updater, node.cascade, agent_fakes.nothing_erased(tmp_path)).apply(state)
    assert seen and all(seen)


def test_a_private_decision_is_no_failure_of_the_link() -> None:
    policy = privacy.of_offload(specs.OffloadSpec().policy, Privacy(leave=Leave.NEVER))
    question = offload.Question(confidence=0.1, threshold=0.5, rows=1, remaining_s=None, has_teacher=True)
    state = offload.State.start(policy, 0.0)
    assert offload.decide(question, policy, state, now_s=1.0) == (offload.PRIVATE, state)


def test_warnings_of_a_private_model_are_shown_on_the_node_and_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    watch = warning_watch.WarningWatch(lambda: 1_000_000)
    watch.may_leave = lambda model: model != "private"
    with caplog.at_level(logging.INFO):
        for model in ("private", "open"):
            watch.set_policy(model, WarnPolicy(above=2.0, over_at=1.0, readings=3, truth=TruthSource.FEEDBACK))
            for _ in range(3):
                watch.settled(model, "sha256:1", "plant", Residual(9.125, 0.0), 0, "kWh")
    assert {one.model for one in watch.raised()} == {"private", "open"}
    assert [one.model for one in watch.tellable()] == ["open"]
    told = {record.__dict__["fields"]["model"]: str(record.__dict__) for record in caplog.records}
    assert "kWh" in told["open"] and "kWh" not in told["private"]
