"""The edge's serving path on aarch64: real wheels under an emulator, asked by a client of this machine.

What is proved is that it starts and what it answers; times under emulation say nothing. `scripts/arm` makes what is
needed.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import agent_cascade
import agent_process
import arm_models
import footprint
import numpy as np
import pytest
import require
import teacher_process

from skerry.adapters.oip.remote import RemoteModel
from skerry.core.inference import InferRequest
from skerry.core.tensors import Tensor

PYTHON = Path(__file__).parents[2] / ".cache" / "arm" / "python"
# Of Raspberry Pi 4 (Armv8.0) and 5 (with dot products), and one with SVE2 and 8-bit matrix products.
CORES = ("cortex-a72", "cortex-a76", "cortex-a710")
TIMEOUT_S = 60.0
FLOAT_TOLERANCE = 1e-4
# Without VNNI x86 adds pairs of 8-bit products in 16 bits, which saturates: its int8 answers are the odd ones then.
SATURATED_TOLERANCE_SHARE, SATURATED_OTHER_CLASS = 0.25, 0.05

pytestmark = require.requires(
    "arm", PYTHON.with_name("made").exists, "`make test-arm` unpacks an emulator and wheels for aarch64"
)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Arm:
    server: teacher_process.Teacher
    made: dict[str, arm_models.Made]


@pytest.fixture(scope="module")
def say(request: pytest.FixtureRequest) -> Say:
    """Print past pytest's capture: the numbers are half of what this is for."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n  {text}", flush=True)  # noqa: T201

    return write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, arm_models.Made]]:
    root = tmp_path_factory.mktemp("models")
    return root, arm_models.write(root)


@pytest.fixture(scope="module", params=CORES)
def arm(request: pytest.FixtureRequest, made: tuple[Path, dict[str, arm_models.Made]], say: Say) -> Iterator[Arm]:
    """The serving process on an emulated core, with every model loaded and tried."""
    root, versions = made
    began = time.monotonic()
    with teacher_process.started(root, "h2", str(PYTHON), QEMU_CPU=request.param) as server:
        server.wait_ready()
        assert server.ready["failed"] == {}
        assert set(server.ready["models"]) == set(versions)
        say(
            f"{request.param}: ready with {len(versions)} models after {time.monotonic() - began:.1f} s, "
            f"{footprint.own_mib(server.process.pid):.0f} MiB with the emulator's own"
        )
        yield Arm(server, versions)
        assert server.stop() == 0


async def answers(arm: Arm, name: str, batch: int) -> np.ndarray:
    """Logits of all images, `batch` a request."""
    images, found = arm.made[name].images, []
    async with RemoteModel(arm.server.address) as remote:
        for at in range(0, len(images), batch):
            request = InferRequest(name, (Tensor.of("image", images[at : at + batch]),))
            found.append((await remote.infer(request, TIMEOUT_S)).outputs[0].data)
    return np.concatenate(found)


def has_vnni() -> bool:
    flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    return any(flag in flags.split() for flag in ("avx512_vnni", "avx_vnni"))


@pytest.mark.parametrize("batch", [1, 30])
async def test_int8_answers_are_bit_for_bit_those_of_x86(arm: Arm, batch: int, say: Say) -> None:
    ours = arm.made["cnn-int8"]
    assert {node.op for node in ours.version.manifest.quantization.int8_nodes} == {"Conv", "Gemm"}
    found = await answers(arm, "cnn-int8", batch)
    gap = float(np.abs(found - ours.logits).max())
    other = float((found.argmax(axis=1) != ours.logits.argmax(axis=1)).mean())
    say(f"int8 CNN, batch {batch}: differs by {gap:.3g} of {np.abs(ours.logits).max():.3g}, {other:.1%} other classes")
    if has_vnni():
        assert found.tobytes() == ours.logits.tobytes()
    else:
        assert gap <= SATURATED_TOLERANCE_SHARE * np.abs(ours.logits).max() and other <= SATURATED_OTHER_CLASS


@pytest.mark.parametrize("name", ["cnn-float", "rnn"])
async def test_float_answers_are_those_of_x86_but_for_rounding(arm: Arm, name: str, say: Say) -> None:
    found, ours = await answers(arm, name, 50), arm.made[name].logits
    say(f"{name}: differs by {np.abs(found - ours).max():.3g} of {np.abs(ours).max():.3g}")
    np.testing.assert_allclose(found, ours, atol=FLOAT_TOLERANCE, rtol=FLOAT_TOLERANCE)
    np.testing.assert_array_equal(found.argmax(axis=1), ours.argmax(axis=1))


async def test_a_sequence_in_pieces_is_the_whole_window(arm: Arm) -> None:
    ours, last = arm.made["rnn-steps"], {}
    async with RemoteModel(arm.server.address) as remote:
        for begin, end in ((0, 1), (1, 2), (2, 15), (15, 28)):
            for key in (1, 2, 3):  # interleaved
                piece = ours.images[key : key + 1, begin:end]
                flags = {"sequence_id": key, "sequence_start": begin == 0, "sequence_end": end == 28}
                request = InferRequest("rnn-steps", (Tensor.of("image", piece),), parameters=flags)
                last[key] = (await remote.infer(request, TIMEOUT_S)).outputs[0].data[0]
    for key, logits in last.items():
        np.testing.assert_allclose(logits, ours.logits[key], atol=FLOAT_TOLERANCE, rtol=FLOAT_TOLERANCE)


async def test_the_agent_fetches_tries_and_serves_a_version(tmp_path: Path, say: Say) -> None:
    """The whole edge: cold start without a version, the signed one fetched and tried in a child, served, captured."""
    began = time.monotonic()
    async with agent_process.world(tmp_path) as world:
        world.python = str(PYTHON)
        await world.start(QEMU_CPU=CORES[0], PATH="/usr/bin:/bin")
        assert world.process is not None
        started_s = time.monotonic() - began
        world.gateway.assign(world.publish(world.make(1)))
        async with asyncio.timeout(120):
            while world.gateway.state_of("digits") != "SERVING":
                assert world.process.poll() is None, world.log()
                await asyncio.sleep(0.1)
        reply = await world.ask(agent_cascade.SURE, id="one")
        assert reply.outputs[0].data.argmax() == 2
        assert world.gateway.reports[-1].runtime.arch == "aarch64"
        own = footprint.own_mib(world.process.pid)
        say(f"agent: started after {started_s:.1f} s, serving the first version after {time.monotonic() - began:.1f} s")
        say(f"agent: {own:.0f} MiB with the emulator's own")
        assert await world.stop() == 0
