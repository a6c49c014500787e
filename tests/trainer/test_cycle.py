"""A user's own network and data through the whole cycle, in seconds."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from training_runs import play, proposal, publish, shipped
from training_world import NAMES, World, rows

from skerry.adapters import blobs
from skerry.core import errors, gates, manifest
from skerry.core.confidence import Outputs
from skerry.serving.network import Network
from skerry.trainer import compress, evaluate, propose
from skerry.trainer.shipped import Shipped

PASS, FAIL, OPEN, _ = gates.Outcome


@pytest.fixture(scope="module")
def trained() -> World:
    """A world with one finished run, `first`."""
    world = World()
    assert play(world, "first", world.standard()).passed
    return world


def test_a_users_own_network_becomes_a_proposal_that_passes(trained: World) -> None:
    found = proposal(trained, "first")
    assert found["verdict"]["outcome"] == "Pass" and found["digest"] == found["manifest"]
    assert found["report"]["holdouts"]["imported"]["candidate"] > 0.95
    assert found["report"]["holdouts"]["imported"]["baseline"] is None
    made = shipped(trained, "first").manifest
    assert made.class_names == NAMES and made.inputs[0].name == "window" and made.outputs[0].shape == (3,)
    assert made.quantization.int8_nodes and sum(made.confidence.reference) == 120
    assert {role: file.digest for role, file in made.files.items()} == found["files"]


def test_the_float_network_behind_an_int8_version_stays_beside_the_proposal_and_goes_to_no_node(trained: World) -> None:
    found, version = proposal(trained, "first"), shipped(trained, "first")
    held = rows([40] * 3, seed=1)
    before = blobs.fetch(trained.blobs, found["float"], manifest.MAX_FILE_BYTES)
    whole = Shipped(propose.as_float(version.manifest, before), before)
    np.testing.assert_allclose(whole.logits(held.x), version.logits(held.x), atol=2)
    assert not np.array_equal(whole.logits(held.x), version.logits(held.x))
    assert found["float"] not in {file.digest for file in version.manifest.files.values()}


def test_a_network_that_ends_in_a_softmax_when_it_is_served_says_so_in_its_manifest(trained: World) -> None:
    world = World(network={"factory": "own_networks:softmaxed", "options": {"evaluation_only": True}})
    assert play(world, "sure", world.standard()).passed
    made, logits = shipped(world, "sure").manifest.confidence, shipped(trained, "first").manifest.confidence
    assert (made.outputs, logits.outputs) == (Outputs.PROBABILITIES, Outputs.LOGITS)
    assert made.threshold > 0.6, "squeezed by a second softmax it could not be"


def test_the_proposed_files_answer_as_was_measured(trained: World) -> None:
    held = rows([40] * 3, seed=1)
    answers = shipped(trained, "first").logits(held.x).argmax(axis=1)
    measured = proposal(trained, "first")["report"]["holdouts"]["imported"]["candidate"]
    assert (answers == held.y).mean() == pytest.approx(measured, abs=1e-5)


def test_the_same_seed_proposes_the_same_digest_and_another_seed_another(trained: World) -> None:
    world = World()
    play(world, "again", world.standard())
    play(world, "other", world.standard(), overrides={"seed": 7})
    assert proposal(world, "again")["digest"] == proposal(trained, "first")["digest"]
    assert proposal(world, "other")["digest"] != proposal(trained, "first")["digest"]


def test_the_next_version_is_compared_with_the_stable_one_on_the_same_rows() -> None:
    world = World()
    play(world, "first", world.standard())
    stable = publish(world, "first", 1)
    verdict = play(world, "second", world.standard(), baseVersion=stable)
    assert {"imported-not-worse", "imported-per-class", "imported-macro-recall"} <= {one.name for one in verdict.gates}
    report = proposal(world, "second")["report"]["holdouts"]["imported"]
    assert report["baseline"] == proposal(world, "first")["report"]["holdouts"]["imported"]["candidate"]
    assert shipped(world, "second").manifest.parents == (proposal(world, "first")["digest"],)


def test_a_worse_version_is_proposed_with_a_verdict_that_fails() -> None:
    world = World()
    play(world, "first", world.standard())
    publish(world, "first", 1)
    mislabelled = rows([60, 60, 60])
    mislabelled.y[:] = (mislabelled.y + 1) % 3
    bad = world.dataset({("train", "imported"): mislabelled, ("holdout", "imported"): rows([40] * 3, seed=1)})
    verdict = play(world, "second", bad)
    assert verdict.outcome is FAIL and "imported-not-worse" in verdict.reason


def test_a_class_that_is_absent_from_training_is_found_by_its_recall() -> None:
    world = World()
    play(world, "first", world.standard())
    publish(world, "first", 1)
    lacking = world.dataset({("train", "imported"): rows([60, 60, 0]), ("holdout", "imported"): rows([40] * 3, seed=1)})
    verdict = play(world, "second", lacking)
    assert verdict.outcome is FAIL
    failed = {one.name: one.reason for one in verdict.gates if one.outcome is FAIL}
    assert "broken" in failed["imported-per-class"]


@pytest.mark.parametrize(
    ("holdout", "word"),
    [
        pytest.param(None, "there is no holdout", id="no holdout part"),
        pytest.param([0, 0, 0], "no usable rows", id="an empty holdout"),
        pytest.param([10, 10, 10], "minHoldout", id="a holdout that is too small"),
        pytest.param([60, 60, 0], "no rows of broken", id="a holdout that lacks a class"),
    ],
)
def test_without_a_holdout_to_judge_by_nothing_passes(holdout: list[int] | None, word: str) -> None:
    world = World()
    rows_by_part = {("train", "imported"): rows([60, 60, 60])}
    if holdout is not None:
        rows_by_part["holdout", "imported"] = rows(holdout, seed=1)
    verdict = play(world, "run", world.dataset(rows_by_part))  # type: ignore[arg-type]
    assert verdict.outcome is OPEN and word in verdict.reason
    assert proposal(world, "run")["verdict"]["outcome"] == "Inconclusive"


@pytest.mark.parametrize(
    "per_class",
    [
        pytest.param([1, 1, 0], id="two samples"),
        pytest.param([1, 1, 1], id="three samples"),
        pytest.param([9, 4, 4], id="a batch and one"),
        pytest.param([300, 60, 1], id="one to three hundred"),
    ],
)
def test_every_odd_amount_of_data_comes_to_a_verdict(per_class: list[int]) -> None:
    world = World()
    odd = world.dataset({("train", "imported"): rows(per_class), ("holdout", "imported"): rows([40] * 3, seed=1)})
    verdict = play(world, "run", odd, overrides={"epochs": 2})
    assert verdict.outcome in (PASS, FAIL, OPEN)
    json.dumps(proposal(world, "run"), allow_nan=False)


def test_captured_rows_are_learned_from_and_judged_apart() -> None:
    world = World()
    flipped = replace(rows([120] * 3, seed=5), y=np.full(360, -1))
    soft = np.where(rows([120] * 3, seed=5).y[:, None] == np.arange(3), 0.9, 0.05).astype(np.float32)
    flipped = replace(flipped, x=-3 * flipped.x, soft=soft)
    held = replace(rows([30] * 3, seed=6), x=-3 * rows([30] * 3, seed=6).x)
    dataset = world.dataset(
        {
            ("train", "imported"): rows([60] * 3),
            ("train", "captured"): flipped,
            ("holdout", "imported"): rows([40] * 3, seed=1),
            ("holdout", "captured"): held,
        }
    )
    verdict = play(world, "run", dataset)
    assert verdict.passed
    report = proposal(world, "run")["report"]
    assert report["holdouts"]["captured"]["n"] == 90 and report["holdouts"]["captured"]["candidate"] > 0.9
    assert report["training"]["trainedOn"]["captured"] + report["training"]["dropped"]["in-holdout"] == 360


def test_the_teacher_labels_old_rows_and_a_run_does_without_one_that_is_away() -> None:
    asked: list[int] = []

    def answers(x: np.ndarray) -> np.ndarray:
        asked.append(len(x))
        return np.full((len(x), 3), 1 / 3, np.float32)

    def away(x: np.ndarray) -> np.ndarray:
        raise errors.UnavailableError("teacher:1 did not answer in 10 s")

    world = World()
    play(world, "taught", world.standard(), answers)
    assert asked == [180] and "labelled 180 rows" in proposal(world, "taught")["report"]["training"]["softLabelsNote"]
    assert play(world, "alone", world.standard(), away).passed
    assert "did not answer in 10 s" in proposal(world, "alone")["report"]["training"]["softLabelsNote"]


def test_a_streaming_network_is_proposed_with_its_hidden_state() -> None:
    options = {"classes": 3, "features": 4, "hidden": 48, "cell": "gru", "streaming": True}
    world = World(network={"factory": "skerry.nets.rnn:rows", "options": options})
    assert play(world, "run", world.standard()).passed
    made = shipped(world, "run").manifest
    assert [(one.input, one.output, one.shape) for one in made.state] == [
        ("h1", "h1_next", (48,)),
        ("h2", "h2_next", (48,)),
    ]
    assert made.inputs[0].shape == (-1, 4) == made.network_inputs[0].shape
    assert made.window == 20, "steps of the rows that it was trained on"
    assert {node.op for node in made.quantization.float_nodes} == {"GRU"}
    network = Network.load(made, shipped(world, "run").model)
    x = rows([1, 1, 1], seed=1).x
    (whole,), _ = network.run([x], network.fresh_state(3))
    _, state = network.run([x[:, :7]], network.fresh_state(3))
    (last,), _ = network.run([x[:, 7:]], state)
    np.testing.assert_allclose(last, whole, atol=0.3)


def test_int8_that_gains_nothing_is_not_shipped_and_the_report_says_why() -> None:
    world = World(network={"factory": "own_networks:mean_only", "options": {}})
    play(world, "run", world.standard(), overrides={"epochs": 1})
    told = proposal(world, "run")["report"]["compression"]
    assert told["int8"] is False and "float model is kept" in told["reason"]
    assert shipped(world, "run").manifest.quantization.scheme == "float32"


def test_a_network_too_small_to_gain_from_int8_stays_float() -> None:
    world = World(network={"factory": "own_networks:press", "options": {"width": 4}})
    play(world, "run", world.standard())
    told = proposal(world, "run")["report"]["compression"]
    assert told["int8"] is False and told["sizeBytes"] == told["floatBytes"] and "bytes, float" in told["reason"]


def test_int8_that_loses_is_tried_with_seven_bits_before_float_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU that saturates, the first int8 model answers badly; here its answers are spoiled instead."""
    answer = evaluate.answer

    def saturating(version: Shipped, holdouts: Any) -> Any:
        found = answer(version, holdouts)
        spoiled = version.manifest.quantization.scheme == compress.SCHEME
        return {origin: evaluate.Answers(-one.logits if spoiled else one.logits) for origin, one in found.items()}

    monkeypatch.setattr(evaluate, "answer", saturating)
    world = World()
    assert play(world, "run", world.standard()).passed
    assert shipped(world, "run").manifest.quantization.scheme == compress.REDUCED_SCHEME


def test_several_students_and_the_best_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level("INFO", logger="skerry"):
        assert play(world, "run", world.standard(), overrides={"students": 2}).passed
    told = [record.fields for record in caplog.records if record.message == "student_chosen"]  # type: ignore[attr-defined]
    assert len(told) == 1 and told[0]["seed"] in (0, 1)


def test_progress_is_told_epoch_by_epoch(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level("INFO", logger="skerry"):
        play(world, "run", world.standard())
    names = [record.message for record in caplog.records]
    assert names.count("epoch") == 12 and names.index("data_loaded") < names.index("epoch") < names.index("proposed")
