"""Exported networks equal torch at every batch and length, in an ONNX that fielded runtimes read, or are refused."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from skerry.core import errors
from skerry.nets import cnn, export, rnn


def example(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


NETWORKS = {
    "the reference CNN": (lambda: cnn.reference(10), example(3, 1, 28, 28)),
    "a teacher with batch normalization": (lambda: cnn.large(4), example(3, 1, 28, 28)),
    "a simple RNN over rows": (lambda: rnn.rows(10), example(3, 28, 28)),
    "an LSTM over rows": (lambda: rnn.rows(10, cell="lstm"), example(3, 28, 28)),
    "a GRU over rows": (lambda: rnn.rows(10, cell="gru"), example(3, 28, 28)),
    "the reference RNN of tokens": (lambda: rnn.tokens(10, vocabulary=50), np.arange(60).reshape(3, 20) % 50),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_parity_at_batches_and_lengths_and_a_readable_version(name: str) -> None:
    factory, x = NETWORKS[name]
    torch.manual_seed(0)
    exported = export.export(factory(), x)
    model = onnx.load_from_string(exported.data)
    assert model.ir_version <= export.MAX_IR_VERSION
    assert {one.domain: one.version for one in model.opset_import} == {"": export.OPSET}


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_recurrence_stays_one_node_per_layer(cell: str) -> None:
    exported = export.export(rnn.rows(3, features=4, hidden=8, cell=cell), example(2, 6, 4))
    kinds = [node.op_type for node in onnx.load_from_string(exported.data).graph.node]
    assert kinds.count(cell.upper()) == 2 and len(kinds) < 60
    assert exported.input.shape == (-1, 4)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_streaming_step_carries_its_state_through_onnx(cell: str) -> None:
    network = rnn.rows(3, features=4, hidden=8, cell=cell).eval()
    exported = export.export_step(network, example(2, 6, 4))
    x = example(5, 12, 4, seed=1)
    states = {state.input: np.zeros((5, state.size), np.float32) for state in exported.states}
    for piece in np.split(x, [1, 7], axis=1):
        logits, *after = export.run(exported.data, {export.INPUT: piece, **states})
        states = dict(zip(states, after, strict=True))
    np.testing.assert_allclose(logits, network(torch.from_numpy(x)).detach().numpy(), atol=1e-5)


def test_a_streaming_network_is_exported_as_its_step() -> None:
    exported = export.export(rnn.rows(3, features=4, hidden=8, streaming=True), example(2, 6, 4))
    assert [state.input for state in exported.states] == ["h1", "h2"]


def test_a_streaming_teacher_is_exported_whole_for_it_is_asked_about_windows() -> None:
    exported = export.export(rnn.rows(3, features=4, hidden=8, streaming=True), example(2, 6, 4), in_pieces=False)
    assert (exported.states, exported.input.shape) == ((), (-1, 4))


class BakesItsBatch(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.size(0), -1)[:, :3] + float(len(x))


class DependsOnTheData(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :3] if bool(x.sum() > 1e9) else x[:, 1:4]


def test_a_network_that_bakes_the_batch_in_is_refused() -> None:
    with pytest.raises(errors.InputError, match="differs from torch at batch 1"):
        export.export(BakesItsBatch(), example(2, 4))


def test_a_network_that_cannot_be_exported_is_refused_in_words() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svdvals(x)

    with pytest.raises(errors.InputError, match="Odd cannot be exported to ONNX opset 17"):
        export.export(Odd(), example(2, 4, 4))


def test_a_branch_that_the_example_does_not_take_is_exported_as_taken() -> None:
    exported = export.export(DependsOnTheData(), example(2, 5))
    np.testing.assert_allclose(export.run(exported.data, {export.INPUT: example(2, 5)})[0], example(2, 5)[:, 1:4])


class Centres(nn.Module):
    """Takes the mean of the batch away."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :3] - x[:, :3].mean(dim=0, keepdim=True)


def test_a_network_whose_rows_influence_one_another_is_not_exported() -> None:
    """Torch and ONNX Runtime agree on it: only another company of rows shows it."""
    with pytest.raises(errors.InputError, match="is not published: its rows influence one another"):
        export.export(Centres(), example(4, 5))


def test_a_streaming_network_whose_rows_influence_one_another_is_not_exported() -> None:
    network = rnn.rows(3, features=4, hidden=8, streaming=True)
    network.head = nn.Sequential(network.head, Centres())
    with pytest.raises(errors.InputError, match="is not published: its rows influence one another"):
        export.export(network, example(4, 6, 4))
