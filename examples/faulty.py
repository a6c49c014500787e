"""A version that is right by its own table and wrong in the field: made for a sensor whose readings of the target are
all `factor` times as large. Its network is the one that serves, inputs and answers in that sensor's terms."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

_NAME = "other_sensor"


def network(served: bytes, factor: float, columns: Sequence[int], features: int, input_name: str) -> bytes:
    """An ONNX file of `served` whose inputs `columns`, of `features`, come `factor` times as large, and whose answers
    are so too."""
    model = onnx.load_model_from_string(served)
    graph = model.graph
    taken, told = graph.input[0].name, graph.output[0].name
    by = np.ones((1, 1, features), dtype=np.float32)
    by[..., list(columns)] = 1 / factor
    for node in graph.node:
        node.input[:] = [f"{_NAME}_in" if name == taken else name for name in node.input]
        node.output[:] = [f"{_NAME}_out" if name == told else name for name in node.output]
    graph.input[0].name = input_name
    graph.initializer.append(numpy_helper.from_array(by, f"{_NAME}_by"))
    graph.initializer.append(numpy_helper.from_array(np.array(factor, dtype=np.float32), f"{_NAME}_factor"))
    graph.node.insert(0, helper.make_node("Mul", [input_name, f"{_NAME}_by"], [f"{_NAME}_in"]))
    graph.node.append(helper.make_node("Mul", [f"{_NAME}_out", f"{_NAME}_factor"], [told]))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def table(source: Path, target: str, factor: float, out: Path) -> Path:
    """`source` as that sensor would have written it."""
    with source.open(newline="") as file:
        head, *rows = csv.reader(file)
    at = head.index(target)
    with out.open("w", newline="") as file:
        csv.writer(file).writerows([head, *([*row[:at], str(float(row[at]) * factor), *row[at + 1 :]] for row in rows)])
    return out
