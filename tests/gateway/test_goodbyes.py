"""A goodbye to one gateway never undoes a hello to another, whatever the clocks of the two say."""

from typing import Any

from sessions_world import Gateway, report

from skerry.adapters.objects.memory import MemoryObjects
from skerry.adapters.objects.protocol import Object


class Interleaved(MemoryObjects):
    """`between` runs once, after the next look at a node and before what follows from it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.between: Any = None

    def get(self, kind: str, name: str) -> Object:
        thing = super().get(kind, name)
        if kind == "EdgeNode" and self.between is not None:
            between, self.between = self.between, None
            between()
        return thing


async def test_a_late_goodbye_does_not_undo_a_hello_to_a_gateway_whose_clock_is_a_year_behind() -> None:
    objects = MemoryObjects()
    here, there = Gateway(objects), Gateway(objects)
    here.now_ms = 2_000_000_000_000
    there.now_ms = here.now_ms - 365 * 86_400_000
    async with here.stream(report(1)) as lost:
        there.look()
        async with there.stream(report(2)):
            lost.hang_up()
            await here.sessions.written()
            assert there.node.status["connected"] is True
    assert there.node.status["connected"] is False


async def test_a_hello_between_the_look_and_the_goodbye_stands() -> None:
    objects = Interleaved()
    here = Gateway(objects)
    async with here.stream(report(1)) as call:
        hello = {"connected": True, "lastSeenUnixMs": here.now_ms - 5}
        objects.between = lambda: objects.patch("EdgeNode", "north", manager="gateway", status=hello)
        call.hang_up()
        await here.sessions.written()
        assert here.node.status["connected"] is True


async def test_a_goodbye_is_written_although_somebody_changes_the_object_meanwhile() -> None:
    objects = Interleaved()
    here = Gateway(objects)
    async with here.stream(report(1)) as call:
        objects.between = lambda: objects.patch("EdgeNode", "north", manager="operator", spec={"cordoned": True})
        call.hang_up()
        await here.sessions.written()
        assert here.node.status["connected"] is False


async def test_a_node_that_was_deleted_is_not_made_again_by_its_goodbye() -> None:
    objects = MemoryObjects()
    here = Gateway(objects)
    async with here.stream(report(1)):
        objects.delete("EdgeNode", "north")
    assert objects.list("EdgeNode") == []
