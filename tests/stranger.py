"""Somebody who knows the README and nothing else: types commands in a folder of his own, against a real system."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Stranger:
    """Types commands in a folder of his own. His network lies there, as a module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / ".skerry"
        shutil.copy(Path(__file__).parent / "own_networks.py", folder)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "SKERRY_STATE_DIR": str(self.state), "OMP_NUM_THREADS": "1"}
        command = (sys.executable, "-m", "skerry.cli.main", *words)
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def types(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}{self._logs()}"
        return done.stdout

    def sees(self, *words: str) -> Any:
        return json.loads(self.types(*words, "--json"))

    def waits(self, what: str, reached: Callable[[], bool], timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while not reached():
            assert time.monotonic() < end, f"waited for {what}: {self.sees('rollout', 'list')}{self._logs()}"
            time.sleep(0.3)

    def _logs(self) -> str:
        logs = sorted((self.state / "logs").glob("*.log"))
        return "".join(f"\n--- {log.name}\n{log.read_text(errors='replace')[-800:]}" for log in logs)
