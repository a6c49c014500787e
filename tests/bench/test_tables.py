"""Tables: each ratio is to a row of the same conditions, and the report tells what was not judged."""

from dataclasses import replace

import pytest

from bench import gates, tables
from bench.results import VARYING, Results, Row

OURS = Row("skerry", "cnn", False, 16, 70.0, 900.0, 1500.0, 14000.0, 80.0, 0.25, 0, cpu_us_least=69, cpu_us_most=75)
FLOOR = replace(OURS, server="raw-ort", cpu_us_per_request=35.0)
PEER = replace(OURS, server="grpc-aio", cpu_us_per_request=420.0)


@pytest.mark.parametrize(
    ("row", "beside", "to_ours", "to_floor"),
    [
        pytest.param(PEER, [OURS, FLOOR], 6.0, 12.0, id="a peer"),
        pytest.param(OURS, [OURS, FLOOR], 1.0, 2.0, id="ours"),
        pytest.param(FLOOR, [OURS, FLOOR], 0.5, 1.0, id="the floor"),
        pytest.param(PEER, [FLOOR], None, 12.0, id="ours was not measured"),
        pytest.param(replace(PEER, tls=True), [OURS, FLOOR], None, 12.0, id="ours in clear is no measure for TLS"),
        pytest.param(replace(PEER, model="echo"), [OURS, FLOOR], None, None, id="an echo has no floor"),
        pytest.param(replace(PEER, connections=1), [OURS, FLOOR], None, None, id="of other connections"),
        pytest.param(replace(PEER, deadlines=VARYING), [OURS, FLOOR], None, 12.0, id="of other deadlines"),
        pytest.param(PEER, [replace(OURS, cpu_us_per_request=0.0)], None, None, id="ours cost nothing"),
    ],
)
def test_ratios_are_to_rows_of_the_same_conditions(
    row: Row, beside: list[Row], to_ours: float | None, to_floor: float | None
) -> None:
    assert tables.ratio_to_ours(row, beside) == (to_ours and pytest.approx(to_ours))
    assert tables.ratio_to_floor(row, beside) == (to_floor and pytest.approx(to_floor))


def test_the_report_shows_each_row_with_its_ratios_and_each_target_with_its_verdict() -> None:
    rows = [FLOOR, OURS, PEER, replace(OURS, tls=True), replace(OURS, model="echo", cpu_us_per_request=12.0)]
    made = Results({"cpu": "a CPU", "cores": 2}, {"onnxruntime": "1.32.0"}, rows, {"cpp-grpc": "no compiler"})
    text = tables.render(made, gates.judge(made))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    shown = {tuple(line[:6]) for line in cells}
    assert ("grpc-aio", "", "420.0", "69–75", "6.00", "12.00") in shown
    assert ("skerry", "TLS", "70.0", "69–75", "1.00", "2.00") in shown
    verdicts = {line[0]: line[-1] for line in cells}
    assert verdicts["CNN, against raw ONNX Runtime"] == "reached"
    assert verdicts["CNN, above raw ONNX Runtime, against that of grpc.aio"] == "reached"
    assert "no compiler" in verdicts["CNN, against C++ gRPC"]
    assert "a CPU" in text and "onnxruntime 1.32.0" in text


def test_small_ratios_are_told_as_fractions() -> None:
    made = Results(
        {}, {}, [OURS, replace(OURS, model="echo", cpu_us_per_request=10.0), replace(PEER, model="echo")], {}
    )
    (line,) = [line for line in tables.verdicts(gates.judge(made)) if "echo, against grpc.aio" in line]
    assert "1/42" in line and "1/10" in line and "1/20" in line
