"""What is in the images that `make images` built, and what is not: asked of the images themselves, through Docker."""

import functools
import json
import os
import shutil
import subprocess
from typing import Any

import pytest
import require

TAG = os.environ.get("TAG", "dev")
IMAGES = ("agent", "cloud", "trainer", "valkey")
BUILT_BY_US = ("agent", "cloud", "trainer")
# Megabytes beyond the base image: a budget, so that what creeps in is seen. Of the trainer's, imbalanced-learn brings
# 205 (scikit-learn, scipy), and torchao 26.
BUDGETS_MB = {"agent": 260, "cloud": 620, "trainer": 1400, "valkey": 120}
SERVICES = {
    "agent": ("skerry.agent.main", "skerry.agent.update.fetch_child", "skerry.teacher.main"),
    "cloud": ("skerry.gateway.main", "skerry.curator.main", "skerry.controller.main", "skerry.dashboard.main"),
    "trainer": ("skerry.trainer.main",),
}


def docker(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=False)


@functools.cache
def images_are_there() -> bool:
    return bool(shutil.which("docker")) and docker("image", "inspect", *map(image, IMAGES)).returncode == 0


pytestmark = require.requires("images", images_are_there, "no Docker with skerry's images: `make images` builds them")


def image(name: str) -> str:
    return f"skerry-{name}:{TAG}"


def inspected(reference: str) -> dict[str, Any]:
    done = docker("image", "inspect", reference)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)[0])


def run(name: str, *command: str) -> "subprocess.CompletedProcess[str]":
    """As a cluster's restricted profile runs it: read-only, no capability, no network."""
    tight = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")
    return docker("run", "--rm", *tight, "--tmpfs", "/tmp", image(name), *command)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_as_an_ordinary_user(name: str) -> None:
    assert inspected(image(name))["Config"]["User"] == "10001:10001"


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_stays_within_its_budget(name: str) -> None:
    base = inspected(os.environ.get("BASE_IMAGE", "python:3.11-slim-bookworm"))["Size"]
    megabytes = (inspected(image(name))["Size"] - base) / 1e6
    assert megabytes <= BUDGETS_MB[name]


@pytest.mark.parametrize(("name", "module"), [(name, module) for name in SERVICES for module in SERVICES[name]])
def test_a_service_can_be_imported_from_its_image(name: str, module: str) -> None:
    done = run(name, "python", "-c", f"import {module}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", BUILT_BY_US)
def test_nothing_in_an_image_installs_or_compiles(name: str) -> None:
    tools = "pip pip3 uv gcc cc g++ make"
    done = run(name, "sh", "-c", f"for tool in {tools}; do command -v $tool; done; python -m pip --version")
    assert done.stdout == ""


@pytest.mark.parametrize("name", BUILT_BY_US)
def test_an_image_brings_its_bytecode(name: str) -> None:
    """Nothing may be written below /opt, so what is not compiled is compiled again at each start."""
    script = "import os, importlib.util as u, skerry as s; print(os.path.exists(u.cache_from_source(s.__file__)))"
    assert run(name, "python", "-c", script).stdout == "True\n"


@pytest.mark.parametrize("name", BUILT_BY_US)
def test_torch_is_in_the_trainer_alone_and_cuda_nowhere(name: str) -> None:
    script = (
        "import importlib.metadata as m; print(*sorted((d.metadata['Name'] or '').lower() for d in m.distributions()))"
    )
    installed = run(name, "python", "-c", script).stdout.split()
    assert ("torch" in installed) == (name == "trainer")
    assert not [one for one in installed if one.startswith("nvidia")]


def test_the_images_share_their_first_layers() -> None:
    """A node that has one image fetches little of the next."""
    layers = [inspected(image(name))["RootFS"]["Layers"] for name in BUILT_BY_US]
    shared = {layer for layer in layers[0] if all(layer in one for one in layers)}
    base = set(inspected(os.environ.get("BASE_IMAGE", "python:3.11-slim-bookworm"))["RootFS"]["Layers"])
    assert len(shared - base) >= 2
