"""A twin of the Kubernetes API in memory, behind HTTP, for machines without a kube-apiserver.

It keeps objects, versions, status apart from the rest, and watches; it knows no schema, no rights, no admission and no
garbage collection. What it promises is asked of the real one by the same tests.
"""

import copy
import json
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from skerry.core import merging

Json = dict[str, Any]
_TOKEN = "twin"


class RefusedError(Exception):
    """What the API answers in place of what was asked for."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class _Change:
    version: int
    collection: str
    kind: str
    manifest: Json


class Twin:
    """What is stored. Collections are paths, as /apis/skerry.dev/v1alpha1/namespaces/x/edgenodes."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], Json] = {}
        self._changes: list[_Change] = []
        self._version = 100
        self._changed = threading.Condition()
        self.namespaces: set[str] = set()
        self.watches = 0  # that were ever asked for
        self.last_lines: list[bytes] = []  # of the next watches, each of which ends with its one

    def list(self, collection: str) -> Json:
        with self._changed:
            items = [made for (of, _), made in sorted(self._objects.items()) if of == collection]
            return {"metadata": {"resourceVersion": str(self._version)}, "items": copy.deepcopy(items)}

    def get(self, collection: str, name: str) -> Json:
        with self._changed:
            return copy.deepcopy(self._stored(collection, name))

    def create(self, collection: str, body: Json) -> Json:
        name, namespace = body["metadata"]["name"], collection.split("/namespaces/")[1].split("/")[0]
        with self._changed:
            if namespace not in self.namespaces:
                raise RefusedError(404, f'namespaces "{namespace}" not found')
            if (collection, name) in self._objects:
                raise RefusedError(409, f'"{name}" already exists')
            made = {**copy.deepcopy(body), "metadata": {**body["metadata"], "uid": str(uuid.uuid4()), "generation": 1}}
            made["metadata"]["creationTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            made.pop("status", None)
            return self._keep(collection, "ADDED", made)

    def replace(self, collection: str, name: str, body: Json, *, status: bool) -> Json:
        with self._changed:
            before = self._stored(collection, name)
            self._check_version(name, before, body)
            return self._change(collection, before, {**body, "metadata": before["metadata"]}, status)

    def patch(self, collection: str, name: str, patch: Json, *, status: bool) -> Json:
        with self._changed:
            before = self._stored(collection, name)
            self._check_version(name, before, patch)
            return self._change(collection, before, merging.merge(before, patch), status)

    def delete(self, collection: str, name: str, options: Json) -> Json:
        with self._changed:
            gone = copy.deepcopy(self._stored(collection, name))
            self._check_version(name, gone, {"metadata": options.get("preconditions", {})})
            if gone["metadata"].get("finalizers"):
                gone["metadata"]["deletionTimestamp"] = gone["metadata"]["creationTimestamp"]
                return self._keep(collection, "MODIFIED", gone)
            self._remove(collection, gone)
            return {"kind": "Status", "status": "Success"}

    def follow(self, collection: str, since: int, end_s: float) -> Iterator[Json]:
        """Events after a version, until `end_s` of the monotonic clock."""
        seen = 0
        while (left_s := end_s - time.monotonic()) > 0:
            with self._changed:
                if len(self._changes) == seen:
                    self._changed.wait(left_s)
                new, seen = self._changes[seen:], len(self._changes)
            for change in new:
                if change.collection == collection and change.version > since:
                    yield {"type": change.kind, "object": change.manifest}

    def _stored(self, collection: str, name: str) -> Json:
        try:
            return self._objects[collection, name]
        except KeyError:
            raise RefusedError(404, f'{collection.rsplit("/", 1)[1]} "{name}" not found') from None

    def _check_version(self, name: str, before: Json, body: Mapping[str, Any]) -> None:
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted is not None and wanted != before["metadata"]["resourceVersion"]:
            raise RefusedError(409, f'Operation cannot be fulfilled on "{name}": the object has been modified')

    def _change(self, collection: str, before: Json, wanted: Json, status: bool) -> Json:
        """A status is written by its own path, and by that nothing else is."""
        made = copy.deepcopy(before)
        if status:
            made["status"] = wanted.get("status", {})
        else:
            made.update({key: value for key, value in wanted.items() if key != "status"})
            for key in ("uid", "creationTimestamp", "generation", "resourceVersion"):
                made["metadata"][key] = before["metadata"][key]
        if made == before:
            return copy.deepcopy(before)
        made["metadata"]["generation"] += made.get("spec") != before.get("spec")
        if made["metadata"].get("deletionTimestamp") and not made["metadata"].get("finalizers"):
            return self._remove(collection, made)
        return self._keep(collection, "MODIFIED", made)

    def _remove(self, collection: str, gone: Json) -> Json:
        del self._objects[collection, gone["metadata"]["name"]]
        return self._keep(collection, "DELETED", gone)

    def _keep(self, collection: str, kind: str, made: Json) -> Json:
        self._version += 1
        made["metadata"]["resourceVersion"] = str(self._version)
        if kind != "DELETED":
            self._objects[collection, made["metadata"]["name"]] = made
        self._changes.append(_Change(self._version, collection, kind, copy.deepcopy(made)))
        self._changed.notify_all()
        return copy.deepcopy(made)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    twin: Twin

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        code = 201 if self.command == "POST" else 200
        try:
            found = self._found(body)
        except RefusedError as exc:
            code, found = exc.code, {"kind": "Status", "code": exc.code, "message": exc.message}
        if found is not None:
            self._send(code, found)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  # the names that http.server asks for

    def _found(self, body: Json) -> Json | None:
        parts, query = urlsplit(self.path), dict(parse_qsl(urlsplit(self.path).query))
        root, _, rest = parts.path.partition("/namespaces/")
        namespace, plural, *named = rest.split("/")
        collection, name, status = f"{root}/namespaces/{namespace}/{plural}", (*named, "")[0], named[1:] == ["status"]
        if self.headers.get("Authorization") != f"Bearer {_TOKEN}":
            raise RefusedError(401, "Unauthorized")
        if named[1:] and not status:
            raise RefusedError(404, f"nothing ran of {name}")
        if self.command == "POST":
            return self.twin.create(collection, body)
        if self.command == "PUT":
            return self.twin.replace(collection, name, body, status=status)
        if self.command == "PATCH":
            return self.twin.patch(collection, name, body, status=status)
        if self.command == "DELETE":
            return self.twin.delete(collection, name, body or {})
        if "watch" in query:
            return self._follow(collection, query)
        return self.twin.get(collection, name) if name else self.twin.list(collection)

    def _follow(self, collection: str, query: Mapping[str, str]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        end_s = time.monotonic() + float(query["timeoutSeconds"])
        self.twin.watches += 1
        if self.twin.last_lines:
            end_s, line = 0.0, self.twin.last_lines.pop()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
        for event in self.twin.follow(collection, int(query["resourceVersion"]), end_s):
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, code: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError):
            return  # a client that went in the middle of a watch

    def log_message(self, *_: object) -> None: ...


class TwinServer:
    """As `apiserver_process.ApiServer`, in what tests of adapters use."""

    def __init__(self, folder: Path, url: str, twin: Twin) -> None:
        self.folder, self.kubeconfig, self.twin = folder, folder / "kubeconfig", twin
        cluster, user = {"name": "twin", "cluster": {"server": url}}, {"name": "twin", "user": {"token": _TOKEN}}
        context = {"name": "twin", "context": {"cluster": "twin", "user": "twin"}}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "twin"}
        text = json.dumps({**config, "clusters": [cluster], "users": [user], "contexts": [context]})
        self.kubeconfig.write_text(text)

    def namespace(self) -> str:
        """A new, empty namespace."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.twin.namespaces.add(name)
        return name


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # of five a burst of watches loses some, whose requests then wait for seconds


@contextmanager
def running() -> Iterator[TwinServer]:
    twin = Twin()
    handler = type("Handler", (_Handler,), {"twin": twin})
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="twin-") as folder:
        try:
            yield TwinServer(Path(folder), f"http://127.0.0.1:{server.server_address[1]}", twin)
        finally:
            server.shutdown()
            server.server_close()
