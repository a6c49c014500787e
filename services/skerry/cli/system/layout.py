"""Where the one-machine system keeps things: one state folder holds all that nobody may lose, and the logs."""

import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters import files
from skerry.core import errors, urls

# A unix socket's path must fit into sockaddr_un (108 bytes on Linux).
_MAX_SOCKET_PATH = 100
_STORAGE = "storage.url"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below the state folder `root`. `storage`: URL below which blobs and the model repository lie instead."""

    root: Path
    storage: str = ""

    @classmethod
    def found(cls, root: Path, storage: str = "") -> "Layout":
        """The layout of a state folder, which remembers its storage. Raises RejectedError when another one is given."""
        storage = storage.rstrip("/")
        try:
            known = (root / _STORAGE).read_text().strip()
        except FileNotFoundError:
            known = "" if (root / "objects.db").exists() else storage
        if storage and storage != known:
            raise errors.RejectedError(f"{root} keeps its data in {known or 'itself'}, not in {storage}: take another")
        return cls(root, known)

    @property
    def objects_url(self) -> str:
        return urls.of_path("sqlite", f"/{self.root / 'objects.db'}")

    @property
    def _storage_url(self) -> str:
        return self.storage or urls.of_path("file", str(self.root))

    @property
    def blobs_url(self) -> str:
        return f"{self._storage_url}/blobs"

    @property
    def repository(self) -> Path:
        return self.root / "repository"

    @property
    def repository_url(self) -> str:
        return f"{self._storage_url}/repository"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def trust_root(self) -> Path:
        """The first root metadata; what an agent is given when it is set up, out of band."""
        return self.root / "root.json"

    @property
    def subject_key(self) -> Path:
        """By which agents hash `skerry_subject`, and `skerry erase --subject`; no part of the cloud has it."""
        return self.root / "subject.key"

    @property
    def dashboard_port(self) -> Path:
        """The port that the dashboard has at every start, so that bookmarks stay good."""
        return self.root / "dashboard.port"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def teacher_models(self) -> Path:
        return self.root / "teacher"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def socket(self) -> Path:
        """Valkey's socket: in the state folder, or in a short private folder when that path would be too long."""
        path = self.valkey / "valkey.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        short = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"skerry-{os.getuid()}-{short}" / "valkey.sock"

    @property
    def redis_url(self) -> str:
        return urls.of_path("unix", str(self.socket))

    def agent(self, node: str) -> Path:
        return self.root / "agents" / node

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def make(self) -> None:
        """Create the folders, private to this user."""
        for folder in (self.root, self.valkey, self.logs, self.teacher_models, self.root / "blobs", self.socket.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.subject_key.exists():
            files.write(self.subject_key, f"{secrets.token_hex(32)}\n".encode(), mode=0o600)
        if self.storage:
            files.write(self.root / _STORAGE, f"{self.storage}\n".encode())
