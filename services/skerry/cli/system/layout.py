"""Where the one-machine system keeps things: one state folder holds all that nobody may lose, and the logs."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

# A unix socket's path must fit into sockaddr_un (108 bytes on Linux).
_MAX_SOCKET_PATH = 100


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below the state folder `root`."""

    root: Path

    @property
    def objects_url(self) -> str:
        return f"sqlite:///{self.root / 'objects.db'}"

    @property
    def blobs_url(self) -> str:
        return f"file://{self.root / 'blobs'}"

    @property
    def repository(self) -> Path:
        return self.root / "repository"

    @property
    def repository_url(self) -> str:
        return f"file://{self.repository}"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def trust_root(self) -> Path:
        """The first root metadata; what an agent is given when it is set up, out of band."""
        return self.repository / "metadata" / "1.root.json"

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
        return f"unix://{self.socket}"

    def agent(self, node: str) -> Path:
        return self.root / "agents" / node

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def make(self) -> None:
        """Create the folders, private to this user."""
        for folder in (self.root, self.valkey, self.logs, self.teacher_models, self.root / "blobs", self.socket.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
