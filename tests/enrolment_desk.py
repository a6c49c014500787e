"""A gateway's enrolment desk on objects in memory, and who comes to it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from skerry.adapters import pki
from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import join_tokens
from skerry.gateway import enrol
from skerry.proto import fleet_pb2

SECRET = "s" * 32
DAY_MS = 86_400_000


class Desk:
    """One gateway's desk on shared objects; `now_ms` is its clock."""

    def __init__(self, folder: Path, objects: Any | None = None) -> None:
        self.now_ms = 1_795_608_000_000
        self.objects = objects or MemoryObjects()
        if not (folder / "ca.crt").exists():
            made = pki.make_ca("fleet", now=datetime.fromtimestamp(self.now_ms / 1000, UTC))
            (folder / "ca.crt").write_bytes(made.certificate)
            (folder / "ca.key").write_bytes(made.key)
            (folder / "root.json").write_bytes(b"{}")
        policy = enrol.Policy(
            pki.Authority(folder), "skerry.local", "default", timedelta(days=30), folder / "root.json"
        )
        self.desk = enrol.Enrolment(self.objects, policy, lambda: self.now_ms)

    def token(self, name: str = "t00001", uses: int = 1) -> None:
        spec = {"secretHash": join_tokens.secret_hash(SECRET), "expiresUnixMs": self.now_ms + DAY_MS, "uses": uses}
        self.objects.create("JoinToken", name, spec, manager="operator")

    def come(self, node: str, key: bytes, token: str = "t00001", secret: str = SECRET) -> fleet_pb2.Membership:
        asked = fleet_pb2.EnrolRequest(token_id=token, secret=secret, node=node, csr=pki.make_request(key))
        return self.desk.enrol(asked)

    def used_by(self, token: str = "t00001") -> list[str]:
        return [use["name"] for use in self.objects.get("JoinToken", token).status.get("nodes", [])]
