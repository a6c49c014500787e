"""`skerry infer` with a network of several inputs: an npz brings an array for each, by name."""

import asyncio
from pathlib import Path

import models
import numpy as np
import pytest
import teacher_process

from skerry.cli import agent_client
from skerry.core import errors, specs
from skerry.core.inference import InferRequest
from skerry.core.tensors import Spec

FIRST = specs.Input("a", "FP32", (2,))
SERVED = (Spec("a", "FP32", (2,)), Spec("b", "FP32", (2,)))


def test_each_input_of_the_served_version_comes_from_the_array_of_its_name(tmp_path: Path) -> None:
    models.write_pair(tmp_path / "models", "pair", 1)
    np.savez(tmp_path / "one.npz", b=[10.0, 20.0], a=[1.0, 2.0])  # one row each, without a batch axis
    with teacher_process.started(tmp_path / "models", "h2") as server:
        address = server.wait_ready().address
        served = asyncio.run(agent_client.inputs_of(address, "pair", 10.0))
        assert served == SERVED
        inputs = agent_client.read(tmp_path / "one.npz", FIRST, served)
        reply, _ = asyncio.run(agent_client.infer(address, InferRequest("pair", inputs, id="q-1"), 10.0))
    np.testing.assert_array_equal(reply.outputs[0].data, [[11.0, 22.0]])


def test_an_array_that_is_missing_is_named_with_all_that_the_model_takes(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", a=[1.0, 2.0])
    with pytest.raises(errors.InputError, match="has no array 'b'; this model takes a, b"):
        agent_client.read(tmp_path / "one.npz", FIRST, SERVED)


def test_a_file_that_can_hold_one_input_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text("[[1, 2]]")
    with pytest.raises(errors.InputError, match="this model takes a, b: bring an npz with an array for each"):
        agent_client.read(tmp_path / "one.json", FIRST, SERVED)
