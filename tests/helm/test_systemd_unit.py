"""The systemd unit of the agent and its example of settings: what systemd says to them, and what the agent reads."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import require

from skerry.agent import settings

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = FOLDER / "skerry-agent.service"


def _service() -> dict[str, list[str]]:
    """The [Service] section; a name may come several times."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "Service" and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def _example() -> dict[str, str]:
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of variables keep their case
    parser.read_string("[all]\n" + (FOLDER / "agent.env.example").read_text())
    return dict(parser["all"])


def _unit_environment() -> dict[str, str]:
    pairs = [pair for line in _service()["Environment"] for pair in line.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_agent_takes_the_example_as_it_is() -> None:
    read = settings.read({**_unit_environment(), **_example()})
    assert (read.node, read.gateway, read.teacher) == ("press-7", "gateway.example:8443", "gateway.example:8447")
    assert read.state == Path("/var/lib/skerry")
    assert read.join_token_file is not None
    assert read.trust_root == Path("/var/lib/skerry/identity/root.json"), "enrolment brings the trusted root"


def test_every_variable_of_the_example_is_one_that_the_agent_reads() -> None:
    text = (FOLDER / "agent.env.example").read_text()
    named = {line.lstrip("#").partition("=")[0] for line in text.splitlines() if line.lstrip("#").startswith("SKERRY_")}
    source = Path(settings.__file__).read_text()
    assert {name for name in named if f'"{name}"' not in source} == set()


def test_the_unit_keeps_its_state_comes_back_and_gives_running_calls_their_time() -> None:
    service = _service()
    assert service["StateDirectory"] == ["skerry"]
    assert service["Restart"] == ["always"]
    grace_s = settings.read({**_unit_environment(), **_example()}).grace_s
    assert float(service["TimeoutStopSec"][0]) > grace_s
    assert service["NoNewPrivileges"] == ["yes"]
    assert service["CapabilityBoundingSet"] == [""]
    assert service["ProtectSystem"] == ["strict"]
    assert "@resources" not in " ".join(service["SystemCallFilter"]), "a child limits its own CPU and memory"


needs_systemd = require.requires("systemd", shutil.which("systemd-analyze") is not None, "systemd-analyze is not there")


@needs_systemd
def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    """With an interpreter that is there in the place of the one that an installation has."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/skerry/bin/python", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_unit_is_well_shut_in(tmp_path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Unknown" in done.stderr or "unrecognized option" in done.stderr:
        pytest.fail(f"systemd-analyze is too old: {done.stderr}")
    assert done.returncode == 0, done.stdout.splitlines()[-1:]
