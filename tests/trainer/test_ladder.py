"""What a run tries to make a network small, and what it says of each."""

import json
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from training_runs import play, proposal, shipped
from training_world import World, rows

from skerry.core import compression_report
from skerry.nets import cnn, export, rnn
from skerry.trainer import compress, prune

LSTM = {"classes": 3, "features": 4, "hidden": 48, "cell": "lstm"}


def told(world: World, run: str = "run") -> dict[str, Any]:
    found: dict[str, Any] = proposal(world, run)["report"]["compression"]
    return found


@pytest.fixture(scope="module")
def lstm() -> World:
    world = World(network={"factory": "skerry.nets.rnn:rows", "options": LSTM})
    assert play(world, "run", world.standard()).passed
    return world


def test_an_lstm_ships_with_its_memory_in_int8_and_each_form_has_its_measures(lstm: World) -> None:
    found = told(lstm)
    assert found["scheme"] == compress.RECURRENT_SCHEME and found["int8Share"] == 1.0
    assert [one["scheme"] for one in found["tried"]] == ["float32", compress.SCHEME, compress.RECURRENT_SCHEME]
    sizes = [one["bytes"] for one in found["tried"]]
    assert sizes[0] > sizes[1] > sizes[2] == found["networkBytes"]
    assert all(one["accuracy"] > 0.9 and one["latency_us"] > 0 and one["passed"] for one in found["tried"])
    assert {node["op"] for node in found["nodes"] if node["int8"]} >= {"DynamicQuantizeLSTM"}


def test_its_sizes_are_told_apart_and_its_recall_by_name(lstm: World) -> None:
    found, made = told(lstm), shipped(lstm, "run").manifest
    assert found["manifestBytes"] == len(made.to_json()) and found["goldenBytes"] == made.files["golden"].size_bytes
    assert found["wireBytes"] == found["networkBytes"] + found["goldenBytes"] + found["manifestBytes"]
    assert set(found["perClass"]["int8"]) == set(made.class_names) == set(found["perClass"]["float"])
    checked = compression_report.checked(json.loads(json.dumps(found)))
    assert checked is not None and checked["nodes"] == found["nodes"] and checked["perClass"] == found["perClass"]


def test_what_is_written_for_an_lstm_loads_on_fielded_runtimes(lstm: World) -> None:
    model = onnx.load_from_string(shipped(lstm, "run").model)
    assert {one.domain: one.version for one in model.opset_import} == {"": export.OPSET, "com.microsoft": 1}
    assert model.ir_version <= export.MAX_IR_VERSION


@pytest.mark.parametrize("streaming", [False, True])
def test_no_callers_row_coarsens_the_answers_of_the_others_in_its_batch(streaming: bool) -> None:
    """The LSTM's kernel takes its scale from all rows together; static layers before it bound what a row can do."""
    x = np.random.default_rng(0).normal(size=(60, 10, 4)).astype(np.float32)
    torch.manual_seed(0)
    whole = export.export(rnn.rows(3, features=4, hidden=24, cell="lstm", streaming=streaming), x[:3])
    small = compress.to_int8(whole, x, recurrent=True)
    assert not small.float_nodes

    def answer(rows: np.ndarray) -> np.ndarray:
        state = {one.input: np.zeros((len(rows), one.size), np.float32) for one in whole.states}
        return export.run(small.data, {export.INPUT: rows, **state})[0]

    alone, beside = answer(x[:1])[0], x[:2].copy()
    for size in (1e2, 1e6, 1e30):
        beside[1] = x[1] * size
        assert np.abs(answer(beside)[0] - alone).max() < 0.05 * np.abs(answer(x)).max()  # the LSTM alone: 0.07 and more


def test_the_reference_cnn_is_tried_without_half_of_its_units_and_others_are_not() -> None:
    assert prune.share_of(None, cnn.reference(10)) == 0.5
    assert [prune.share_of(None, network) for network in (cnn.small(10), rnn.rows(3))] == [0.0, 0.0]
    assert (prune.share_of(0, cnn.reference(10)), prune.share_of(250, cnn.small(10))) == (0.0, 0.25)


@pytest.mark.long
def test_where_int8_loses_more_than_the_margin_training_with_rounding_ships() -> None:
    world = World(network={"factory": "own_networks:offset"})
    assert play(world, "run", world.standard(), overrides={"epochs": 30}).passed
    found = told(world)
    by_scheme = {one["scheme"]: one for one in found["tried"]}
    qat = f"QAT, {compress.SCHEME}"
    assert [*by_scheme] == ["float32", compress.SCHEME, compress.REDUCED_SCHEME, qat]
    lost = [by_scheme[scheme] for scheme in (compress.SCHEME, compress.REDUCED_SCHEME)]
    assert all(not one["passed"] and "loses more than 0.010" in one["reason"] for one in lost)
    assert found["scheme"] == qat and by_scheme[qat]["passed"]
    model = onnx.load_from_string(shipped(world, "run").model)
    assert {one.domain: one.version for one in model.opset_import} == {"": export.OPSET}
    held = rows([40] * 3, seed=1)
    answers = shipped(world, "run").logits(held.x).argmax(axis=1)
    assert (answers == held.y).mean() == pytest.approx(by_scheme[qat]["accuracy"], abs=1e-5)


@pytest.mark.long
def test_a_network_that_cannot_be_captured_says_so_and_float_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("data-dependent control flow")

    monkeypatch.setattr(torch.export, "export", refuse)
    world = World(network={"factory": "own_networks:offset"})
    play(world, "run", world.standard(), overrides={"epochs": 30})
    found = told(world)
    assert found["tried"][-1]["reason"] == "Offset cannot be trained with rounding: data-dependent control flow"
    assert found["scheme"] == "float32" and "the float model is kept" in found["reason"]
