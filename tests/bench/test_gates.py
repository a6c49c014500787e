"""What is promised about speed is judged from measured rows alone: four verdicts, and missing rows are never a pass."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench import gates, plan
from bench.gates import Target, Verdict
from bench.results import NONE, VARYING, Results, Row


def row(server: str, cpu: float, *, model: str = "cnn", connections: int = 16, **changes: object) -> Row:
    made = Row(server, model, False, connections, cpu, 2 * cpu, 3 * cpu, 9_000.0, 80.0, 0.5, 0)
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of a Row


def results(rows: Sequence[Row], **missing: str) -> Results:
    return Results({}, {}, rows, {name.replace("_", "-"): why for name, why in missing.items()})


HALF = Target("half of the peer", lambda rows: rows.cpu("skerry", "cnn") / rows.cpu("peer", "cnn"), 0.5, 0.25)


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        pytest.param(20.0, Verdict.AMBITION, id="better than the ambition"),
        pytest.param(25.0, Verdict.AMBITION, id="just the ambition"),
        pytest.param(26.0, Verdict.REACHED, id="between ambition and gate"),
        pytest.param(50.0, Verdict.REACHED, id="just the gate"),
        pytest.param(51.0, Verdict.NOT_REACHED, id="above the gate"),
    ],
)
def test_a_target_is_judged_by_its_gate_and_its_ambition(ours: float, verdict: Verdict) -> None:
    (found,) = gates.judge(results([row("skerry", ours), row("peer", 100.0)]), [HALF])
    assert (found.verdict, found.value) == (verdict, ours / 100)


@pytest.mark.parametrize(
    ("rows", "missing", "told"),
    [
        pytest.param([row("skerry", 1.0)], {}, "no row of peer", id="the peer was not measured"),
        pytest.param([row("peer", 1.0)], {}, "no row of skerry", id="ours was not measured"),
        pytest.param([row("skerry", 1.0)], {"peer": "no compiler"}, "no compiler", id="it is told why a peer is away"),
        pytest.param([row("skerry", 1.0), row("peer", 9.0, errors=1)], {}, "1 errors", id="the peer had errors"),
        pytest.param([row("skerry", 1.0, errors=2), row("peer", 9.0)], {}, "2 errors", id="ours had errors"),
        pytest.param([row("skerry", 1.0), row("peer", 9.0, connections=1)], {}, "no row", id="other connections"),
        pytest.param([row("skerry", 1.0), row("peer", 9.0, tls=True)], {}, "no row", id="over TLS only"),
        pytest.param([row("skerry", 1.0), row("peer", 0.0)], {}, "nothing was measured", id="a peer that cost nothing"),
    ],
)
def test_what_was_not_measured_is_not_judged(rows: list[Row], missing: dict[str, str], told: str) -> None:
    (found,) = gates.judge(results(rows, **missing), [HALF])
    assert found.verdict is Verdict.NOT_JUDGED and found.value is None
    assert told in found.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CNN, against raw ONNX Runtime", 70 / 40),
        ("CNN over TLS, against raw ONNX Runtime", 80 / 40),
        ("CNN, above raw ONNX Runtime, against that of grpc.aio", 30 / 360),
        ("CNN, against C++ gRPC", 70 / 100),
        ("echo, against grpc.aio", 12 / 200),
        ("echo over TLS, against grpcio sync", 20 / 160),
        ("echo, deadlines that vary against none", 18 / 12),
        ("CNN, p50 of one connection, against C++ gRPC", 150 / 120),
        ("memory with the CNN loaded", 80.0),
        ("time to the first answer, against KServe", 0.5 / 3.0),
    ],
)
def test_each_target_takes_the_rows_that_it_names(name: str, value: float) -> None:
    rows = [
        row("raw-ort", 40.0),
        row("skerry", 70.0),
        row("skerry", 80.0, tls=True),
        row("skerry", 150.0, connections=1, p50_us=150.0),
        row("skerry", 12.0, model="echo"),
        row("skerry", 18.0, model="echo", deadlines=VARYING),
        row("skerry", 20.0, model="echo", tls=True),
        row("cpp-grpc", 100.0),
        row("cpp-grpc", 110.0, connections=1, p50_us=120.0),
        row("grpc-aio", 400.0),
        row("grpc-aio", 200.0, model="echo"),
        row("grpc-sync", 160.0, model="echo", tls=True),
        row("kserve", 700.0, ready_s=3.0),
    ]
    found = {one.target.name: one.value for one in gates.judge(results(rows))}
    assert found[name] == pytest.approx(value)


def test_a_full_run_has_a_row_for_every_target_and_a_quick_one_for_what_it_promises() -> None:
    """Rows made for the cells of a plan: what no cell gives cannot be judged by it."""

    def unjudged(chosen: plan.Plan) -> set[str]:
        cells = [cell for cells in chosen.groups.values() for cell in cells]
        made = [
            row(c.server, 50.0 if c.server == "raw-ort" else 100.0, model=c.model, connections=c.connections)
            for c in cells
            if not c.tls and c.deadlines == NONE
        ] + [
            row(c.server, 100.0, model=c.model, connections=c.connections, tls=c.tls, deadlines=c.deadlines)
            for c in cells
            if c.tls or c.deadlines != NONE
        ]
        judged = gates.judge(results(made))
        return {one.target.name for one in judged if one.verdict is Verdict.NOT_JUDGED}

    assert not unjudged(plan.full())
    assert all(any(peer in name for peer in ("C++", "KServe", "MLServer")) for name in unjudged(plan.quick()))
