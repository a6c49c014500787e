"""The agent's image can be built for arm64: an index has an aarch64 wheel of all it needs, at the pinned version."""

import functools
import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import require
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[2]
# What Debian bookworm (glibc 2.36), the base of the images, takes; pip wants every level named.
PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)] + ["manylinux2014_aarch64"]
_TIMEOUT_S = 120


def pip(*arguments: str, platforms: Sequence[str] = PLATFORMS) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--no-input"]
    wanted = ["--report", "-", "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11"]
    fits = [word for platform in platforms for word in ("--platform", platform)]
    abis = ["--abi", "cp311", "--abi", "abi3", "--abi", "none", "--target", "nowhere"]
    return subprocess.run(
        [*command, *wanted, *fits, *abis, "-c", str(ROOT / "constraints.txt"), *arguments],
        capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip


@functools.cache
def index_is_there() -> bool:
    return pip("--no-deps", "--retries", "0", "--timeout", "10", "hpack").returncode == 0


pytestmark = [
    require.requires("index", index_is_there, "no index of Python packages can be reached"),
    pytest.mark.long,
]


def agent_requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["agent"]]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {str(canonicalize_name(name)): version for name, version in (line.split("==") for line in lines if line)}


def resolved() -> list[dict[str, Any]]:
    done = pip(*agent_requirements())
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["install"])


def test_every_wheel_of_the_agent_exists_for_arm64_at_the_version_of_the_constraints() -> None:
    versions, compiled = pinned(), set()
    for one in resolved():
        name, version, _, tags = parse_wheel_filename(Path(one["download_info"]["url"]).name.replace("%2B", "+"))
        assert versions.get(str(name)) == str(version), f"{name} {version} is not what constraints.txt names"
        platforms = {tag.platform for tag in tags}
        assert "any" in platforms or any(platform.endswith("_aarch64") for platform in platforms), (name, platforms)
        if "any" not in platforms:
            compiled.add(str(name))
    assert {"numpy", "onnxruntime", "grpcio", "protobuf", "uvloop", "cryptography"} <= compiled


def test_an_architecture_without_wheels_would_be_found() -> None:
    done = pip("--no-deps", "numpy", platforms=["manylinux_2_28_m68k"])
    assert done.returncode != 0
    assert "numpy" in done.stderr
