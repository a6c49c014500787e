"""The recurrent cells by their formulas, in plain numpy: what networks of torch are compared with."""

import numpy as np
import torch

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
