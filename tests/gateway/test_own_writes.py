"""What a gateway hears back of its own writes costs nothing: no object is parsed for it, no status is hashed."""

from collections.abc import Callable
from typing import Any

import pytest
from sessions_world import ASSIGNMENT, Gateway, report

from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import specs
from skerry.gateway import desired


class Counts:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parsed = self.hashed = 0
        self._watch(monkeypatch, specs, "parse_node", "parsed")
        self._watch(monkeypatch, desired, "fingerprint", "hashed")

    def _watch(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, count: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def counted(*args: Any) -> Any:
            setattr(self, count, getattr(self, count) + 1)
            return real(*args)

        monkeypatch.setattr(module, name, counted)

    def taken(self) -> tuple[int, int]:
        found, self.parsed, self.hashed = (self.parsed, self.hashed), 0, 0
        return found


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    return Counts(monkeypatch)


async def test_the_echo_of_a_report_that_was_written_costs_nothing(counts: Counts) -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report()) as call:
        gateway.look()
        assert counts.taken() == (1, 1), "the object is new, and its report was hashed once"
        for sequence in range(2, 12):
            gateway.now_ms += 6_000  # longer than a mark
            call.say(report(sequence))
            await gateway.sessions.written()
            gateway.look()
        assert gateway.instruments.status_writes.value() == 11
        assert counts.taken() == (0, 10), "each report once, and nothing for what the watch brought"


async def test_another_gateways_word_is_read_but_no_spec_again(counts: Counts) -> None:
    objects = MemoryObjects()
    here, there = Gateway(objects), Gateway(objects)
    async with here.stream(report()):
        there.look()
        counts.taken()
        here.look()
        objects.patch("EdgeNode", "north", manager="gateway", status={"agentVersion": "next"})
        here.look()
        there.look()
        assert counts.taken() == (1, 2), "one had not seen the object yet; both read another's word"
        for gateway in (here, there):
            written = gateway.view.written_status("north")
            assert written is not None
            assert written.fingerprint == desired.fingerprint(objects.get("EdgeNode", "north").status)


async def test_an_assignment_that_comes_with_the_echo_is_heard(counts: Counts) -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report()) as call:
        gateway.look()
        spec = {"assignments": [ASSIGNMENT]}
        gateway.objects.patch("EdgeNode", "north", manager="controller", spec=spec)
        call.say(report(2, agent_version="next"))  # the newest state is the gateway's own, and holds both
        await gateway.sessions.written()
        gateway.look()
        assert (await call.hear()).assignments[0].version == 3


async def test_a_conflict_that_another_gateway_wrote_is_not_lost_in_an_echo(counts: Counts) -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report()) as call:
        gateway.look()
        gateway.objects.patch("EdgeNode", "north", manager="gateway", status={"conflictUnixMs": 999_999})
        call.say(report(2, agent_version="next"))
        await gateway.sessions.written()
        gateway.look()
        written = gateway.view.written_status("north")
        assert written is not None and written.conflict_ms == 999_999


async def test_a_node_that_was_deleted_and_made_again_is_another(counts: Counts) -> None:
    gateway = Gateway(MemoryObjects())
    async with gateway.stream(report()):
        gateway.look()
    gateway.objects.delete("EdgeNode", "north")
    gateway.objects.create("EdgeNode", "north", {"assignments": [ASSIGNMENT]}, manager="gateway")
    gateway.look()
    assert gateway.view.desired("north").assignments[0].version == 3
