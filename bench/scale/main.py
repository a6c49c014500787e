"""Plays a fleet of simulated agents against a whole control plane and writes what it measured.

    make scale NODES=1000 JSON=file

Real processes on this machine, agents that speak the real protocol with certificates of their own. `--only` plays some
phases; the others are told as not played.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from bench.scale import fleet, measures, phases, plane
from skerry.adapters import files
from skerry.core import join_tokens

PHASES = ("enrol", "first", "idle", "good", "bad", "gateway-killed", "controller-killed", "aborted", "cut")
NEEDED = ("enrol", "first")  # by all that follow
BAD_SHARE = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scale.main", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    parser.add_argument("--only", default="", help=f"phases, with commas between: {','.join(PHASES)}")
    parser.add_argument("--sqlite", action="store_true", help="objects in SQLite, also where there is an API server")
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--cut-seconds", type=float, default=30.0)
    parser.add_argument("--patience-seconds", type=float, default=0.0, help="for one step; 0: by the size of the fleet")
    parser.add_argument("--beat-seconds", type=float, default=10.0, help="of the agents, as charts set it")
    parser.add_argument("--soak-seconds", type=int, default=15, help="of the canary")
    parser.add_argument("--uploads", type=float, default=20.0, help="requests a second, of four rows each")
    parser.add_argument("--keep", type=Path, help="a folder for what the processes write, kept")
    given = parser.parse_args()
    files.keep_private()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        document = play(given, folder.absolute())
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(document, indent=1) + "\n")
    wrong = faults(document)
    for fault in wrong:
        print(f"FAULT {fault}", flush=True)
    return 1 if wrong else 0


def play(given: argparse.Namespace, folder: Path) -> Mapping[str, Any]:
    begun_s = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun_s:7.1f} s  {text}", flush=True)

    with plane.running(folder, nodes=given.nodes, soak_s=given.soak_seconds, sqlite=given.sqlite) as running:
        tokens = [running.token(uses) for uses in token_uses(given.nodes)]
        agents = fleet.Fleet(folder, given.nodes, running, tokens, given.beat_seconds)
        try:
            valkey: redis.Redis = redis.Redis(unix_socket_path=str(running.layout.socket))
            played = phases.Play(
                running, agents, measures.Meter(_store(running), valkey),
                given.uploads, given.idle_seconds, given.patience_seconds or 300 + given.nodes, say,
            )  # fmt: skip
            _play(played, given)
            held = phases.of_ledger(agents.entries(), given.nodes)
        finally:
            agents.stop()
    return {
        "nodes": given.nodes,
        "store": "kube-apiserver and etcd (--unsafe-no-fsync)" if running.namespace else "SQLite",
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "beat_s": given.beat_seconds,
        "mark_s": plane.MARK_S,
        "uploads_per_s": given.uploads,
        "total_s": round(time.monotonic() - begun_s, 1),
        "phases": played.results,
        "ledger": held,
    }


def _play(played: phases.Play, given: argparse.Namespace) -> None:
    does: Mapping[str, Callable[[], phases.Figures]] = {
        "enrol": played.enrol,
        "first": lambda: played.good(1.0),
        "idle": played.idle,
        "good": lambda: played.good(1.1),
        "bad": lambda: played.bad(1.2, BAD_SHARE),
        "gateway-killed": lambda: played.gateway_killed(1.3),
        "controller-killed": lambda: played.controller_killed(1.4),
        "aborted": lambda: played.aborted(1.5),
        "cut": lambda: played.cut(given.cut_seconds),
    }
    wanted = {*given.only.split(","), *NEEDED} if given.only else set(PHASES)
    for name in PHASES:
        missing = [one for one in NEEDED if name not in NEEDED and not played.reached(one)]
        if name not in wanted:
            played.leave_out(name, "not asked for")
        elif missing:
            played.leave_out(name, f"{missing[0]} did not come to its end")
        else:
            played.run(name, does[name])


def token_uses(nodes: int) -> Sequence[int]:
    """One token for each process of agents."""
    parts = [min(fleet.AGENTS_PER_PROCESS, nodes - at) for at in range(0, nodes, fleet.AGENTS_PER_PROCESS)]
    return [min(uses, join_tokens.MAX_USES) for uses in parts]


def faults(document: Mapping[str, Any]) -> Sequence[str]:
    """What no run may show, whatever the figures."""
    held = document["ledger"]
    found = []
    if not held["within_budget"]:
        found.append(f"{held['most_in_flight']} swaps in flight, maxUnavailable is {held['max_unavailable']}")
    for key in ("permits_used_twice", "permits_falling"):
        if held[key]:
            found.append(f"{key.replace('_', ' ')}: {held[key]}")
    for phase in document["phases"]:
        if phase["played"] and not phase["reached"]:
            found.append(f"{phase['name']}: {phase['reason']}")
        elif phase["played"] and phase["figures"].get("ran_beyond_canary"):
            found.append(f"{phase['name']}: {phase['figures']['ran_beyond_canary']} nodes beyond the canary ran it")
    return found


def _store(running: plane.Plane) -> measures.Store:
    if not running.namespace:
        return measures.SqliteStore(running.layout.root / "objects.db")
    from skerry.adapters import kubernetes

    return measures.ApiServerStore(kubernetes.connect(running.objects_url))


def _commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    return told.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


if __name__ == "__main__":
    sys.exit(main())
