"""A finished network becomes a version: the ONNX file is checked, run on real inputs, and described by a manifest.

Nothing is stored or signed here; `publish` does that with what `prepare` returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.cli import text_file
from skerry.cli.importing import trial
from skerry.cli.importing.holdout_answers import Answers, Asked
from skerry.cli.importing.wanted import Wanted
from skerry.core import class_labels, errors, manifest, preprocessing
from skerry.core.manifest import Manifest


@dataclass(frozen=True, slots=True)
class PreparedVersion:
    """A version ready to be signed. `passed_over`: outputs of its file that are not served. `answers`: to the holdout,
    if one was asked about."""

    manifest: Manifest
    model: bytes
    golden: bytes
    passed_over: tuple[str, ...] = ()
    answers: Answers | None = None

    @property
    def contents(self) -> Mapping[str, bytes]:
        """Files by name."""
        return {"manifest.json": self.manifest.to_json(), "model.onnx": self.model, "golden.npz": self.golden}


def labels(text: str) -> tuple[str, ...]:
    """`a,b,c`, or a file with one name per line. Raises InputError."""
    path = Path(text)
    given = text_file.read(path).splitlines() if _is_file(path) else text.split(",")
    names = class_labels.check_names([name.strip() for name in given if name.strip()], "--labels")
    if len(names) < 2:
        raise errors.InputError(f"--labels must name at least two different classes, not {text[:80]!r}")
    return names


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False  # names of classes, too long for a path


def steps(path: Path | None) -> tuple[preprocessing.Step, ...]:
    """Preprocessing steps from a JSON file. Raises InputError naming the step."""
    return () if path is None else preprocessing.parse(text_file.read_json(path))


def prepare(path: Path, golden: Path | None, wanted: Wanted, asked: Asked | None = None) -> PreparedVersion:
    """Check, run and describe, in a child process: nothing of the file is read here before it has been tried. Raises
    InputError (what is wrong with which file), IntegrityError (it cannot run), TooLargeError (the holdout)."""
    tried = trial.run(path, golden, wanted, asked)
    data = path.read_bytes()
    if manifest.file_of("model.onnx", data) != tried.manifest.files["model"]:
        raise errors.InputError(f"{path} was changed while it was tried: import it again")
    return PreparedVersion(tried.manifest, data, tried.golden, tried.passed_over, tried.answers)
