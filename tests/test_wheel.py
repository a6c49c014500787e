"""The wheel: the same bytes from the same sources, whoever builds it, where and when, and nothing in it but skerry."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "services", "proto")


def build(folder: Path, *, modified_s: int, mask: int, zone: str) -> Path:
    """The wheel of a copy of the sources whose files have that time and those rights."""
    folder.mkdir()
    for name in _SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for path in folder.rglob("*"):
        os.utime(path, (modified_s, modified_s))
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    environment = {"PATH": os.environ["PATH"], "TZ": zone, "LC_ALL": "C", "HOME": str(folder)}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment, umask=mask)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    return (
        build(folder / "a", modified_s=1_000_000_000, mask=0o022, zone="UTC"),
        build(folder / "somewhere-else", modified_s=1_700_000_000, mask=0o077, zone="Asia/Tokyo"),
    )


def test_two_builds_of_the_same_sources_are_the_same_file(wheels: tuple[Path, Path]) -> None:
    first, second = wheels
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_the_wheel_holds_skerry_and_its_licence_alone(wheels: tuple[Path, Path]) -> None:
    names = zipfile.ZipFile(wheels[0]).namelist()
    assert {name.split("/")[0] for name in names} == {
        "skerry",
        next(n for n in names if ".dist-info/" in n).split("/")[0],
    }
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_workflows_name_actions_by_commit_and_ask_for_no_rights_by_default() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text()
        used = re.findall(r"uses: (\S+)( # v[0-9.]+)?$", text, re.MULTILINE)
        assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) and version for action, version in used), (
            path
        )
        assert "\npermissions: {}\n" in text
