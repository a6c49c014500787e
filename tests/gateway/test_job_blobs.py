"""The jobs' door as an application: who is let in to what, how much is taken, and what it says when it is not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from door_world import KEY, NOW_S, RUN

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import contract, digests, errors, job_tickets
from skerry.gateway import job_blobs, transfers

CONTENT = digests.blob_path(digests.sha256(b"good"))
DATASET = f"datasets/digits/{'a' * 64}"
PROPOSAL = f"proposals/{RUN}.json"


@pytest.fixture
def blobs() -> MemoryBlobs:
    made = MemoryBlobs()
    made.write(contract.snapshot_path(RUN), b"{}")
    made.write(DATASET, b"data")
    made.write("truths/digits/x", b"not for jobs")
    return made


@pytest.fixture
async def client(blobs: MemoryBlobs) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(job_blobs.build(blobs, KEY, lambda: NOW_S))
    headers = {"Authorization": f"Bearer {job_tickets.issue(KEY, RUN, NOW_S + 1)}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://door", headers=headers) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        pytest.param("GET", DATASET, b"", 200, "data", id="a dataset is read"),
        pytest.param("HEAD", DATASET, b"", 200, "", id="and is there"),
        pytest.param("GET", contract.snapshot_path(RUN), b"", 200, "{}", id="so is the run's snapshot"),
        pytest.param("HEAD", CONTENT, b"", 404, "", id="what is not there is not"),
        pytest.param("GET", CONTENT, b"", 404, "there is no blob", id="and is not read"),
        pytest.param("PUT", CONTENT, b"good", 201, "", id="content is taken"),
        pytest.param("PUT", CONTENT, b"evil", 422, "does not have its digest", id="but not another"),
        pytest.param("PUT", PROPOSAL, b"{}", 201, "", id="a proposal is taken"),
        pytest.param(
            "PUT", PROPOSAL, b"x" * (contract.MAX_PROPOSAL_BYTES + 1), 413, "at most 1048576", id="not a huge one"
        ),
        pytest.param("GET", PROPOSAL, b"", 403, "may PUT proposals", id="nor is it read"),
        pytest.param("PUT", DATASET, b"x", 403, "may GET and HEAD datasets", id="a dataset is not written"),
        pytest.param("DELETE", DATASET, b"", 403, "not DELETE it", id="nor deleted"),
        pytest.param("GET", "truths/digits/x", b"", 403, "opens sha256/*", id="truths are not for jobs"),
        pytest.param("GET", "runs/run-2.json", b"", 403, "opens sha256/*", id="nor other runs"),
        pytest.param("GET", "datasets/../truths/digits/x", b"", 403, "opens sha256/*", id="no way around"),
        pytest.param("GET", "datasets/digits/%0a", b"", 403, "opens sha256/*", id="no line breaks"),
        pytest.param("GET", "", b"", 403, "opens sha256/*", id="no listing"),
    ],
)
async def test_what_the_door_does(
    client: httpx.AsyncClient, method: str, path: str, body: bytes, status: int, told: str
) -> None:
    found = await client.request(method, f"/{path}", content=body)
    assert (found.status_code, told in found.text) == (status, True), found.text


@pytest.mark.parametrize(
    ("header", "told"),
    [
        pytest.param(None, "needs the header Authorization", id="no ticket"),
        pytest.param("Basic YTpi", "needs the header Authorization", id="another kind of proof"),
        pytest.param("Bearer nonsense", "no ticket", id="no ticket of ours"),
        pytest.param(f"Bearer {job_tickets.issue(KEY, RUN, NOW_S)}", "expired", id="an expired one"),
        pytest.param(
            f"Bearer {job_tickets.issue(b'x' * 32, RUN, NOW_S + 9)}", "not made with", id="one of another key"
        ),
        pytest.param(
            f"Bearer {job_tickets.issue(KEY, 'run-9', NOW_S + 9)}", "has ended, or never", id="a run that is over"
        ),
    ],
)
async def test_without_a_good_ticket_nothing_opens(client: httpx.AsyncClient, header: str | None, told: str) -> None:
    del client.headers["authorization"]
    for method, path in (("GET", DATASET), ("PUT", CONTENT), ("HEAD", DATASET)):
        found = await client.request(method, f"/{path}", headers={"Authorization": header} if header else {})
        assert found.status_code == 403
        assert told in found.headers[contract.REASON_HEADER] and (method == "HEAD" or told in found.text)


async def test_content_that_is_there_already_is_fine_and_stays(client: httpx.AsyncClient, blobs: MemoryBlobs) -> None:
    assert [(await client.put(f"/{CONTENT}", content=b"good")).status_code for _ in range(2)] == [201, 200]
    assert (await client.put(f"/{CONTENT}", content=b"evil")).status_code == 422
    assert blobs.read(CONTENT, max_bytes=10) == b"good"


async def test_a_body_without_a_length_is_bounded_as_it_comes(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1 << 20
            yield b"x" * (1 << 20)

    found = await client.put(f"/{PROPOSAL}", content=endless())
    assert found.status_code == 413 and sent <= 4 << 20


OTHER = {"Authorization": f"Bearer {job_tickets.issue(KEY, 'run-2', NOW_S + 1)}"}
OTHERS_PROPOSAL = "proposals/run-2.json"


@pytest.mark.parametrize("pause_s", [60.0, 0.01], ids=["stops", "trickles"])
async def test_a_body_that_hardly_comes_gives_its_turn_back(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    monkeypatch.setattr(transfers, "IDLE_S", 0.1)
    monkeypatch.setattr(transfers, "GRACE_S", 0.2)

    async def slow() -> AsyncIterator[bytes]:
        while True:
            yield b"{"
            await asyncio.sleep(pause_s)

    assert (await client.put(f"/{PROPOSAL}", content=slow())).status_code == 503
    assert (await client.put(f"/{PROPOSAL}", content=b"{}")).status_code == 201


async def test_two_slow_bodies_of_one_job_hold_up_no_other_job(
    client: httpx.AsyncClient, blobs: MemoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "WAIT_S", 0.1)
    blobs.write(contract.snapshot_path("run-2"), b"{}")
    begun, on = asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield b"{"
        begun.set()
        await on.wait()
        yield b"}"

    busy = asyncio.create_task(client.put(f"/{PROPOSAL}", content=held()))
    await begun.wait()
    second = await client.put(f"/{PROPOSAL}", content=b"{}")
    assert (second.status_code, "another transfer of run run-1" in second.text) == (503, True)
    assert second.headers["Retry-After"]
    assert (await client.put(f"/{OTHERS_PROPOSAL}", content=b"{}", headers=OTHER)).status_code == 201
    on.set()
    assert (await busy).status_code == 201


async def test_a_reader_that_takes_nothing_gives_its_turn_back_and_gets_no_whole_body(
    blobs: MemoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "IDLE_S", 0.05)
    blobs.write(DATASET, bytes(1 << 20))
    door, ticket, taken = job_blobs.build(blobs, KEY, lambda: NOW_S), job_tickets.issue(KEY, RUN, NOW_S + 1), 0

    async def send(message: Any) -> None:
        nonlocal taken
        taken += len(message.get("body", b""))
        if taken > 300_000:
            await asyncio.sleep(60)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    path, headers = f"/{DATASET}", [(b"authorization", f"Bearer {ticket}".encode())]
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": headers}
    await door(scope | {"query_string": b"", "root_path": "", "scheme": "https"}, receive, send)
    assert taken < 1 << 20
    transport = httpx.ASGITransport(door)
    async with httpx.AsyncClient(transport=transport, base_url="https://door") as again:
        found = await again.get(path, headers={"Authorization": f"Bearer {ticket}"})
    assert len(found.content) == 1 << 20


class Away(MemoryBlobs):
    def exists(self, path: str) -> bool:
        raise errors.UnavailableError("the storage is away")


async def test_storage_that_is_away_is_tried_again_later() -> None:
    transport = httpx.ASGITransport(job_blobs.build(Away(), KEY, lambda: NOW_S))
    headers = {"Authorization": f"Bearer {job_tickets.issue(KEY, RUN, NOW_S + 1)}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://door", headers=headers) as client:
        found = await client.get(f"/{DATASET}")
    assert found.status_code == 503 and "the storage is away" in found.text


def test_the_key_is_read_from_its_file_and_must_be_long_enough(tmp_path: Path) -> None:
    with pytest.raises(errors.InputError, match="cannot be read"):
        job_blobs.read_key(tmp_path / "key")
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(errors.InputError, match="32 to 4096"):
        job_blobs.read_key(tmp_path / "key")
    (tmp_path / "key").write_bytes(KEY)
    assert job_blobs.read_key(tmp_path / "key") == KEY
