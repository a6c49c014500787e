"""Writes requirements/*.txt, what `pip install --require-hashes` installs, from pyproject.toml and constraints.txt:
`python scripts/lock`, which asks the package index for the hashes by uv. With --check it asks nobody and says which
files are stale: another set of packages or versions than those two files name.

torch is left out: its builds for CPUs have hashes of their own and lie elsewhere (scripts/torch).
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import closure

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
# What each file is for: extras of pyproject.toml, groups of it, and single distributions.
FILES: Mapping[str, tuple[str, ...]] = {
    "base": ("numpy", "onnxruntime", "protobuf", "grpcio"),
    "agent": ("[agent]",),
    "cloud": ("[gateway,curator,controller,dashboard,cli,s3]",),
    "trainer": ("[trainer]",),
    "dev": ("[demo]", "group:dev"),
    "build": ("group:build",),
    "uv": ("uv",),
}
# Programs in environments of their own, with whatever they need: nothing of it is in constraints.txt.
APART: Mapping[str, str] = {"sbom": "cyclonedx-bom==7.5.0"}
_HEAD = "# {purpose}; made by `make lock` from pyproject.toml and constraints.txt.\n"
_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ \\;]+)", re.MULTILINE)


def main() -> int:
    pins = closure.pins(ROOT / "constraints.txt")
    wanted = {name: closure.of(roots, ROOT / "pyproject.toml", pins) for name, roots in FILES.items()}
    if "--check" not in sys.argv[1:]:
        hashed = _hashed({distribution for names in wanted.values() for distribution in names}, pins)
        for name, names in wanted.items():
            text = _HEAD.format(purpose=", ".join(FILES[name]))
            (FOLDER / f"{name}.txt").write_text(text + "".join(hashed[distribution] for distribution in sorted(names)))
        for name, program in APART.items():
            (FOLDER / f"{name}.txt").write_text(_HEAD.format(purpose=program) + _compiled(program))
    stale = [name for name, program in APART.items() if tuple(program.split("==")) not in _listed(name).items()]
    stale += [name for name, names in wanted.items() if _listed(name) != {one: pins[one] for one in names}]
    if stale:
        sys.exit(f"requirements/ is stale ({', '.join(stale)}): run make lock")
    print("requirements: up to date")  # noqa: T201
    return 0


def _listed(name: str) -> dict[str, str]:
    """Distribution → version of the entries that have hashes."""
    path = FOLDER / f"{name}.txt"
    text = path.read_text() if path.is_file() else ""
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)
    found = [match for entry in entries if "--hash=sha256:" in entry and (match := _ENTRY.search(entry))]
    return {closure.canonical(match["name"]): match["version"] for match in found}


def _hashed(names: set[str], pins: Mapping[str, str]) -> dict[str, str]:
    """Distribution → its entry with the hashes of all files that the index has of this version."""
    text = _compiled("".join(f"{name}=={pins[name]}\n" for name in sorted(names)), "--no-deps")
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.rstrip("\n"))
    return {closure.canonical(match["name"]): f"{entry}\n" for entry in entries if (match := _ENTRY.match(entry))}


def _compiled(wanted: str, *options: str) -> str:
    """`wanted`, a requirement a line, with hashes, for any Python and machine."""
    options = (*options, "--universal", "--generate-hashes", "--no-annotate", "--no-header", "--no-config")
    command = ["uv", "pip", "compile", "--quiet", "--python-version", "3.11", *options, "-"]
    return subprocess.run(command, input=wanted, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
