"""The recurrent cells compute what their formulas say; a sequence fed in pieces gives what the whole one gives."""

import numpy as np
import pytest
import torch
from recurrences import FORMULAS, numbers, simple

from skerry.core import errors
from skerry.nets import rnn


@pytest.mark.parametrize("cell", FORMULAS)
def test_the_network_of_rows_is_the_formula(cell: str) -> None:
    torch.manual_seed(2)
    network = rnn.rows(4, features=3, hidden=5, dense=6, cell=cell).eval()
    x = np.random.default_rng(0).normal(size=(7, 3))
    read = numbers(network.reading)
    steps = x @ read["weight"].T + read["bias"]
    steps = FORMULAS[cell](numbers(network.first), steps, 5)
    last = FORMULAS[cell](numbers(network.second), steps, 5)[-1]
    head = numbers(network.head)
    expected = head["2.weight"] @ np.maximum(head["0.weight"] @ last + head["0.bias"], 0) + head["2.bias"]
    found = network(torch.from_numpy(x[None].astype(np.float32))).detach().numpy()[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_network_of_tokens_looks_its_steps_up() -> None:
    torch.manual_seed(2)
    network = rnn.tokens(3, vocabulary=11, embedding=4, hidden=5).eval()
    ids = np.array([3, 10, 0, 3])
    steps = simple(numbers(network.first), numbers(network.reading)["weight"][ids], 5)
    last = simple(numbers(network.second), steps, 5)[-1]
    head = numbers(network.head)
    expected = head["2.weight"] @ np.maximum(head["0.weight"] @ last + head["0.bias"], 0) + head["2.bias"]
    np.testing.assert_allclose(network(torch.from_numpy(ids[None])).detach().numpy()[0], expected, atol=1e-5)


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_sequence_in_pieces_ends_where_the_whole_one_ends(cell: str) -> None:
    torch.manual_seed(3)
    network = rnn.rows(4, features=3, hidden=5, cell=cell).eval()
    step = rnn.Step(network)
    x = torch.randn(2, 9, 3)
    states = tuple(torch.zeros(2, 5) for _ in step.state_names)
    for piece in (x[:, :1], x[:, 1:6], x[:, 6:]):
        logits, *states = step(piece, *states)
    torch.testing.assert_close(logits, network(x))


def test_an_unknown_cell_is_refused_with_the_known_ones() -> None:
    with pytest.raises(errors.InputError, match="rnn, lstm, gru"):
        rnn.rows(4, cell="transformer")
