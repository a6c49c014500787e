"""What a node must remember whatever happens: refused versions, used permits, which slots serve, the leader's epoch.

An append-only file of lines `<crc32> <json>`, each fsynced before the call returns; a damaged line is skipped and
logged, and the others still count. The damage stays in the file until `recover`: a process that is killed before that
leaves it to the next to find. Which version to try and when is `update_plan`'s; the files of versions are
`version_store`'s.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skerry.adapters import files
from skerry.adapters.telemetry import logs
from skerry.agent.update.states import State
from skerry.core import errors

_COMPACT_LINES = 500
_MAX_REFUSALS = 200  # the newest; an attempt that old is settled everywhere
_MAX_BYTES = 8 << 20
log = logs.logger("agent.ledger")


@dataclass(frozen=True, slots=True)
class Key:
    """One try of one version: what is refused under it stays refused under it."""

    model: str
    digest: str
    rollout: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """`state` is REFUSED, INCOMPATIBLE or SWAP_FAILED."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Pointer:
    version: int
    digest: str


@dataclass(frozen=True, slots=True)
class Pointers:
    """Which slots of a model serve: the active one, and the last known good kept beside it."""

    active: Pointer | None = None
    last_known_good: Pointer | None = None

    def activated(self, new: Pointer) -> "Pointers":
        """`new` serves, and what served before is the last known good. Activating the active one changes nothing."""
        return self if self.active == new else Pointers(new, self.active)

    def fallen_back(self) -> "Pointers":
        """The active slot cannot serve: the last known good takes its place, and nothing stands behind it."""
        return Pointers(self.last_known_good)


class Ledger:
    """Raises UnavailableError when the disk does not take an entry: then nothing may rest on it. `read_only`: it is
    another agent's, which may be writing to it right now; it takes no entry, and nothing in it is mended. `is_whole`:
    it was found with entries, and with none of them damaged."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path, self._read_only = path, read_only
        self._refusals: dict[Key, Refusal] = {}
        self._pointers: dict[str, Pointers] = {}
        self._policies: dict[str, str] = {}
        self._warns: dict[str, str] = {}
        self._tries: dict[Key, int] = {}
        self._permit = self._epoch = 0
        self._lines = 0
        damaged = self._load()
        self.is_whole = bool(self._lines) and not damaged
        self._is_damaged = damaged > 0
        if read_only:
            return
        if damaged:
            log.error(
                "ledger_damaged",
                message=f"{damaged} lines of {path} are damaged and do not count; the others do",
                path=str(path),
            )
        elif self._lines > _COMPACT_LINES:
            self._compact()

    @property
    def highest_permit(self) -> int:
        return self._permit

    @property
    def epoch(self) -> int:
        return self._epoch

    def models(self) -> list[str]:
        return sorted(self._pointers)

    def pointers(self, model: str) -> Pointers:
        return self._pointers.get(model, Pointers())

    def policy(self, model: str) -> str | None:
        """The offload policy last assigned (JSON), so that a cold start without the cloud decides as before."""
        return self._policies.get(model)

    def warn(self, model: str) -> str:
        """Of which residuals to warn (JSON), as last assigned; empty: of none."""
        return self._warns.get(model, "")

    def refusal(self, key: Key) -> Refusal | None:
        return self._refusals.get(key)

    def tries(self, key: Key) -> int:
        """How often bringing this up was begun and neither succeeded nor was refused: the process died of it."""
        return self._tries.get(key, 0)

    def refuse(self, key: Key, refusal: Refusal) -> None:
        self._append({"refused": asdict(key) | asdict(refusal)})

    def use_permit(self, number: int) -> None:
        """Make it the highest used one. Raises RejectedError when it is not higher: a permit is good once."""
        if number <= self._permit:
            raise errors.RejectedError(f"permit {number} is not above {self._permit}, which this node has used")
        self._append({"permit": number})

    def raise_epoch(self, epoch: int) -> bool:
        """Remember the highest epoch seen; False when `epoch` is older: its sender is a deposed leader."""
        if epoch > self._epoch:
            self._append({"epoch": epoch})
        return epoch >= self._epoch

    def begin(self, key: Key) -> None:
        """Say, before it can kill this process, that a version is being brought up."""
        self._append({"trying": asdict(key)})

    def point(self, model: str, pointers: Pointers) -> None:
        """Settle which slots serve; ends every begun try of the active one."""
        self._append({"slots": {"model": model} | asdict(pointers)})

    def recover(self, found: Mapping[str, Pointers]) -> None:
        """For a ledger that is not whole, whatever was found: let these slots serve, of models that it does not know,
        and end its damage, all in one write. When that raises UnavailableError they serve all the same, and the next
        start has it to do again."""
        self._pointers = {**found, **self._pointers}
        self._is_damaged = True
        self._compact()
        self._is_damaged = False

    def set_policy(self, model: str, policy: str) -> None:
        if self._policies.get(model) != policy:
            self._append({"policy": {"model": model, "json": policy}})

    def set_warn(self, model: str, policy: str) -> None:
        if self.warn(model) != policy:
            self._append({"warn": {"model": model, "json": policy}})

    def _append(self, entry: dict[str, Any]) -> None:
        if self._read_only:
            raise errors.UnavailableError(f"{self._path} is another agent's")
        # Never behind half a line; and where nothing else is in the file yet, an empty one says that it is not whole.
        line = b"\n" * self._is_damaged + _line(entry)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self._path.exists()
            with self._path.open("ab", buffering=0) as out:
                size = os.fstat(out.fileno()).st_size
                try:
                    if out.write(line) != len(line):
                        raise OSError(28, "No space left on device")
                    os.fsync(out.fileno())
                except OSError:
                    with contextlib.suppress(OSError):
                        out.truncate(size)  # half a line would spoil the next one
                    raise
            if is_new:
                files.sync_folder(self._path.parent)
        except OSError as exc:
            raise errors.UnavailableError(f"cannot write {self._path}: {exc.strerror}; free space") from exc
        self._apply(entry)
        self._lines += 1

    def _load(self) -> int:
        try:
            with self._path.open("rb") as stored:
                data = stored.read(_MAX_BYTES)
        except FileNotFoundError:
            return 0
        except OSError as exc:
            raise errors.UnavailableError(f"cannot read {self._path}: {exc.strerror}") from exc
        damaged = 0
        for line in data.splitlines(keepends=True):
            entry = _parsed(line)
            if entry is None:
                damaged += 1
                continue
            try:
                self._apply(entry)
                self._lines += 1
            except (KeyError, TypeError, ValueError):
                damaged += 1
        return damaged

    def _apply(self, entry: dict[str, Any]) -> None:
        match entry:
            case {"refused": fields}:
                key = _key(fields)
                self._refusals.pop(key, None)
                self._refusals[key] = Refusal(State(fields["state"]), str(fields["reason"]))
                self._tries.pop(key, None)
                while len(self._refusals) > _MAX_REFUSALS:
                    self._refusals.pop(next(iter(self._refusals)))
            case {"permit": number}:
                self._permit = max(self._permit, int(number))
            case {"epoch": number}:
                self._epoch = max(self._epoch, int(number))
            case {"trying": fields}:
                key = _key(fields)
                self._tries[key] = self._tries.get(key, 0) + int(fields.get("times", 1))
            case {"slots": fields}:
                pointers = Pointers(_pointer(fields["active"]), _pointer(fields["last_known_good"]))
                self._pointers[str(fields["model"])] = pointers
                active = pointers.active
                for key in tuple(self._tries):
                    if active and (key.model, key.digest) == (fields["model"], active.digest):
                        self._tries.pop(key)
            case {"policy": fields}:
                self._policies[str(fields["model"])] = str(fields["json"])
            case {"warn": fields}:
                self._warns[str(fields["model"])] = str(fields["json"])
            case _:
                raise ValueError("unknown entry")

    def _compact(self) -> None:
        entries: list[dict[str, Any]] = [{"permit": self._permit}, {"epoch": self._epoch}]
        entries += [{"slots": {"model": model} | asdict(pointers)} for model, pointers in self._pointers.items()]
        entries += [{"policy": {"model": model, "json": policy}} for model, policy in self._policies.items()]
        entries += [{"warn": {"model": model, "json": policy}} for model, policy in self._warns.items() if policy]
        entries += [{"refused": asdict(key) | asdict(refusal)} for key, refusal in self._refusals.items()]
        entries += [{"trying": asdict(key) | {"times": times}} for key, times in self._tries.items()]
        files.write(self._path, b"".join(map(_line, entries)))
        self._lines = len(entries)


def _line(entry: dict[str, Any]) -> bytes:
    text = json.dumps(entry, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> dict[str, Any] | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    try:
        whole = line.endswith(b"\n") and int(checksum, 16) == zlib.crc32(text)
        entry = json.loads(text) if whole else None
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _key(fields: dict[str, Any]) -> Key:
    return Key(str(fields["model"]), str(fields["digest"]), str(fields["rollout"]), int(fields["attempt"]))


def _pointer(fields: dict[str, Any] | None) -> Pointer | None:
    return None if fields is None else Pointer(int(fields["version"]), str(fields["digest"]))
