"""Bills of materials (CycloneDX, JSON) below dist/sbom: of the wheel with everything that it may pull, and of images
that Docker has: `python scripts/sbom [IMAGE…]`. Same input, same bytes: no times and no random numbers are written.

cyclonedx-bom reads what the distributions say of themselves, in an environment of its own in .cache. An image's
packages of Debian are added, which it does not see.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dist" / "sbom"
_PACKAGES = "opt/skerry/lib/python3.11/site-packages"


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        _write("skerry-wheel", _of_wheel(temporary), (), temporary)
        for image in sys.argv[1:]:
            packages, debian = _of_image(image, temporary / re.sub(r"\W", "-", image))
            _write(image.rpartition("/")[2].replace(":", "-"), packages, debian, temporary)
    return 0


def _write(name: str, packages: Path, debian: Iterable[dict[str, Any]], temporary: Path) -> None:
    """`packages`: a folder of distributions, as site-packages is."""
    told = temporary / "interpreter"  # cyclonedx-py asks an interpreter for its sys.path, and reads what lies there
    told.write_text(f"#!/bin/sh\necho '{json.dumps([str(packages)])}'\n")
    told.chmod(0o755)
    options = ["--output-format", "JSON", "--output-reproducible", "--pyproject", str(ROOT / "pyproject.toml")]
    command = [str(_program()), "environment", *options, "--mc-type", "application", str(told)]
    document = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    document["components"] = [*document.get("components", []), *debian]
    path = FOLDER / f"{name}.cdx.json"
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    print(f"{path.relative_to(ROOT)}: {len(document['components'])} components")  # noqa: T201


def _of_wheel(temporary: Path) -> Path:
    """What the wheel may pull, as it is installed here."""
    sys.path.insert(0, str(ROOT / "scripts" / "lock"))
    import closure

    packages = temporary / "wheel"
    packages.mkdir()
    pinned = closure.pins(ROOT / "constraints.txt")
    wanted = closure.of(["[all]"], ROOT / "pyproject.toml", pinned) | closure.LEFT_OUT
    for information in Path(sys.prefix).glob("lib/python3*/site-packages/*.dist-info"):
        if closure.canonical(information.name.partition("-")[0]) in wanted:
            (packages / information.name).symlink_to(information)
    return packages


def _of_image(image: str, folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """(its Python distributions, its Debian packages)."""
    folder.mkdir()
    made = subprocess.run(["docker", "create", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        _described(f"{made}:/{_PACKAGES}", folder)
        subprocess.run(["docker", "cp", f"{made}:/var/lib/dpkg/status", str(folder)], check=True, capture_output=True)
    finally:
        subprocess.run(["docker", "rm", made], check=True, capture_output=True)
    packages = folder / "site-packages"
    packages.mkdir(exist_ok=True)  # an image without Python packages of ours
    return packages, list(_debian((folder / "status").read_text()))


def _described(source: str, folder: Path) -> None:
    """What the distributions below `source` say of themselves, and nothing of the gigabyte beside it. An image without
    Python packages has none."""
    command = ["docker", "cp", source, "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as copying:
        assert isinstance(copying.stdout, io.BufferedReader)
        if not copying.stdout.peek(1):
            return
        with tarfile.open(fileobj=copying.stdout, mode="r|") as archive:
            for member in archive:
                if ".dist-info/" in member.name and (content := archive.extractfile(member)):
                    path = folder / member.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.read())


def _debian(status: str) -> Iterable[dict[str, Any]]:
    """dpkg's list of installed packages as components."""
    for entry in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", entry, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
            yield {"bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl}


def _program() -> Path:
    """cyclonedx-py, installed by requirements/sbom.txt."""
    folder, wanted = ROOT / ".cache" / "sbom", (ROOT / "requirements" / "sbom.txt").read_text()
    done, program = folder / "installed", folder / "bin" / "cyclonedx-py"
    if not (done.is_file() and done.read_text() == wanted and program.exists()):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        options = ["--quiet", "--require-hashes", "--no-deps", "-r", str(ROOT / "requirements" / "sbom.txt")]
        subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", *options], check=True)
        done.write_text(wanted)
    return program


if __name__ == "__main__":
    sys.exit(main())
