"""The static repository over HTTP: ranges, and no way out of its two folders."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from skerry.gateway import repository
from skerry.gateway.metrics import Instruments


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


async def ask(app: Any, path: str, *, method: str = "GET", **headers: str) -> Answer:
    """One request as a server would hand it on: the path unquoted, but not tidied up."""
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
    }
    answer = Answer()
    parts = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(parts, None) or await asyncio.Event().wait() or {}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {key.decode(): value.decode() for key, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


@pytest.fixture
def app(tmp_path: Path) -> Any:
    root = tmp_path / "repository"
    (root / "metadata").mkdir(parents=True)
    (root / "targets" / "retrained" / "digits" / "3").mkdir(parents=True)
    (root / "metadata" / "timestamp.json").write_text("{}")
    (root / "metadata" / ".timestamp.json.1.tmp").write_text("half")
    (root / "targets" / "retrained" / "digits" / "3" / "ab.model.onnx").write_bytes(bytes(range(100)))
    (root / "private.key").write_text("key")
    (tmp_path / "secret").write_text("secret")
    (root / "targets" / "link").symlink_to(tmp_path / "secret")
    return repository.build(f"file://{root}", Instruments(), lambda: 0.5, lambda: True)


async def test_metadata_is_fresh_and_targets_may_be_kept(app: Any) -> None:
    answer = await ask(app, "/repository/metadata/timestamp.json")
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers["cache-control"] == "no-cache"
    target = await ask(app, "/repository/targets/retrained/digits/3/ab.model.onnx")
    assert target.body == bytes(range(100))
    assert "immutable" in target.headers["cache-control"]


async def test_a_download_can_be_resumed(app: Any) -> None:
    path = "/repository/targets/retrained/digits/3/ab.model.onnx"
    answer = await ask(app, path, range="bytes=90-")
    assert answer.status == 206
    assert answer.body == bytes(range(90, 100))
    assert answer.headers["content-range"] == "bytes 90-99/100"
    assert (await ask(app, path, range="bytes=100-")).status == 416


@pytest.mark.parametrize(
    "path",
    [
        "/repository/metadata/9.root.json",
        "/repository/private.key",
        "/repository/targets/../private.key",
        "/repository/targets/%2e%2e/private.key",
        "/repository/targets/..%2fprivate.key",
        "/repository/targets/%2fetc/passwd",
        "/repository/targets/link",
        "/repository/targets/retrained/",
        "/repository/targets/",
        "/repository/metadata/.timestamp.json.1.tmp",
        "/repository/metadata/timestamp.json%00",
        "/repository/metadata/" + "x" * 3000,
    ],
)
async def test_nothing_else_is_served(app: Any, path: str) -> None:
    answer = await ask(app, path)
    assert answer.status == 404
    assert b"secret" not in answer.body and b"key" not in answer.body


async def test_nothing_can_be_written(app: Any) -> None:
    for method in ("PUT", "POST", "DELETE"):
        assert (await ask(app, "/repository/metadata/timestamp.json", method=method)).status == 405


async def test_a_repository_that_is_not_there_yet_is_not_found(tmp_path: Path) -> None:
    app = repository.build(f"file://{tmp_path}/none", Instruments(), lambda: 0.0, lambda: True)
    assert (await ask(app, "/repository/metadata/timestamp.json")).status == 404


@pytest.mark.parametrize(("silent_s", "status"), [(1.0, 200), (31.0, 503)])
async def test_health_is_the_age_of_the_last_answer_of_the_object_store(
    tmp_path: Path, silent_s: float, status: int
) -> None:
    answer = await ask(
        repository.build(f"file://{tmp_path}", Instruments(), lambda: silent_s, lambda: True), "/healthz"
    )
    assert answer.status == status
    assert b'"objectsSilentSeconds":' in answer.body


async def test_metrics_are_told(app: Any) -> None:
    assert b"skerry_gateway_objects_silent_seconds 0.5" in (await ask(app, "/metrics")).body
