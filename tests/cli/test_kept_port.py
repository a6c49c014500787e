"""The dashboard's port under `skerry up`: the same at every start, unless somebody else has it."""

import socket
from pathlib import Path

import pytest

from skerry.cli.system import supervisor
from skerry.cli.system.layout import Layout


def test_the_port_is_the_one_of_before(tmp_path: Path) -> None:
    port = supervisor.free_ports(1)[0]
    Layout(tmp_path).dashboard_port.write_text(f"{port}\n")
    assert supervisor.System(Layout(tmp_path), ["edge-1"]).ports.dashboard == port


def test_a_port_that_somebody_else_has_is_left_to_him(tmp_path: Path) -> None:
    kept = tmp_path / "dashboard.port"
    with socket.create_server(("127.0.0.1", 0)) as other:
        kept.write_text(str(other.getsockname()[1]))
        assert supervisor.kept_port(kept) != other.getsockname()[1]


@pytest.mark.parametrize("text", ["", "0", "-4", "70000", "nonsense"])
def test_a_file_that_says_no_port_is_no_fault(tmp_path: Path, text: str) -> None:
    kept = tmp_path / "dashboard.port"
    kept.write_text(text)
    assert 0 < supervisor.kept_port(kept) < 65_536
