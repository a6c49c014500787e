"""What a stranger installs: the agent stays light, and no CUDA build ever comes in."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch",
    "pandas",
    "pydantic",
    "kubernetes",
    "onnx",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "redis",
    "starlette",
}

LONG_FILES = {
    "rpc/h2/call.py": "one call from its first byte to its trailers: in pieces, its two halves called back and forth",
}


def installed_closure(extra: str) -> set[str]:
    """Every distribution that `skerry[extra]` pulls, resolved over what is installed here."""
    found: set[str] = set()
    todo = [Requirement(f"skerry[{extra}]")]
    while todo:
        wanted = todo.pop()
        for text in importlib.metadata.requires(wanted.name) or []:
            need = Requirement(text)
            extras = wanted.extras or {""}
            if need.marker is not None and not any(need.marker.evaluate({"extra": one}) for one in extras):
                continue
            name = canonicalize_name(need.name)
            if name not in found or need.extras:
                todo.append(need)
            found.add(name)
    return found - {"skerry"}


def test_the_agent_pulls_nothing_heavy() -> None:
    closure = installed_closure("agent")
    assert not closure & HEAVY
    assert {"onnxruntime", "grpcio", "tuf", "hpack", "uvloop"} <= closure


def test_the_trainer_is_the_only_service_with_torch() -> None:
    assert "torch" in installed_closure("trainer")
    for extra in ("agent", "gateway", "curator", "controller", "dashboard", "cli"):
        assert "torch" not in installed_closure(extra), extra


def test_no_cuda_package_is_installed() -> None:
    names = {canonicalize_name(one.metadata["Name"]) for one in importlib.metadata.distributions()}
    assert not sorted(name for name in names if name.startswith("nvidia-"))


def test_every_installed_dependency_is_pinned() -> None:
    pinned = {
        canonicalize_name(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines() if line
    }
    assert not sorted(installed_closure("demo") - pinned)


def test_extras_are_named_after_services() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    folders = {path.name for path in (ROOT / "services" / "skerry").iterdir() if path.is_dir()}
    assert set(extras) - {"all", "demo", "s3"} <= folders


@pytest.mark.parametrize("path", sorted((ROOT / "services").rglob("*.py"), key=str), ids=lambda path: path.name)
def test_no_file_outgrows_a_reader(path: Path) -> None:
    if not path.name.endswith("_pb2.py") and str(path.relative_to(ROOT / "services" / "skerry")) not in LONG_FILES:
        assert len(path.read_text().splitlines()) <= 300, f"{path}: split it"


@pytest.mark.parametrize("name", LONG_FILES)
def test_an_exception_is_needed_and_has_a_bound_too(name: str) -> None:
    assert 300 < len((ROOT / "services" / "skerry" / name).read_text().splitlines()) <= 500


def test_nothing_committed_names_this_machine_or_a_registry() -> None:
    pattern = re.compile(r"https?://[^ ]*(pypi|pythonhosted|npmjs|debian\.org)")
    for path in [
        *ROOT.glob("*"),
        *(ROOT / "services").rglob("*.py"),
        *(ROOT / "scripts").glob("*"),
        *(ROOT / "docs").rglob("*.md"),
    ]:
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".txt", ".sh", ""}:
            assert not pattern.search(path.read_text(errors="replace")), path
