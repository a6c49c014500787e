"""The jobs' door as an application: who is let in to what, how much is taken, and what it says when it is not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from door_world import KEY, NOW_S, RUN

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.core import contract, digests, errors, job_tickets
from skerry.gateway import job_blobs

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


async def test_a_body_that_stops_coming_gives_its_turn_back(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_blobs, "IDLE_S", 0.05)

    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    found = await asyncio.gather(
        *(client.put(f"/{PROPOSAL}", content=stuck()) for _ in range(job_blobs.BODIES_AT_ONCE))
    )
    assert [one.status_code for one in found] == [503] * job_blobs.BODIES_AT_ONCE
    assert (await client.put(f"/{PROPOSAL}", content=b"{}")).status_code == 201


async def test_no_more_than_a_few_bodies_are_in_memory_and_the_next_is_told_to_come_again(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_blobs, "WAIT_S", 0.05)
    on = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield b"{"
        await on.wait()
        yield b"}"

    busy = [asyncio.create_task(client.put(f"/{PROPOSAL}", content=held())) for _ in range(job_blobs.BODIES_AT_ONCE)]
    while (found := await client.put(f"/{PROPOSAL}", content=b"{}")).status_code == 201:
        continue  # a busy one was not there yet
    assert found.status_code == 503 and found.headers["Retry-After"] and "try again" in found.text
    on.set()
    assert [one.status_code for one in await asyncio.gather(*busy)] == [201] * job_blobs.BODIES_AT_ONCE


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
