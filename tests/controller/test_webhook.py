"""The webhook delivers each event at least once, over deaths of its controller, in bounded memory, and never to where
it must not; a receiver that is away holds up nothing."""

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from skerry.adapters.blobs.memory import MemoryBlobs
from skerry.adapters.lease.memory import Board, MemoryLease
from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.telemetry.metrics import Metrics
from skerry.adapters.webhook import Poster
from skerry.controller import webhook
from skerry.controller.store import Store
from skerry.controller.view import View
from skerry.core import conditions, contract, errors, webhook_message, writers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Takes what is posted; while `away` nothing."""

    def __init__(self) -> None:
        self.took: list[str] = []
        self.away = False

    def post(self, headers: Mapping[str, str], body: bytes) -> None:
        if self.away:
            raise errors.UnavailableError("nobody there")
        self.took.append(f"{json.loads(body)['type']} {json.loads(body)['data'].get('run', '')}".strip())


class Fleet:
    """Objects, blobs, and one controller after another that leads."""

    def __init__(self) -> None:
        self.objects, self.blobs, self.receiver, self.clock_s = MemoryObjects(), MemoryBlobs(), Receiver(), 0.0
        self.restart()

    def restart(self) -> None:
        """The controller was killed; the next one leads."""
        lease = MemoryLease(Board())
        lease.acquire("test")
        self.store = Store(self.objects, lease, None, View(self.objects))
        self.hook = webhook.Webhook(
            self.receiver,
            webhook_message.key(SECRET),
            self.blobs,
            0.1,
            lambda: 1_700_000_000_000,
            lambda: self.clock_s,
        )

    def look(self, states: Mapping[str, int] | None = None) -> None:
        self.store.refresh(1)
        self.hook.look(self.store, self.store.touched(), states)

    def send(self) -> None:
        while self.hook.send_one():
            pass

    def end(self, run: str, status: str = "True") -> None:
        """A training run ends."""
        self.objects.create("TrainingRun", run, {"model": "m"}, manager=writers.OPERATOR)
        said = conditions.to_json(conditions.put((), "Succeeded", status, "Why", "", now_ms=1))
        done = {"conditions": said, "finishedUnixMs": 7}
        self.objects.patch("TrainingRun", run, manager=writers.CONTROLLER, status=done)


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_what_happened_before_there_was_a_webhook_is_not_told(fleet: Fleet) -> None:
    fleet.end("old")
    fleet.look()
    fleet.end("new", "False")
    fleet.look()
    fleet.send()
    assert fleet.receiver.took == ["run.failed new"]


def test_each_event_is_told_once_while_nothing_dies(fleet: Fleet) -> None:
    fleet.look()
    for number in range(3):
        fleet.end(f"r{number}")
    for _ in range(3):
        fleet.look()
        fleet.objects.patch("TrainingRun", "r0", manager=writers.OPERATOR, spec={"reason": "again"})
    fleet.send()
    fleet.look()
    fleet.send()
    assert sorted(fleet.receiver.took) == ["run.succeeded r0", "run.succeeded r1", "run.succeeded r2"]


def test_what_a_killed_controller_did_not_tell_the_next_one_does(fleet: Fleet) -> None:
    fleet.look()
    fleet.end("told")
    fleet.look()
    fleet.send()
    fleet.receiver.away = True
    fleet.end("untold")
    fleet.look()
    with pytest.raises(errors.UnavailableError):
        fleet.send()
    fleet.restart()
    fleet.end("meanwhile")
    fleet.receiver.away = False
    fleet.look()
    fleet.send()
    assert sorted(fleet.receiver.took) == ["run.succeeded meanwhile", "run.succeeded told", "run.succeeded untold"]


def test_killed_between_delivery_and_note_it_is_told_again_with_the_same_id(fleet: Fleet) -> None:
    fleet.look()
    fleet.end("r")
    fleet.look()
    kept = fleet.blobs.read(contract.WEBHOOK_TOLD, max_bytes=1 << 20)
    ids: list[str] = []
    fleet.receiver.post = lambda headers, body: ids.append(headers["webhook-id"])  # type: ignore[method-assign]
    fleet.send()
    fleet.blobs.write(contract.WEBHOOK_TOLD, kept)
    fleet.restart()
    fleet.look()
    fleet.send()
    assert len(ids) == 2 and len(set(ids)) == 1


def test_nodes_that_went_are_told_of_once_over_a_death(fleet: Fleet) -> None:
    many, few = {"Online": 50, "Offline": 50}, {"Online": 100, "Offline": 0}
    fleet.look(few)
    fleet.receiver.away = True
    fleet.look(many)
    fleet.restart()
    fleet.receiver.away = False
    fleet.end("r")
    fleet.look(many)
    fleet.send()
    fleet.restart()
    fleet.look(many)
    fleet.send()
    fleet.look(few)
    fleet.send()
    assert sorted(fleet.receiver.took) == ["nodes.offline", "nodes.online", "run.succeeded r"]


def test_the_queue_is_bounded_and_nothing_is_lost(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "MAX_WAITING", 10)
    fleet.look()
    for number in range(35):
        fleet.end(f"r{number:02}")
    fleet.look()
    assert len(fleet.hook._waiting) == 10
    for _ in range(5):
        fleet.send()
        fleet.look()
    assert sorted(fleet.receiver.took) == [f"run.succeeded r{number:02}" for number in range(35)]


def test_storage_that_is_away_at_first_loses_nothing(fleet: Fleet) -> None:
    fleet.look()
    fleet.restart()
    reading, fleet.blobs.read = fleet.blobs.read, _away  # type: ignore[method-assign]
    fleet.end("r")
    with pytest.raises(errors.UnavailableError):
        fleet.look()
    fleet.blobs.read = reading  # type: ignore[method-assign]
    fleet.look()
    fleet.send()
    assert fleet.receiver.took == ["run.succeeded r"]


def _away(*_: Any, **__: Any) -> bytes:
    raise errors.UnavailableError("storage is away")


def test_after_three_days_an_event_is_given_up_and_counted(fleet: Fleet) -> None:
    families = Metrics()
    fleet.hook.register(families)
    fleet.look()
    fleet.end("r")
    fleet.look()
    fleet.receiver.away = True
    with pytest.raises(errors.UnavailableError):
        fleet.send()
    fleet.clock_s += webhook.GIVE_UP_S + 1
    fleet.send()
    page = families.render().decode()
    for outcome, count in (("delivered", 0), ("failed", 1), ("given_up", 1)):
        assert f'skerry_webhook_attempts_total{{outcome="{outcome}"}} {count}' in page
    assert "skerry_webhook_waiting 0" in page


def test_of_what_is_deleted_nothing_is_kept(fleet: Fleet) -> None:
    fleet.look()
    fleet.end("r")
    fleet.look()
    fleet.send()
    fleet.objects.delete("TrainingRun", "r")
    fleet.look()
    fleet.end("s")
    fleet.look()
    fleet.send()
    kept = json.loads(fleet.blobs.read(contract.WEBHOOK_TOLD, max_bytes=1 << 20))
    assert len(kept["told"]) == 1


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        self.send_response(self.server.answers)
        if self.server.answers == 302:
            self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    made.got, made.answers = [], 204
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def poster(server: Any, allow: str = "127.0.0.0/8", host: str = "127.0.0.1") -> Poster:
    url = f"http://{host}:{server.server_port}/hook?x=1"
    return Poster(webhook_message.target(url), webhook_message.networks(allow))


def test_a_real_receiver_verifies_what_the_sender_posts(fleet: Fleet, server: Any) -> None:
    fleet.hook._poster = poster(server)
    fleet.look()
    fleet.end("r")
    fleet.look()
    fleet.send()
    ((path, headers, body),) = server.got
    key = webhook_message.key(SECRET)
    assert path == "/hook?x=1"
    signed = webhook_message.signature(headers["webhook-id"], int(headers["webhook-timestamp"]), body, key)
    assert headers["webhook-signature"] == signed


def test_an_address_that_nobody_allowed_gets_no_connection(server: Any) -> None:
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(errors.RejectedError, match="SKERRY_WEBHOOK_ALLOW"):
            poster(server, "10.0.0.0/8", host).post({}, b"{}")
    assert server.got == []


@pytest.mark.parametrize("status", [302, 400, 503])
def test_no_redirect_is_followed_and_only_a_good_answer_is_one(server: Any, status: int) -> None:
    server.answers = status
    with pytest.raises(errors.UnavailableError, match=str(status)):
        poster(server).post({}, b"{}")
    assert len(server.got) == 1


def test_a_receiver_that_is_not_there_is_told_as_that() -> None:
    with pytest.raises(errors.UnavailableError, match="did not take the event"):
        Poster(webhook_message.target("http://127.0.0.1:1/"), webhook_message.networks("127.0.0.1/32")).post({}, b"")
