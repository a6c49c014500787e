"""What a phase cost: CPU and peak memory of each process from the kernel, writes by kind and sizes of objects from the
store, keys and memory of Valkey."""

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import redis

from bench import processes
from skerry.adapters.objects import resources
from skerry.core import contract

_WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
_SAMPLE = re.compile(r"^apiserver_request_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_PAGE = 500


class Store(Protocol):
    """Where objects are."""

    def writes(self) -> Mapping[str, int]:
        """Writes that succeeded since it began, by kind (and subresource)."""

    def largest(self) -> Mapping[str, int]:
        """Bytes of the largest object of each kind that has one."""


class ApiServerStore:
    """`api` is the product's own client (`skerry.adapters.kubernetes`)."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def writes(self) -> Mapping[str, int]:
        return writes_of(self._api.text("/metrics", {}, 64 << 20).decode())

    def largest(self) -> Mapping[str, int]:
        found = {}
        for kind in resources.PLURALS:
            sizes, query = [0], {"limit": str(_PAGE)}
            while True:
                page = self._api.get(resources.path(self._api.namespace, kind), query, timeout_s=60.0)
                sizes += [len(json.dumps(item, separators=(",", ":"))) for item in page["items"]]
                if not (more := page["metadata"].get("continue")):
                    break
                query["continue"] = more
            if largest := max(sizes):
                found[kind] = largest
        return found


class SqliteStore:
    """Counts no writes by kind, only all of them: its revision."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def writes(self) -> Mapping[str, int]:
        return {"all kinds": int(self._rows("SELECT resource_version FROM counter")[0][0])}

    def largest(self) -> Mapping[str, int]:
        query = "SELECT kind, max(length(spec) + length(status) + length(labels)) FROM objects WHERE NOT deleted "
        return {str(kind): int(size) for kind, size in self._rows(query + "GROUP BY kind")}

    def _rows(self, query: str) -> list[Any]:
        connection = sqlite3.connect(self._path)
        try:
            return list(connection.execute(query))
        finally:
            connection.close()


def writes_of(metrics: str) -> Mapping[str, int]:
    """From an API server's metrics: answers below 300 to writes of our kinds, of leases and of events."""
    counts: dict[str, int] = {}
    for sample in _SAMPLE.finditer(metrics):
        labels = dict(_LABEL.findall(sample[1]))
        ours = labels.get("group") == resources.GROUP or labels.get("resource") in ("leases", "events")
        if not ours or labels.get("verb") not in _WRITES or not labels.get("code", "").startswith("2"):
            continue
        what = labels["resource"] + (f"/{labels['subresource']}" if labels.get("subresource") else "")
        counts[what] = counts.get(what, 0) + int(float(sample[2]))
    return counts


def rises(before: Mapping[str, int], after: Mapping[str, int]) -> Mapping[str, int]:
    """By how much each count rose; what did not rise is left out."""
    return {what: more for what, count in sorted(after.items()) if (more := count - before.get(what, 0))}


def peak_rss_bytes(pid: int) -> int:
    """The most resident memory since `forget_peak`; 0: it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def forget_peak(pid: int) -> None:
    with contextlib.suppress(OSError):  # it has ended
        Path(f"/proc/{pid}/clear_refs").write_text("5")


@dataclass
class Meter:
    """Of one phase. `pids` at its beginning; a process that is killed in it is read before (`read`)."""

    store: Store
    valkey: "redis.Redis"
    _begun_s: float = 0.0
    _cpu_us: dict[int, float] = field(default_factory=dict)
    _used: dict[str, float] = field(default_factory=dict)
    _peak: dict[str, int] = field(default_factory=dict)
    _writes: Mapping[str, int] = field(default_factory=dict)

    def behind(self) -> int:
        """Records of uploads that no curator has read yet."""
        try:
            groups = self.valkey.xinfo_groups(contract.STREAM)
        except redis.RedisError:  # nothing was uploaded yet
            return 0
        return max((int(group["lag"] or 0) for group in groups), default=0)

    def begin(self, pids: Mapping[str, int]) -> None:
        self._cpu_us.clear()
        self._used.clear()
        self._peak.clear()
        for pid in pids.values():
            forget_peak(pid)
            self._cpu_us[pid] = processes.cpu_us(processes.tree(pid))
        self._writes, self._begun_s = self.store.writes(), time.monotonic()

    def read(self, pids: Mapping[str, int]) -> None:
        """Add what these used since they were read last. To be called before a process is killed, and at the end."""
        for name, pid in pids.items():
            now_us = processes.cpu_us(processes.tree(pid))
            self._used[name] = self._used.get(name, 0.0) + now_us - self._cpu_us.get(pid, 0.0)
            self._cpu_us[pid] = now_us
            self._peak[name] = max(self._peak.get(name, 0), peak_rss_bytes(pid))

    def begin_of(self, name: str, pid: int) -> None:
        """A process of that name was started in this phase: what it used so far is the phase's."""
        self._cpu_us[pid] = 0.0
        self.read({name: pid})

    def end(self, pids: Mapping[str, int]) -> dict[str, Any]:
        self.read(pids)
        wall_s = time.monotonic() - self._begun_s
        memory = self.valkey.info("memory")
        return {
            "wall_s": round(wall_s, 1),
            "cpu_s": {name: round(used / 1e6, 2) for name, used in sorted(self._used.items())},
            "peak_rss_mib": {name: round(peak / 2**20, 1) for name, peak in sorted(self._peak.items())},
            "writes": dict(rises(self._writes, self.store.writes())),
            "largest_object_bytes": dict(self.store.largest()),
            "valkey": {"keys": int(self.valkey.dbsize()), "used_mib": round(int(memory["used_memory"]) / 2**20, 2)},
        }
