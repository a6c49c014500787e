"""Virtual environments for programs of others, one each: stubs of one wire package cannot share a process.

Kept in `.cache/interop`. Made only where SKERRY_REQUIRE asks for what needs them, since they are large; a changed list
of requirements makes a new one.
"""

import functools
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import require

ROOT = Path(__file__).parent.parent / ".cache" / "interop"
_INSTALL_TIMEOUT_S = 900


@functools.cache
def python(name: str, requirements: tuple[str, ...], asked_by: str = "interop") -> Path | None:
    """The interpreter of the environment, None where it is not there and not asked for, or cannot be installed."""
    folder = ROOT / name
    done, wanted = folder / "installed", "\n".join((sys.version, *requirements))
    interpreter = folder / "bin" / "python"
    if done.is_file() and done.read_text() == wanted and interpreter.exists():
        return interpreter
    if asked_by not in require.asked():
        return None
    shutil.rmtree(folder, ignore_errors=True)
    if not _runs([sys.executable, "-m", "venv", str(folder)]):
        return None
    if not _runs([str(interpreter), "-m", "pip", "install", "--quiet", "--no-compile", *requirements]):
        return None
    done.write_text(wanted)
    return interpreter


def _runs(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, timeout=_INSTALL_TIMEOUT_S, capture_output=True).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
