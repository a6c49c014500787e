"""A row of 64 bytes is planted in a running system and erased: whatever held it before holds it no more, unpacked."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_files
import pytest
import unpacked
from onnx import helper
from onnx_files import Spec
from stranger import Stranger

FEATURES = 16
ROWS = np.random.default_rng(7).normal(size=(9, FEATURES)).astype(np.float32)
MARKER, REQUEST, SUBJECT = ROWS[0].tobytes(), b"visit-4711-of-room-9", "Jane Doe of room 9"


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    made = Stranger(tmp_path)
    made.types("up", "--nodes", "1")
    yield made
    made.types("down")


def serve(made: Stranger) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["logits"])
    weights = {"w": np.ones((FEATURES, 3), dtype=np.float32)}
    (made.folder / "level.onnx").write_bytes(
        onnx_files.packed([node], [Spec("x", "FP32", (FEATURES,))], [Spec("logits", "FP32", (3,))], weights)
    )
    np.savez(made.folder / "golden.npz", x=ROWS[1:])
    made.types("models", "import", "level.onnx", "--name", "level", "--labels", "a,b,c", "--golden", "golden.npz")
    made.waits("the rollout", lambda: bool(made.sees("rollout", "list")))

    def serves() -> bool:
        for row in made.sees("rollout", "list"):
            if row["phase"] != "Succeeded":
                made.run("rollout", "promote", row["name"], "--wave", row["wave"])
        return all(node["models"] and node["models"][0].get("digest") for node in made.sees("nodes"))

    made.waits("the version", serves)
    (made.folder / "level.yaml").write_text("name: level\nspec: {offload: {explorationPermille: 1000}}\n")
    made.types("models", "apply", "level.yaml")


def capture(made: Stranger, row: int, request: str, *more: str) -> bool:
    name = f"{row}.npz"
    np.savez(made.folder / name, x=ROWS[row])
    asked = made.run("infer", "level", "--input", name, "--id", request, "--print-token", *more)
    (made.folder / name).unlink()  # it is the caller's, and would be found
    return asked.returncode == 0 and (
        made.run("feedback", "level", request, "b", "--token", asked.stdout.strip()).returncode == 0
    )


def kinds(made: Stranger, marker: bytes) -> set[str]:
    """The places that hold it, in a word."""
    found = set()
    for path in unpacked.places(made.state, marker):
        first, second, *_ = [*path.split("/"), ""]
        found.add(second if first == "blobs" else "spool" if first == "agents" else first)
    return found


@pytest.mark.long
def test_an_erased_row_is_nowhere_any_more_nor_in_a_backup_that_is_restored(stranger: Stranger) -> None:
    serve(stranger)
    stranger.waits("a captured row", lambda: capture(stranger, 1, "first"))
    for row in range(2, 9):
        assert capture(stranger, row, f"other-{row}")
    assert capture(stranger, 0, REQUEST.decode(), "--subject", SUBJECT)
    stranger.waits("the dataset", lambda: "sha256" in kinds(stranger, MARKER))
    assert kinds(stranger, MARKER) == {"spool", "examples", "sha256"}
    assert {"spool", "examples", "truths"} <= kinds(stranger, REQUEST)
    stranger.types("backup", "../before.tar.gz")
    archive = (stranger.folder.parent / "before.tar.gz").read_bytes()
    assert unpacked.holds(archive, MARKER)

    stranger.types("erase", "--subject", SUBJECT, "--yes", "--wait", "60")
    (row,) = stranger.sees("erase", "list")
    assert row["complete"], row
    assert kinds(stranger, MARKER) == kinds(stranger, REQUEST) == kinds(stranger, SUBJECT.encode()) == set()
    assert not capture(stranger, 0, REQUEST.decode(), "--subject", SUBJECT)  # it is answered, and not kept
    assert kinds(stranger, MARKER) == set()
    assert capture(stranger, 1, "the rest goes on")

    kept = stranger.folder.parent / "erasures.json"
    kept.write_text(json.dumps([row]))
    stranger.types("down")
    stranger.state.rename(stranger.folder.parent / "lost")
    stranger.state.mkdir()
    stranger.types("restore", "../before.tar.gz", "--erasures", str(kept))
    assert kinds(stranger, MARKER) == {"examples", "sha256"}
    stranger.types("up", "--nodes", "1")
    stranger.waits("the erasure", lambda: bool(stranger.sees("erase", "list")[0]["complete"]))
    assert kinds(stranger, MARKER) == kinds(stranger, REQUEST) == set()
