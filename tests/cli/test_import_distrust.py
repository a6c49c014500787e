"""The process that tries a network ran what others made: of what it leaves only exactly what was asked is taken, and
everything else is a fault that says what it left."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import manifests
import numpy as np
import pytest

from skerry.cli.importing import holdout_answers, trial
from skerry.cli.importing.holdout_answers import Asked
from skerry.cli.importing.wanted import Wanted
from skerry.core import errors, npz
from skerry.core.tasks import Classification
from skerry.trainer.baseline import Baseline

WIDTH = 10
ROWS = np.zeros((3, 28, 28), np.uint8)
STABLE = Baseline("digits-v1", "sha256:" + "0" * 64, manifests.digits(), b"network")
GOOD = np.zeros((len(ROWS), WIDTH), np.float32)


def read(folder: Path, asked: Asked, told: str, **arrays: np.ndarray[Any, Any]) -> holdout_answers.Answers:
    (folder / "asked.json").write_text(told)
    if arrays:
        (folder / "answers.npz").write_bytes(npz.pack(arrays))
    return holdout_answers.read(folder, asked, WIDTH, 1 << 20)


def test_exactly_what_was_asked_is_taken(tmp_path: Path) -> None:
    alone = read(tmp_path, Asked(ROWS), "{}", candidate=GOOD)
    assert (alone.stable, alone.stable_fault, alone.latency_us) == (None, "", None)
    asked = Asked(ROWS, STABLE, timed=True)
    both = read(tmp_path, asked, '{"latencyUs": 7}', candidate=GOOD, stable=GOOD)
    assert both.stable is not None and both.latency_us == 7
    without = read(tmp_path, asked, json.dumps({"latencyUs": 7, "stableFault": "x" * 9999}), candidate=GOOD)
    assert without.stable is None and without.stable_fault == "x" * 500


@pytest.mark.parametrize(
    ("asked", "told", "arrays"),
    [
        pytest.param(Asked(ROWS, STABLE), "{}", {"candidate": GOOD}, id="the stable version is left out"),
        pytest.param(Asked(ROWS), "{}", {"candidate": GOOD, "stable": GOOD}, id="a stable version nobody asked for"),
        pytest.param(Asked(ROWS), '{"stableFault": "x"}', {"candidate": GOOD}, id="a fault of no stable version"),
        pytest.param(
            Asked(ROWS, STABLE), '{"stableFault": "x"}', {"candidate": GOOD, "stable": GOOD}, id="a fault and answers"
        ),
        pytest.param(Asked(ROWS, STABLE), '{"stableFault": ""}', {"candidate": GOOD}, id="a fault without a text"),
        pytest.param(Asked(ROWS, STABLE), '{"stableFault": 7}', {"candidate": GOOD}, id="a fault that is no text"),
        pytest.param(Asked(ROWS), "{}", {"candidate": GOOD, "more": GOOD}, id="one member too many"),
        pytest.param(Asked(ROWS), "{}", {"stable": GOOD}, id="no candidate"),
        pytest.param(Asked(ROWS), "{}", {"candidate": GOOD[:2]}, id="a row is missing"),
        pytest.param(Asked(ROWS), "{}", {"candidate": GOOD[:, :2]}, id="another width than was said"),
        pytest.param(Asked(ROWS), "{}", {"candidate": GOOD.astype(np.float64)}, id="another datatype"),
        pytest.param(Asked(ROWS), "{}", {}, id="no answers"),
        pytest.param(Asked(ROWS), '{"latencyUs": 7}', {"candidate": GOOD}, id="a latency nobody asked for"),
        *(
            pytest.param(Asked(ROWS, timed=True), told, {"candidate": GOOD}, id=f"timed: {told:.20}")
            for told in (
                "{}",
                "{",
                "[]",
                "[" * 100_000,
                "null",
                *(
                    f'{{"latencyUs": {value}}}'
                    for value in ("NaN", "Infinity", "-1", '"x"', "{}", "true", "1" + "0" * 400)
                ),
            )
        ),
    ],
)
def test_anything_else_is_a_fault(tmp_path: Path, asked: Asked, told: str, arrays: dict[str, Any]) -> None:
    with pytest.raises(errors.IntegrityError, match=r"the network answered|the process that tried the network left"):
        read(tmp_path, asked, told, **arrays)


@pytest.mark.parametrize("name", ["asked.json", "answers.npz"])
def test_what_is_no_file_holds_nobody_up(tmp_path: Path, name: str) -> None:
    (tmp_path / "asked.json").write_text("{}")
    (tmp_path / "answers.npz").write_bytes(npz.pack({"candidate": GOOD}))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(errors.IntegrityError, match=f"left {name} that is no file"):
        holdout_answers.read(tmp_path, Asked(ROWS), WIDTH, 1 << 20)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(errors.IntegrityError, match=f"left no {name} that can be read"):
        holdout_answers.read(tmp_path, Asked(ROWS), WIDTH, 1 << 20)


CHILD = """
import json, pathlib, sys
folder = pathlib.Path(json.loads(sys.stdin.read())["job"]["folder"])
for name, text in json.loads(pathlib.Path({!r}).read_text()).items():
    (folder / name).write_text(text)
print(json.dumps({{"fault": ""}}))
"""
MANIFEST = {"manifest.json": manifests.digits().to_json().decode()}
LEFT = {**MANIFEST, "passed-over.json": '["more"]', "golden.npz": "golden"}


def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: dict[str, str], classes: str = "0123456789") -> Any:
    (tmp_path / "left.json").write_text(json.dumps(left))
    monkeypatch.setattr(trial, "COMMAND", (sys.executable, "-S", "-c", CHILD.format(str(tmp_path / "left.json"))))
    (tmp_path / "model.onnx").write_bytes(b"network")
    said = Wanted("digits", Classification(tuple(classes)), "", 1.0, 0.0, ())
    return trial.run(tmp_path / "model.onnx", tmp_path / "golden.npz", said)


def test_what_a_child_leaves_is_taken_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(tmp_path, monkeypatch, LEFT).passed_over == ("more",)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        pytest.param({}, "no manifest.json that can be read", id="nothing"),
        pytest.param({**LEFT, "manifest.json": "{"}, "manifest.json that is none", id="half a manifest"),
        pytest.param({**LEFT, "manifest.json": " " * (1 << 21)}, "manifest.json of more than", id="a long manifest"),
        pytest.param(MANIFEST, "no passed-over.json", id="no list of outputs"),
        *(
            pytest.param({**LEFT, "passed-over.json": text}, "passed-over.json", id=f"outputs: {text:.10}")
            for text in ("{", "{}", "7", "[{}]", "[" * 100_000)
        ),
        pytest.param({**MANIFEST, "passed-over.json": "[]"}, "no golden.npz", id="no golden set"),
    ],
)
def test_a_child_that_leaves_something_else_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: dict[str, str], said: str
) -> None:
    with pytest.raises(errors.IntegrityError, match=said):
        tried(tmp_path, monkeypatch, left)


def test_a_manifest_of_another_task_than_was_said_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.IntegrityError, match="left the manifest of digits"):
        tried(tmp_path, monkeypatch, LEFT, classes="9876543210")
