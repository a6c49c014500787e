"""Debian packages unpacked below .cache/bench: headers and libraries for the C++ peers, without installing anything.

apt gets a configuration, lists and cache of its own, so that the machine's do not change. What the machine has
installed already is not fetched again.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_TIMEOUT_S = 600


class Apt:
    """A suite of Debian, unpacked below `root`. `suite` None: the machine's own. Raises OSError and
    subprocess.SubprocessError where apt is missing or fails."""

    def __init__(self, root: Path, suite: str | None = None) -> None:
        self.root = root
        self._own = [] if suite is None else self._configure(root / f"apt-{suite}", suite)
        self._is_fresh = suite is None

    def unpack(self, *packages: str, into: str = "") -> Path:
        """The folder (`into`, or the package's name) that holds these packages, without what they depend on."""
        folder, wanted = self.root / (into or packages[0]), "\n".join(packages)
        done = folder / ".done"
        if done.exists() and done.read_text() == wanted:
            return folder
        self._update()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._apt("apt-get", "download", *packages, cwd=folder)
        for archive in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True, timeout=_TIMEOUT_S)
            archive.unlink()
        done.write_text(wanted)
        return folder

    def missing(self, *packages: str) -> Sequence[str]:
        """These packages and all they need, as far as the machine has not installed them."""
        plan = self._apt("apt-get", "--simulate", "--no-install-recommends", "install", *packages)
        return sorted(re.findall(r"^Inst (\S+)", plan, re.MULTILINE))

    def _update(self) -> None:
        if not self._is_fresh:
            self._apt("apt-get", "update")
            self._is_fresh = True

    def _apt(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        return _run([program, *self._own, "-qq", *arguments], cwd)

    def _configure(self, folder: Path, suite: str) -> list[str]:
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {suite} main\n")
        return [
            *("-o", f"Dir::Etc::SourceList={folder}/sources.list", "-o", "Dir::Etc::SourceParts=/nonexistent"),
            *("-o", "Dir::Etc::Preferences=/nonexistent", "-o", "Dir::Etc::PreferencesParts=/nonexistent"),
            *("-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"),
            *("-o", "APT::Sandbox::User=root"),
        ]


def _mirror() -> str:
    """Where the machine's own packages of Debian come from."""
    sources = re.findall(
        r"^'(\S+)/dists/([^/ ']+)/InRelease'", _run(["apt-get", "update", "--print-uris"]), re.MULTILINE
    )
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    for uri, suite in sources:
        if suite == release.get("VERSION_CODENAME"):
            return str(uri)
    raise OSError("no apt source of this machine names its own suite of Debian")


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, check=True, timeout=_TIMEOUT_S, capture_output=True, text=True)
    return done.stdout
