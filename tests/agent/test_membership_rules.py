"""When a node asks for a certificate and how: first, in time, with another token, after its end; a wrong clock."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from skerry.agent import enrol, membership
from skerry.core import digests

DAY_MS = 86_400_000
NOW_MS = 1_795_608_000_000

# Plays `agent.enrol`: notes the job, then does what the first line of `answers` says (the last one stays).
CHILD = """
import json, pathlib, sys
job = json.load(sys.stdin)["job"]
home = pathlib.Path(job["folder"]).parent
with (home / "asked").open("a") as asked:
    asked.write(json.dumps(job) + "\\n")
answers = (home / "answers").read_text().splitlines()
if len(answers) > 1:
    (home / "answers").write_text("\\n".join(answers[1:]))
state, reason = answers[0].split(" ", 1)
if state == "ENROLLED":
    import hashlib
    at = pathlib.Path(job["folder"])
    at.mkdir(exist_ok=True)
    old = json.loads((at / "terms.json").read_text()) if (at / "terms.json").exists() else {}
    token = "sha256:" + hashlib.sha256(job["token"].encode()).hexdigest() if job["token"] else old.get("token", "")
    now = int(reason)
    terms = {"node": job["node"], "token": token, "renewAfterUnixMs": now + 15 * 86400000,
             "notAfterUnixMs": now + 30 * 86400000}
    (at / "terms.json").write_text(json.dumps(terms))
    (at / "cert.pem").write_text(reason)
if state == "DIE":
    sys.exit(3)
print(json.dumps({"state": state, "reason": reason}))
"""


class Node:
    """A membership with a scripted child; its clock stands where `now_ms` says."""

    def __init__(self, folder: Path, *, token: str | None = "token-1") -> None:
        self.folder, self.now_ms, self.renewals, self.waits = folder, NOW_MS, 0, list[float]()
        (folder / "child.py").write_text(CHILD)
        if token is not None:
            (folder / "token").write_text(token + "\n")
        self.answers(f"ENROLLED {NOW_MS}")
        self.identity = membership.Identity(folder / "identity")

    def answers(self, *lines: str) -> None:
        (self.folder / "answers").write_text("\n".join(lines))

    def enrolled(self, *, token: str = "token-1", node: str = "edge-1") -> None:
        self.identity.folder.mkdir()
        terms = {"node": node, "token": digests.sha256(token.encode())}
        terms |= {"renewAfterUnixMs": NOW_MS + 15 * DAY_MS, "notAfterUnixMs": NOW_MS + 30 * DAY_MS}
        (self.identity.folder / enrol.TERMS).write_text(json.dumps(terms))
        (self.identity.folder / enrol.CERTIFICATE).write_text("first")

    def asked(self) -> list[tuple[str, str, bool]]:
        """(address, token, renews) of each time it asked."""
        with contextlib.suppress(FileNotFoundError):
            jobs = [json.loads(line) for line in (self.folder / "asked").read_text().splitlines()]
            return [(job["address"], job["token"], job["renews"]) for job in jobs]
        return []

    @contextlib.asynccontextmanager
    async def running(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
        monkeypatch.setattr(membership, "_POLL_S", 0.02)
        monkeypatch.setattr(membership.backoff, "delay_s", lambda attempt, **_: self.waits.append(attempt) or 0.0)

        def renewed() -> None:
            self.renewals += 1

        made = membership.Membership(
            self.identity,
            "edge-1",
            enrol_address="door:1",
            gateway="fleet:1",
            token_file=self.folder / "token",
            draw=lambda: 0.5,
            renewed=renewed,
            clock=lambda: self.now_ms,
            command=(sys.executable, str(self.folder / "child.py")),
        )
        task = asyncio.create_task(made.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not in time")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


async def test_a_new_node_asks_at_once_with_its_token_and_then_rests(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node.running(monkeypatch):
        await until(lambda: node.renewals)
        await asyncio.sleep(0.2)
    assert node.asked() == [("door:1", "token-1", False)]


@pytest.mark.parametrize("answer", ["WAITING a person must approve it", "FAILED no way", "REFUSED used up", "DIE now"])
async def test_a_node_that_is_not_let_in_asks_again_ever_more_slowly(
    node: Node, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    node.answers(answer, answer, f"ENROLLED {NOW_MS}")
    async with node.running(monkeypatch):
        await until(lambda: node.renewals)
    assert (len(node.asked()), node.waits) == (3, [0, 1])


async def test_a_certificate_is_renewed_at_half_of_its_time_or_a_tenth_later(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.enrolled()
    async with node.running(monkeypatch):
        node.now_ms = NOW_MS + 15 * DAY_MS - 1
        await asyncio.sleep(0.2)
        assert node.asked() == []
        node.now_ms = NOW_MS + 18 * DAY_MS
        node.answers(f"ENROLLED {node.now_ms}")
        await until(lambda: node.renewals)
    assert node.asked() == [("fleet:1", "", True)]


async def test_a_certificate_that_has_ended_is_asked_for_at_the_door_with_or_without_a_token(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.enrolled()
    (node.folder / "token").unlink()
    node.now_ms = NOW_MS + 31 * DAY_MS
    node.answers(f"ENROLLED {node.now_ms}")
    async with node.running(monkeypatch):
        await until(lambda: node.renewals)
    assert node.asked() == [("door:1", "", False)]


async def test_a_node_without_certificate_and_token_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path, token=None)
    async with node.running(monkeypatch):
        await until(lambda: len(node.waits) > 2)
    assert node.asked() == []


async def test_another_token_enrols_a_node_anew_while_its_certificate_is_good(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.enrolled()
    async with node.running(monkeypatch):
        await asyncio.sleep(0.2)
        assert node.asked() == []
        (node.folder / "token").write_text("token-2")
        await until(lambda: node.renewals)
        await asyncio.sleep(0.2)
    assert node.asked() == [("door:1", "token-2", False)]


async def test_another_token_that_is_refused_is_tried_once_and_the_certificate_stays(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.enrolled()
    node.answers("REFUSED expired", f"ENROLLED {NOW_MS + 18 * DAY_MS}")
    (node.folder / "token").write_text("token-2")
    async with node.running(monkeypatch):
        await until(node.asked)
        await asyncio.sleep(0.2)
        assert len(node.asked()) == 1
        node.now_ms = NOW_MS + 18 * DAY_MS
        await until(lambda: node.renewals)
    assert node.asked()[1] == ("fleet:1", "", True)


async def test_a_node_with_another_name_than_its_certificate_enrols_anew(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.enrolled(node="old-name")
    async with node.running(monkeypatch):
        await until(lambda: node.renewals)
    assert node.asked() == [("door:1", "token-1", False)]


async def test_a_clock_at_1970_is_named_once_and_nothing_is_asked(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = list[str]()
    monkeypatch.setattr(membership.log, "error", lambda event, **fields: told.append(event))
    node.enrolled()
    node.now_ms = 3_600_000
    async with node.running(monkeypatch):
        await until(lambda: told)
        await asyncio.sleep(0.2)
    assert (told, node.asked()) == (["clock_is_wrong"], [])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"renewAfterUnixMs": "x"}', '{"notAfterUnixMs": null}'])
def test_terms_that_cannot_be_read_say_that_it_is_time_to_renew(tmp_path: Path, text: str) -> None:
    (tmp_path / enrol.TERMS).write_text(text)
    assert enrol.read_terms(tmp_path) == enrol.Terms()
