"""What is installed is what was locked: every distribution by version and hash, in step with pyproject.toml, and from
nowhere else."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "requirements").glob("*.txt"))


def entries(path: Path) -> list[str]:
    text = "".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("#"))
    return re.split(r"\n(?=[A-Za-z0-9])", text.strip())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_entry_has_a_version_and_hashes(path: Path) -> None:
    for entry in entries(path):
        assert re.match(r"[A-Za-z0-9._-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_the_locked_sets_are_those_of_pyproject_and_constraints() -> None:
    checked = subprocess.run([sys.executable, "scripts/lock", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("path", ["services/Dockerfile", "deploy/valkey/Dockerfile"])
def test_images_name_their_base_by_its_digest(path: str) -> None:
    (base,) = re.findall(r"^ARG BASE_IMAGE=(.*)$", (ROOT / path).read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", base)


def test_a_wheel_that_somebody_has_changed_is_not_installed(tmp_path: Path) -> None:
    (entry,) = (entry for entry in entries(ROOT / "requirements" / "agent.txt") if entry.startswith("hpack=="))
    version = entry.split("==")[1].split()[0]
    info = f"hpack-{version}.dist-info"
    with zipfile.ZipFile(tmp_path / f"hpack-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("hpack/__init__.py", "print('anything')\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: hpack\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    (tmp_path / "wanted.txt").write_text(entry + "\n")
    options = ["--no-index", "--find-links", str(tmp_path), "--no-deps", "--target", str(tmp_path / "site")]
    command = [sys.executable, "-m", "pip", "--isolated", "install", *options]
    refused = subprocess.run(
        [*command, "--require-hashes", "-r", str(tmp_path / "wanted.txt")], capture_output=True, text=True
    )
    assert refused.returncode != 0 and "DO NOT MATCH THE HASHES" in refused.stderr
    assert not (tmp_path / "site" / "hpack").exists()
    by_version = subprocess.run([*command, f"hpack=={version}"], capture_output=True, text=True)
    assert by_version.returncode == 0, "a version alone would have let it in"
