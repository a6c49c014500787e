"""The file by which commands find the running system."""

from pathlib import Path

import pytest
from cli_system import StillSystem
from click.testing import CliRunner

from skerry.cli import main, system_file
from skerry.core import errors


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = StillSystem(tmp_path, agents=[system_file.Agent("edge-1", "127.0.0.1:9000")]).description
    assert system_file.read(tmp_path) == written
    assert not list(tmp_path.glob("*.new"))


def test_where_none_runs_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    done = CliRunner().invoke(main.main, ["nodes", "--state", str(tmp_path / "none")])
    assert done.exit_code == 4
    assert "`skerry up` starts one" in done.stderr


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="nothing in it"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(b'{"objects": 7}', id="a number for an address"),
    ],
)
def test_a_damaged_file_is_told_by_its_name(tmp_path: Path, content: bytes) -> None:
    system_file.path(tmp_path).write_bytes(content)
    with pytest.raises(errors.IntegrityError, match=r"system\.json is damaged"):
        system_file.read(tmp_path)


@pytest.mark.parametrize("share", range(0, 100, 7))
def test_a_file_cut_anywhere_is_damaged(tmp_path: Path, share: int) -> None:
    StillSystem(tmp_path)
    file = system_file.path(tmp_path)
    whole = file.read_bytes().rstrip()
    file.write_bytes(whole[: len(whole) * share // 100])
    with pytest.raises(errors.IntegrityError):
        system_file.read(tmp_path)
