"""The processes of simulated agents, as one: commands go to all of them, their answers are added up."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.scale import ledger, plane
from bench.scale.sim_process import Config

AGENTS_PER_PROCESS = 2_500


class Fleet:
    """`count` agents, named by number so that every size of a fleet has names of the same length."""

    def __init__(self, folder: Path, count: int, over: plane.Plane, tokens: Sequence[str], beat_s: float) -> None:
        self.count, self.names = count, [f"edge-{number:05}" for number in range(count)]
        self._parts = [self.names[at : at + AGENTS_PER_PROCESS] for at in range(0, count, AGENTS_PER_PROCESS)]
        self._ledgers = [folder / f"ledger-{at}.jsonl" for at in range(len(self._parts))]
        self._processes: list[subprocess.Popen[str]] = []
        self.pids: dict[str, int] = {}
        for at, names in enumerate(self._parts):
            config = Config(
                folder=str(folder), names=names, gateways=[over.listen[one] for one in plane.GATEWAYS],
                enrol=[over.enrol[one] for one in plane.GATEWAYS], repository=over.repository_url, token=tokens[at],
                beat_s=beat_s, ledger=str(self._ledgers[at]), seed=at + 1,
            )  # fmt: skip
            self._start(folder / f"agents-{at}", at, config)

    def _start(self, at_path: Path, at: int, config: Config) -> None:
        at_path.with_suffix(".json").write_text(json.dumps(asdict(config)))
        command = [sys.executable, "-m", "bench.scale.sim_process", str(at_path.with_suffix(".json"))]
        with at_path.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
            )
        self._processes.append(process)
        self.pids[f"agents-{at + 1}"] = process.pid

    def tell(self, do: str, **fields: Any) -> dict[str, Any]:
        """Raises RuntimeError when a process has ended."""
        with ThreadPoolExecutor(len(self._processes)) as threads:
            answers = list(threads.map(lambda process: _tell(process, {"do": do, **fields}), self._processes))
        total: dict[str, Any] = answers[0]
        for answer in answers[1:]:
            total = added(total, answer)
        return total

    def share_uploads(self, per_s: float) -> None:
        """`per_s` requests a second, of all processes together."""
        self.tell("uploads", per_s=per_s / len(self._processes))

    def entries(self) -> Sequence[ledger.Entry]:
        return ledger.read(self._ledgers)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()


def added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers are added, lists joined, and what is within likewise."""
    total = dict(one)
    for key, value in other.items():
        if isinstance(value, Mapping):
            total[key] = added(total.get(key, {}), value)
        else:
            total[key] = total[key] + value if key in total else value
    return total


def _tell(process: "subprocess.Popen[str]", command: Mapping[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of agents has ended with code {process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer
