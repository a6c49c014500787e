"""Whatever goes wrong is one sentence and an exit code, never a traceback: files of everyday use that cannot be taken,
and what nobody foresaw."""

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from cli_system import StillSystem

from skerry.adapters import blobs
from skerry.adapters.trust import ceremony
from skerry.cli import lazy, output

LONG_LABELS = ",".join(chr(0x4E00 + index) * 30 for index in range(3))


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    (tmp_path / "state").mkdir()
    still = StillSystem(tmp_path / "state")
    ceremony.ensure(
        blobs.open_shared(still.description.repository), Path(still.description.keys), now=datetime.now(UTC)
    )
    return still


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    np.savez(tmp_path / "golden.npz", np.random.default_rng(3).normal(size=(6, models.FEATURES)).astype(np.float32))
    return tmp_path / "golden.npz"


def renamed(folder: Path, name: str) -> Path:
    """The linear network, its input named as an argument of a numpy function."""
    graph = onnx.load_from_string(models.linear())
    graph.graph.input[0].name = graph.graph.node[0].input[0] = name
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    return folder / "model.onnx"


def import_(model: Path, golden: Path, labels: str) -> tuple[str | Path, ...]:
    return ("models", "import", model, "--name", "level", "--labels", labels, "--golden", golden)


def one_sentence(said: str) -> str:
    assert said.startswith("skerry: ")
    assert len(said.strip().splitlines()) == 1
    return said


@pytest.mark.parametrize("name", ["file", "allow_pickle"])
def test_an_input_may_have_the_name_of_an_argument(
    system: StillSystem, golden: Path, tmp_path: Path, name: str
) -> None:
    assert "is signed" in system.good(*import_(renamed(tmp_path, name), golden, "a,b,c"))


def test_labels_longer_than_a_file_name_are_labels(system: StillSystem, golden: Path, tmp_path: Path) -> None:
    system.good(*import_(renamed(tmp_path, "x"), golden, LONG_LABELS))
    assert system.objects.get("EdgeModel", "level").spec["classNames"] == LONG_LABELS.split(",")


def test_labels_in_latin_1_are_refused(system: StillSystem, golden: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("groß\nklein\nkrumm\n".encode("latin-1"))
    said = one_sentence(system.bad(2, *import_(renamed(tmp_path, "x"), golden, str(tmp_path / "labels.txt"))))
    assert "labels.txt is not UTF-8 text (line 1)" in said


def test_a_label_that_only_looks_like_a_digit_is_no_class(system: StillSystem) -> None:
    system.edge_model()
    assert "'²' is no class" in one_sentence(system.bad(2, "feedback", "press", "id", "²"))


def test_a_host_that_dns_does_not_carry_is_refused_with_the_one_that_it_does(
    system: StillSystem, tmp_path: Path
) -> None:
    said = one_sentence(
        system.bad(2, "keys", "secrets", "--namespace", "n", "--out", tmp_path / "k", "--host", "münchen.example")
    )
    assert "'xn--mnchen-3ya.example'" in said
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize(
    "host", ["https://skerry.example.com", "skerry.example.com:8443", "[2001:db8::1]", "10.0.0.300"]
)
def test_secrets_are_not_made_for_a_host_that_no_certificate_can_name(
    system: StillSystem, tmp_path: Path, host: str
) -> None:
    said = system.bad(2, "keys", "secrets", "--namespace", "n", "--out", tmp_path / "k", "--host", host)
    assert host in one_sentence(said)
    assert not (tmp_path / "k").exists()


def test_a_terminal_that_lacks_a_sign_shows_a_question_mark(system: StillSystem) -> None:
    system.edge_model()
    environment = os.environ | {"SKERRY_STATE_DIR": str(system.folder), "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [sys.executable, "-m", "skerry.cli.main", "models"], env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"press" in done.stdout


def fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(output, "show", raising)


def test_what_nobody_foresaw_is_called_a_bug_and_its_traceback_kept(
    system: StillSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fail(monkeypatch, KeyError("Field u"))
    said = one_sentence(system.bad(70, "models"))
    assert "this is a bug of skerry (KeyError: 'Field u')" in said
    [log] = tmp_path.glob("skerry-bug-*.log")
    assert str(log) in said
    assert "Traceback" in log.read_text()


def test_a_full_disk_is_no_bug(system: StillSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/somewhere"))
    assert one_sentence(system.bad(4, "models")) == "skerry: /somewhere: No space left on device\n"


def test_a_bug_has_an_exit_code_of_its_own() -> None:
    from skerry.cli import last_resort

    assert last_resort.EXIT_CODE not in {code for _, code in lazy.EXIT_CODES} | {0, 1}
