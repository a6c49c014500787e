"""Runs the load generator (bench/load) against a server, and reads its CPU time exactly around the measured seconds."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import processes
from bench.results import Sample

_TIMEOUT_S = 90


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go and what they are. `bodies` are files of messages, sent in turn."""

    port: int
    path: str
    bodies: Sequence[Path]
    tls: bool = False
    http1: bool = False
    content_type: str = "application/grpc"
    headers: Sequence[str] = ()
    reply_sizes: int = 1  # how many kinds of good answers there are, each of its own size


@dataclass(frozen=True, slots=True)
class Generator:
    program: Path
    core: int

    def measure(
        self, target: Target, pids: Sequence[int], connections: int, seconds: float, *, deadlines: bool = False
    ) -> Sample:
        """One round. Raises RuntimeError when the generator cannot connect or nothing is answered."""
        extra = ["--deadlines"] if deadlines else []
        command = self._command(target, connections, ["--wait", "--seconds", str(seconds), "--warmup", "0.1", *extra])
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, preexec_fn=self._pin
        ) as process:
            assert process.stdout is not None and process.stdin is not None and process.stderr is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"the generator failed: {process.stderr.read()[-500:]}")
            before = processes.cpu_us(pids)
            process.stdin.write("\n")
            process.stdin.flush()
            line = process.stdout.readline()
            used_us = processes.cpu_us(pids) - before
            process.wait(_TIMEOUT_S)
        report = json.loads(line or '{"requests": 0}')
        if not report["requests"]:
            raise RuntimeError(f"nothing was answered on port {target.port}: {report}")
        answered = int(report["requests"])
        rps = answered / float(report["seconds"])
        return Sample(used_us / answered, report["p50_us"], report["p99_us"], rps, int(report["errors"]))

    def first_reply(self, target: Target, into: Path) -> bytes | None:
        """The message that answers the first body; None when there is no good answer (yet)."""
        into.unlink(missing_ok=True)
        report = self.ask(target, 1, 1, "--save-reply", str(into))
        return into.read_bytes() if report is not None and not report["errors"] else None

    def ask(self, target: Target, connections: int, requests: int, *more: str) -> dict[str, Any] | None:
        """So many requests without warming up, as the generator reports them; None when it cannot connect."""
        limits = ["--warmup", "0", "--requests", str(requests), "--seconds", "20", *more]
        command = self._command(target, connections, limits)
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, preexec_fn=self._pin)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def _command(self, target: Target, connections: int, more: Sequence[str]) -> list[str]:
        command = [str(self.program), "--port", str(target.port), "--path", target.path]
        command += ["--content-type", target.content_type, "--connections", str(connections), *more]
        command += ["--reply-sizes", str(target.reply_sizes)]
        command += ["--tls"] if target.tls else []
        command += ["--http1"] if target.http1 else []
        for header in target.headers:
            command += ["--header", header]
        for body in target.bodies:
            command += ["--body", str(body)]
        return command

    def _pin(self) -> None:
        os.sched_setaffinity(0, {self.core})
