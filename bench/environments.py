"""Environments of peers in .cache/bench: one for each, its versions pinned; a changed list makes a new one."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Environments:
    root: Path

    def python(self, name: str, requirements: Sequence[str]) -> Path:
        """The interpreter of an environment with these packages, made when it is not there. Raises OSError and
        subprocess.SubprocessError when it cannot be made."""
        folder = self.root / name
        done, wanted = folder / "installed", "\n".join((sys.version, *requirements))
        interpreter = folder / "bin" / "python"
        if done.is_file() and done.read_text() == wanted and interpreter.exists():
            return interpreter
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(interpreter), "-m", "pip", "install", "--quiet", *requirements])
        done.write_text(wanted)
        return interpreter


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, timeout=_TIMEOUT_S, capture_output=True, text=True)
