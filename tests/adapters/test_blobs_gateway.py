"""Object storage as a training job has it: through the real door over TLS, with a ticket; faults pass or are named."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from door_world import KEY, NOW_S, RUN, DoorWorld, certificate
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from skerry.adapters import blobs
from skerry.adapters.blobs.gateway import Clock, GatewayBlobs
from skerry.core import contract, digests, errors, job_tickets

DATASET = f"datasets/digits/{'a' * 64}"


class Pauses:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s, self.slept = 0.0, 0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept += 1

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, self.sleep)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DoorWorld]:
    made = DoorWorld(tmp_path)
    made.open()
    yield made
    made.close()


@pytest.fixture
def store(world: DoorWorld) -> blobs.Blobs:
    return blobs.open_blobs(world.url, ticket=world.ticket, ca=world.ca)


def test_content_is_put_once_and_fetched_verified(world: DoorWorld, store: blobs.Blobs) -> None:
    content = b"x" * 3_000_000
    digest = blobs.put(store, content)
    assert blobs.put(store, content) == digest == digests.sha256(content)
    assert blobs.fetch(store, digest, len(content)) == content
    assert world.blobs.read(digests.blob_path(digest), max_bytes=len(content)) == content


def test_what_is_not_there_is_not_found_and_does_not_exist(store: blobs.Blobs) -> None:
    assert not store.exists(DATASET)
    with pytest.raises(errors.NotFoundError):
        store.read(DATASET, max_bytes=10)


def test_a_blob_larger_than_asked_for_is_refused_with_the_limit(world: DoorWorld, store: blobs.Blobs) -> None:
    world.blobs.write(DATASET, b"x" * 11)
    with pytest.raises(errors.TooLargeError, match=r"11 bytes.* 10"):
        store.read(DATASET, max_bytes=10)
    assert store.read(DATASET, max_bytes=11) == b"x" * 11
    assert store.exists(DATASET)


def test_a_proposal_is_written_and_replaced(world: DoorWorld, store: blobs.Blobs) -> None:
    store.write(f"proposals/{RUN}.json", b"one")
    store.write(f"proposals/{RUN}.json", b"two")
    assert world.blobs.read(f"proposals/{RUN}.json", max_bytes=9) == b"two"


def test_an_empty_blob_is_one(world: DoorWorld, store: blobs.Blobs) -> None:
    world.blobs.write(DATASET, b"")
    assert store.read(DATASET, max_bytes=10) == b""


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "x" * 600])
def test_a_path_that_is_none_never_leaves(store: blobs.Blobs, path: str) -> None:
    for attempt in (lambda: store.read(path, max_bytes=1), lambda: store.write(path, b""), lambda: store.exists(path)):
        with pytest.raises(errors.InputError):
            attempt()


def test_what_a_job_has_no_business_with_is_refused_in_words(world: DoorWorld, store: blobs.Blobs) -> None:
    world.blobs.write("labels/digits/x.json", b"secret")
    with pytest.raises(errors.RejectedError, match=r"opens sha256/\*, datasets/\*"):
        store.read("labels/digits/x.json", max_bytes=100)
    with pytest.raises(errors.RejectedError, match=r"may GET and HEAD datasets/"):
        store.write(DATASET, b"mine")
    for attempt in (lambda: store.list("datasets"), lambda: store.delete(DATASET)):
        with pytest.raises(errors.UnsupportedError):
            attempt()


def test_content_that_is_not_its_digest_is_refused(world: DoorWorld, store: blobs.Blobs) -> None:
    path = digests.blob_path(digests.sha256(b"good"))
    with pytest.raises(errors.IntegrityError, match="does not have its digest"):
        store.write(path, b"evil")
    assert not world.blobs.exists(path)


def test_an_expired_ticket_is_refused_and_so_is_one_whose_run_has_ended(world: DoorWorld, store: blobs.Blobs) -> None:
    world.blobs.delete(contract.snapshot_path(RUN))
    with pytest.raises(errors.RejectedError, match="has ended"):
        store.exists(DATASET)
    world.now_s = NOW_S + 100
    with pytest.raises(errors.RejectedError, match="expired"):
        store.exists(DATASET)


def test_a_door_that_opens_late_is_waited_for(world: DoorWorld) -> None:
    world.blobs.write(DATASET, b"data")
    world.close()

    def opens(_: float) -> None:
        if pauses.slept == 4:
            world.open()
        Pauses.sleep(pauses, 1.0)

    pauses = Pauses()
    store = GatewayBlobs(world.url, world.ticket, world.ca, Clock(lambda: pauses.now_s, opens))
    assert store.read(DATASET, max_bytes=9) == b"data" and pauses.slept == 5


def test_a_name_that_is_not_known_yet_is_asked_for_longer_than_name_servers_remember(tmp_path: Path) -> None:
    pauses = Pauses()
    store = GatewayBlobs("https://gateway.invalid:8446", "run.1.x", certificate(tmp_path), pauses.clock)
    with pytest.raises(errors.UnavailableError, match=r"gateway\.invalid"):
        store.exists(DATASET)
    assert 60 < pauses.now_s <= 120


class Moody:
    """Answers each request with the next status, then with the door's own."""

    def __init__(self, inner: object, *moods: int) -> None:
        self._inner, self._moods = inner, list(moods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._moods:
            await PlainTextResponse("not now", self._moods.pop(0))(scope, receive, send)
        else:
            await self._inner(scope, receive, send)  # type: ignore[operator]


@pytest.fixture
def moody(tmp_path: Path) -> Iterator[DoorWorld]:
    made = DoorWorld(tmp_path)
    made.app = Moody(made.app, 503, 502, 429)
    made.open()
    yield made
    made.close()


def test_a_gateway_that_is_busy_is_asked_again_for_every_kind_of_call(moody: DoorWorld) -> None:
    pauses = Pauses()
    store = GatewayBlobs(moody.url, moody.ticket, moody.ca, pauses.clock)
    store.write(f"proposals/{RUN}.json", b"mine")
    assert pauses.slept == 3
    assert moody.blobs.read(f"proposals/{RUN}.json", max_bytes=9) == b"mine"


def test_an_answer_cut_short_is_asked_for_again(tmp_path: Path) -> None:
    made = DoorWorld(tmp_path)
    whole, cuts = made.app, [1]

    async def cut(scope: Scope, receive: Receive, send: Send) -> None:
        if not cuts:
            await whole(scope, receive, send)
            return
        cuts.pop()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ConnectionError("cut")

    made.app = cut
    made.blobs.write(DATASET, b"x" * 100)
    made.open()
    pauses = Pauses()
    assert GatewayBlobs(made.url, made.ticket, made.ca, pauses.clock).read(DATASET, max_bytes=100) == b"x" * 100
    assert pauses.slept == 1
    made.close()


def test_a_door_with_another_certificate_is_not_trusted(world: DoorWorld, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    pauses = Pauses()
    with pytest.raises(errors.RejectedError, match="not the gateway that SKERRY_CA knows"):
        GatewayBlobs(world.url, world.ticket, certificate(other), pauses.clock).exists(DATASET)
    assert pauses.slept == 0, "it would be another one next time, too"


def test_the_authority_may_be_a_file(world: DoorWorld, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(world.ca)
    assert not blobs.open_blobs(world.url, ticket=world.ticket, ca=str(file)).exists(DATASET)


@pytest.mark.parametrize(
    ("url", "ticket", "ca", "told"),
    [
        pytest.param("https://door/", "", "", "SKERRY_TICKET", id="no ticket"),
        pytest.param("https://door/", "a\r\nHost: b", "", "SKERRY_TICKET", id="a ticket that is two headers"),
        pytest.param("https:///x", "t", "", "must be like", id="no host"),
        pytest.param("https://door/", "t", "-----BEGIN CERTIFICATE-----\nx", "SKERRY_CA", id="a broken certificate"),
        pytest.param("https://door/", "t", "/nowhere.pem", "SKERRY_CA", id="a file that is not there"),
    ],
)
def test_wrong_settings_are_named(url: str, ticket: str, ca: str, told: str) -> None:
    with pytest.raises(errors.InputError, match=told):
        blobs.open_blobs(url, ticket=ticket, ca=ca)


def test_a_silent_door_is_left_after_the_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.adapters.blobs.gateway.CONNECT_S", 0.1)
    monkeypatch.setattr("skerry.adapters.blobs.gateway.READ_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        pauses = Pauses()
        store = GatewayBlobs(url, job_tickets.issue(KEY, RUN, NOW_S), certificate(tmp_path), pauses.clock)
        with pytest.raises(errors.UnavailableError):
            store.exists(DATASET)
        assert pauses.slept > 3
