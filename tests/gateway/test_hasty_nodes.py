"""A node that reports a hundred times a second, or of five hundred models: bounded, and nobody else's trouble."""

import pytest
from sessions_world import Gateway, report

from skerry.adapters.objects.memory import MemoryObjects
from skerry.core import errors
from skerry.gateway import rates, reports, sessions
from skerry.proto import fleet_pb2
from skerry.rpc.methods import Status


async def test_of_a_node_that_reports_a_hundred_times_a_second_ten_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, now_s = Gateway(MemoryObjects()), 0.0
    gateway.sessions._report_rates = rates.Rates(sessions.REPORTS, clock=lambda: now_s)
    parsed, parse = 0, sessions._parse

    def counted(data: bytes) -> fleet_pb2.NodeReport:
        nonlocal parsed
        parsed += 1
        return parse(data)

    monkeypatch.setattr(sessions, "_parse", counted)
    async with gateway.stream(report()) as call:
        for sequence in range(2, 1_002):  # ten seconds
            now_s += 0.01
            call.say(report(sequence, agent_version=str(sequence)))
        await gateway.sessions.written()
        assert parsed <= 1 + sessions.REPORTS.burst + 10 * sessions.REPORTS.per_s
        assert call.ended is None and gateway.instruments.hasty_reports.value() == 1_001 - parsed
        now_s += 60
        call.say(report(2_000, agent_version="at last"))
        await gateway.sessions.written()
        assert gateway.node.status["agentVersion"] == "at last", "a report is whole: what was passed over is in it"


async def test_a_node_with_more_models_than_are_kept_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(MemoryObjects())
    model = fleet_pb2.ModelReport(model="digits")
    many = report(models=[model] * (reports.MAX_MODELS + 1))
    with pytest.raises(errors.TooLargeError, match="more than 256 models"):
        reports.check(many)
    reports.check(report(models=[model] * reports.MAX_MODELS))
    async with gateway.stream(report()) as call:
        call.say(report(2, models=[model] * 500))
        assert call.ended is not None
        assert (call.ended.status, "more than 256 models" in call.ended.message) == (Status.RESOURCE_EXHAUSTED, True)
