"""int8 where the runtime really computes in it, float where it does not or where int8 would be worse, always said."""

import numpy as np
import onnx
import pytest
import torch

from skerry.core import errors
from skerry.nets import cnn, export, forecasting, rnn, training
from skerry.trainer import compress


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def exported(factory: object, x: np.ndarray) -> export.Exported:
    torch.manual_seed(0)
    return export.export(factory(), x[:3])  # type: ignore[operator]


@pytest.fixture(scope="module")
def reference() -> tuple[export.Exported, compress.Model, np.ndarray]:
    x = noise(64, 1, 28, 28)
    whole = exported(lambda: cnn.reference(10), x)
    return whole, compress.to_int8(whole, x), x


def test_every_layer_of_the_reference_cnn_becomes_int8(
    reference: tuple[export.Exported, compress.Model, np.ndarray],
) -> None:
    whole, small, x = reference
    assert [node.op for node in small.int8_nodes] == ["Conv", "Conv", "Conv", "Gemm", "Gemm"]
    assert small.float_nodes == [] and len(small.data) < len(whole.data) / 3
    answers = [export.run(data, {export.INPUT: x})[0].argmax(axis=1) for data in (whole.data, small.data)]
    assert (answers[0] == answers[1]).mean() > 0.9
    weights = 32 * 9 + 64 * 32 * 9 + 64 * 64 * 9 + 576 * 64 + 640
    assert weights < sum(node.bytes for node in small.int8_nodes) < weights * 1.1  # and int32 biases


def test_what_is_written_loads_on_fielded_runtimes(
    reference: tuple[export.Exported, compress.Model, np.ndarray],
) -> None:
    model = onnx.load_from_string(reference[1].data)
    assert model.ir_version <= export.MAX_IR_VERSION
    assert {one.domain: one.version for one in model.opset_import} == {"": export.OPSET}


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_recurrent_kernels_stay_float_and_the_report_says_so(cell: str) -> None:
    x = noise(40, 28, 28)
    small = compress.to_int8(exported(lambda: rnn.rows(10, cell=cell), x), x)
    assert [node.op for node in small.float_nodes] == [cell.upper()] * 2
    assert [node.op for node in small.int8_nodes] == ["MatMul", "Gemm", "Gemm"]
    assert all(node.bytes > 0 for node in (*small.int8_nodes, *small.float_nodes))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_streaming_network_keeps_its_memory_in_int8(cell: str) -> None:
    x = noise(60, 10, 4)
    whole = exported(lambda: rnn.rows(3, features=4, hidden=24, cell=cell, streaming=True), x)
    small = compress.to_int8(whole, x)

    def answer(data: bytes) -> np.ndarray:
        state = {one.input: np.zeros((60, one.size), np.float32) for one in whole.states}
        for piece in np.split(x, [3, 4], axis=1):
            logits, *after = export.run(data, {export.INPUT: piece, **state})
            state = dict(zip(state, after, strict=True))
        return logits

    assert small.int8_nodes and {node.op for node in small.float_nodes} <= {cell.upper()}
    np.testing.assert_allclose(answer(small.data), answer(whole.data), atol=0.05)


def test_the_head_of_a_forecaster_stays_float_for_its_256_levels_would_be_those_of_the_answer() -> None:
    x = noise(200, 12, 3) * 900 + 3000

    def made() -> torch.nn.Module:
        training.prepare(0)
        network = forecasting.Forecaster(3, steps=2, quantiles_permille=(100, 500, 900), hidden=32, dense=128)
        network.fit_scales(x.mean(axis=(0, 1)), x.std(axis=(0, 1)), 3000.0, 900.0)
        return network

    whole = exported(made, x)
    small = compress.to_int8(whole, x, keep_head=True)
    assert [node.bytes for node in small.int8_nodes] == [35 * 128 + 4 * 128], "the dense layer and its bias"
    assert sorted(node.op for node in small.float_nodes) == ["GRU", "Gemm"]
    (answers,) = export.run(small.data, {export.INPUT: x})
    (expected,) = export.run(whole.data, {export.INPUT: x})
    assert len(np.unique(answers)) > 900 and np.abs(answers - expected).max() < 0.05 * 900
    spoiled = compress.to_int8(whole, x)
    (levels,) = export.run(spoiled.data, {export.INPUT: x})
    assert len(np.unique(levels)) <= 256


def test_an_embedding_becomes_int8() -> None:
    x = np.random.default_rng(0).integers(0, 500, size=(40, 12))
    small = compress.to_int8(exported(lambda: rnn.tokens(10, vocabulary=500), x), x)
    assert "Gather" in [node.op for node in small.int8_nodes]
    assert {node.op for node in small.float_nodes} == {"RNN"}


def test_the_float_report_names_every_layer(reference: tuple[export.Exported, compress.Model, np.ndarray]) -> None:
    whole = compress.as_float(reference[0].data)
    assert whole.scheme == "float32" and not whole.int8_nodes and len(whole.float_nodes) == 5


@pytest.mark.parametrize(
    ("calibration", "word"),
    [
        pytest.param(noise(0, 1, 28, 28), "there are none", id="an empty calibration set"),
        pytest.param(np.full((4, 1, 28, 28), np.nan, np.float32), "not finite", id="numbers that are none"),
    ],
)
def test_bad_calibration_is_refused(
    calibration: np.ndarray, word: str, reference: tuple[export.Exported, compress.Model, np.ndarray]
) -> None:
    with pytest.raises(errors.InputError, match=word):
        compress.to_int8(reference[0], calibration)


def test_weights_of_seven_bits_fit_into_seven_bits(
    reference: tuple[export.Exported, compress.Model, np.ndarray],
) -> None:
    whole, full, x = reference
    reduced = compress.to_int8(whole, x, reduced=True)
    for model, limit in ((full, 127), (reduced, 64)):
        graph = onnx.load_from_string(model.data).graph
        weights = [
            onnx.numpy_helper.to_array(one)
            for one in graph.initializer
            if one.data_type == onnx.TensorProto.INT8 and len(one.dims) > 1
        ]
        assert max(int(np.abs(one.astype(int)).max()) for one in weights) == limit
    assert "7-bit" in reduced.scheme
