"""`python -m skerry.serving.smoke_test`: one real answer of a real server, and a clear word when there is none."""

import subprocess
import sys
from pathlib import Path

import models
import pytest
import selection
import teacher_process

from skerry.core import errors
from skerry.proto import open_inference_pb2 as pb
from skerry.serving import smoke_test


def _run(address: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "skerry.serving.smoke_test", address, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={"PYTHONPATH": "services"}
    )


@pytest.mark.parametrize("transport", selection.TRANSPORTS)
def test_a_model_that_is_ready_is_asked_once(tmp_path: Path, transport: str) -> None:
    models.write_linear(tmp_path, "digits", 3)
    with teacher_process.started(tmp_path, transport) as server:
        done = _run(server.wait_ready().address)
        assert 'skerry_requests_total{model="digits",version="3",outcome="ok"} 1' in server.page("/metrics")
    assert (done.returncode, done.stderr) == (0, "")
    assert "digits version 3 answered one request in" in done.stdout


def test_a_model_with_several_inputs_is_asked_for_all_of_them(tmp_path: Path) -> None:
    models.write_pair(tmp_path, "pair", 1)
    with teacher_process.started(tmp_path, "h2") as server:
        done = _run(server.wait_ready().address)
    assert done.returncode == 0, done.stderr
    assert "pair version 1 answered" in done.stdout


def test_a_server_that_was_given_no_model_is_well_unless_one_is_required(tmp_path: Path) -> None:
    with teacher_process.started(tmp_path, "h2") as server:
        address = server.wait_ready().address
        fine, required = _run(address), _run(address, "--require-model", "--timeout-seconds", "0.1")
    assert (fine.returncode, fine.stdout) == (
        0,
        f"{address} answers; no model was given to it yet: nothing to ask for\n",
    )
    assert (required.returncode, required.stdout) == (1, "")
    assert "has no model ready (it was given none)" in required.stderr


def test_a_model_that_cannot_answer_fails_the_trial_with_the_servers_words(tmp_path: Path) -> None:
    models.write_not_finite(tmp_path, "broken", 1)
    with teacher_process.started(tmp_path, "h2") as server:
        done = _run(server.wait_ready().address, "--timeout-seconds", "0.1")
    assert done.returncode == 1
    assert "ModelInfer" in done.stderr or "no model ready" in done.stderr


def test_nobody_there_is_told_after_the_wait() -> None:
    done = _run("127.0.0.1:1", "--timeout-seconds", "0.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("not ready in time: 127.0.0.1:1 answered RepositoryIndex with UNAVAILABLE")


def test_free_dimensions_are_one_and_an_empty_text_is_four_zeros() -> None:
    asked = pb.ModelMetadataResponse(name="m")
    asked.inputs.add(name="x", datatype="FP32", shape=[-1, 3, -1])
    asked.inputs.add(name="words", datatype="BYTES", shape=[-1, 2])
    made = smoke_test.request_of(asked)
    assert [list(one.shape) for one in made.inputs] == [[1, 3, 1], [1, 2]]
    assert list(made.raw_input_contents) == [bytes(12), bytes(8)]


def test_a_type_that_the_protocol_does_not_know_is_named() -> None:
    asked = pb.ModelMetadataResponse(name="m")
    asked.inputs.add(name="x", datatype="FP128", shape=[1])
    with pytest.raises(errors.InputError, match="input 'x' of m has the unknown type 'FP128'"):
        smoke_test.request_of(asked)
