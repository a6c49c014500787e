"""Clients that nobody here wrote, each in an environment of its own, against the server on both transports."""

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import environments
import models
import numpy as np
import pytest
import require
import teacher_process

CLIENTS = Path(__file__).parent / "clients"
PROGRAMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "triton_sync": ("triton", ("tritonclient[grpc]==2.73.0",)),
    "triton_aio": ("triton", ("tritonclient[grpc]==2.73.0",)),
    "kserve_client": ("kserve", ("kserve==0.21.0",)),
    "mlserver_stubs": ("mlserver", ("mlserver==1.7.1",)),
    "grpcio_tools": ("grpcio", ("grpcio-reflection==1.85.1", "grpcio-health-checking==1.85.1")),
}
EXPECTED = (np.array([[1, 2, 3, 4]], dtype=np.float32) @ models.weights(1.0)).tolist()


@pytest.fixture(scope="module", params=["h2", "grpcio"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("models")
    models.write_linear(root, "digits", 1)
    models.write_pair(root, "pair", 1)
    models.write_identity(root, "half", 1, "FP16", (2,))
    for datatype in ("BOOL", "INT16", "UINT16", "UINT32", "BF16"):
        models.write_cast_linear(root, f"digits-{datatype.lower()}", 1, datatype)
    models.write_rnn(root, "rnn", 1)
    with teacher_process.started(root, request.param) as made:
        yield made.wait_ready().address


def _run(program: str, address: str) -> dict[str, Any]:
    interpreter = environments.python(*PROGRAMS[program])
    assert interpreter is not None
    done = subprocess.run(
        [str(interpreter), str(CLIENTS / f"{program}.py"), address, json.dumps(EXPECTED)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _needs(program: str) -> pytest.MarkDecorator:
    name, requirements = PROGRAMS[program]
    installed = partial(environments.python, name, requirements)
    return require.requires(
        "interop", lambda: installed() is not None, f"`make test-interop` installs {', '.join(requirements)}"
    )


@pytest.mark.parametrize(
    "program",
    [pytest.param(name, marks=_needs(name)) for name in PROGRAMS if name != "triton_sync"],
)
def test_the_client_gets_what_it_expects(address: str, program: str) -> None:
    _run(program, address)


@_needs("triton_sync")
def test_tritons_client_gets_what_it_expects_and_its_stream_equals_the_whole_window(address: str) -> None:
    found = _run("triton_sync", address)
    window = np.array(found["window"], dtype=np.float32)
    np.testing.assert_allclose(found["logits"], models.rnn_reference(window), rtol=1e-4, atol=1e-5)
