"""A warning as its people meet it: an agent whose cloud is gone, and a command beside it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import agent_fakes
import agent_process
import models
import numpy as np
import streaming_models
from agent_forecaster import LOAD
from agent_process import World

from skerry.adapters.oip.remote import RemoteModel
from skerry.core import tensors
from skerry.core.inference import InferRequest

WARN = {"residualAbove": 2, "for": 3, "targetColumn": models.FEATURES - 1}


async def read(agent: RemoteModel, value: float, **parameters: Any) -> None:
    steps = np.zeros((1, 1, models.FEATURES), np.float32)
    steps[0, 0, -1] = value
    await agent.infer(
        InferRequest("digits", (tensors.Tensor.of("x", steps),), parameters={"sequence_id": "press-4"} | parameters), 10
    )


def command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "skerry.cli.main", "warnings", *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


async def test_a_warning_is_raised_told_and_over_while_the_cloud_is_gone(tmp_path: Path) -> None:
    async with agent_process.world(tmp_path) as world:
        await world.start()
        slot = world.publish(streaming_models.write_forecaster(tmp_path / "made", "digits", 1, LOAD))
        world.gateway.assign(slot, warn_json=json.dumps(WARN).encode())
        await agent_fakes.until(
            lambda: any(report.models and report.models[0].digest for report in reports(world)), timeout_s=60
        )
        async with RemoteModel(world.address) as agent:
            await read(agent, 0.0, sequence_start=True)
            for value in (1.0,) * 4:
                await read(agent, value)
            await agent_fakes.until(lambda: bool(reports(world)[-1].warnings))
            (told,) = reports(world)[-1].warnings
            assert (told.model, told.series, told.digest) == ("digits", "press-4", slot.digest)
            await world.gateway.stop()
            world.served.down = True
            (known,) = json.loads(command("--agent", world.address, "--json"))
            assert [one["series"] for one in known["warnings"]] == ["press-4"]
            shown = command("--agent", world.address)
            assert "press-4" in shown
            assert "1 raised and not over; 1 raised since it started" in shown
            for value in (0.0,) * 5:
                await read(agent, value)
            (known,) = json.loads(command("--agent", world.address, "--json"))
            assert (known["warnings"], known["raised"]) == ([], 1)
        log = world.log()
        assert log.count('"warning_raised"') == log.count('"warning_over"') == 1
        await world.stop()
        await world.start(SKERRY_GATEWAY="no-such-host.invalid:1")
        async with RemoteModel(world.address) as agent:
            await read(agent, 0.0, sequence_start=True)
            for value in (1.0,) * 4:
                await read(agent, value)
        (known,) = json.loads(command("--agent", world.address, "--json"))
        assert known["raised"] == 1, "the policy is remembered, what was raised before is not"


def reports(world: World) -> list[Any]:
    return world.gateway.reports
