"""The recurrent cells compute what their formulas say; a sequence fed in pieces gives what the whole one gives."""

import numpy as np
import pytest
import torch

from skerry.core import errors
from skerry.nets import rnn

Parameters = dict[str, np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def simple(p: Parameters, steps: np.ndarray, hidden: int) -> np.ndarray:
    """h_t = tanh(W·[h_{t−1}, x_t] + b)"""
    w = np.concatenate([p["weight_hh_l0"], p["weight_ih_l0"]], axis=1)
    b = p["bias_hh_l0"] + p["bias_ih_l0"]
    h, out = np.zeros(hidden), []
    for x in steps:
        h = np.tanh(w @ np.concatenate([h, x]) + b)
        out.append(h)
    return np.array(out)


def lstm(p: Parameters, steps: np.ndarray, hidden: int) -> np.ndarray:
    h, c, out = np.zeros(hidden), np.zeros(hidden), []
    for x in steps:
        gates = p["weight_ih_l0"] @ x + p["bias_ih_l0"] + p["weight_hh_l0"] @ h + p["bias_hh_l0"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.array(out)


def gru(p: Parameters, steps: np.ndarray, hidden: int) -> np.ndarray:
    h, out = np.zeros(hidden), []
    for x in steps:
        ri, zi, ni = np.split(p["weight_ih_l0"] @ x + p["bias_ih_l0"], 3)
        rh, zh, nh = np.split(p["weight_hh_l0"] @ h + p["bias_hh_l0"], 3)
        r, z = sigmoid(ri + rh), sigmoid(zi + zh)
        h = (1 - z) * np.tanh(ni + r * nh) + z * h
        out.append(h)
    return np.array(out)


FORMULAS = {"rnn": simple, "lstm": lstm, "gru": gru}


def numbers(module: torch.nn.Module) -> Parameters:
    return {name: value.detach().numpy().astype(np.float64) for name, value in module.named_parameters()}


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
